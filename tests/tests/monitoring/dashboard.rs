//! The dashboard: its form by Grafana's own types, its queries by promtool, and what no type shows.

use crate::contrib;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use test_kit::monitoring;
use test_kit::tools::workspace;

const DASHBOARD: &str = "grafana/piprio-dashboard.json";
/// How many columns a dashboard has.
const COLUMNS: u64 = 24;

fn dashboard() -> Result<Value> {
    Ok(serde_json::from_str(&contrib(DASHBOARD)?.1)?)
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("{key} is no list: {value}"))
}

/// What the compiler finds in dashboards, each under a name.
fn compiled(modules: &Path, dashboards: &[(&str, String)]) -> Result<String> {
    let dir = tempfile::tempdir()?;
    std::os::unix::fs::symlink(modules, dir.path().join("node_modules"))?;
    let types = workspace().join("tests/fixtures/grafana/types.ts");
    std::fs::copy(types, dir.path().join("types.ts"))?;
    let mut node = Command::new("node");
    node.arg(modules.join("typescript/bin/tsc"));
    node.args(["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"]);
    for (name, text) in dashboards {
        // JSON is an expression of TypeScript.
        let module = format!(
            "import type {{ Exported }} from './types.js';\nexport const dashboard: Exported = {text};\n"
        );
        let file = format!("{name}.ts");
        std::fs::write(dir.path().join(&file), module)?;
        node.arg(file);
    }
    let out = node.current_dir(dir.path()).output()?;
    Ok([&out.stdout[..], &out.stderr].map(String::from_utf8_lossy).concat())
}

#[test]
fn the_dashboard_is_what_grafanas_types_demand() -> Result<()> {
    let Some(modules) = monitoring::node_modules()? else { return Ok(()) };
    let text = contrib(DASHBOARD)?.1;
    let found = compiled(&modules, &[("dashboard", text.clone())])?;
    ensure!(found.is_empty(), "{found}");

    // What would not be noticed otherwise: that they demand anything.
    let broken = [
        ("version", "\"schemaVersion\": 38", "\"schemaVersion\": \"38\""),
        ("place", "\"gridPos\"", "\"position\""),
        ("panel", "\"type\": \"stat\"", "\"type\": \"single\""),
        ("color", "\"colorMode\"", "\"colourMode\""),
        ("legend", "\"displayMode\": \"list\"", "\"displayMode\": \"lines\""),
        ("field", "\"fillOpacity\"", "\"opacity\""),
        ("mode", "\"mode\": \"absolute\"", "\"mode\": \"relative\""),
        ("variable", "\"type\": \"datasource\"", "\"type\": \"data\""),
        ("query", "\"expr\"", "\"expression\""),
    ];
    let dashboards: Vec<_> =
        broken.iter().map(|(name, from, to)| (*name, text.replacen(from, to, 1))).collect();
    let found = compiled(&modules, &dashboards)?;
    for (name, changed) in dashboards {
        ensure!(changed != text, "{name} is as it was");
        ensure!(found.contains(&format!("{name}.ts(")), "{name} is not found:\n{found}");
    }
    Ok(())
}

#[test]
fn prometheus_accepts_every_query() -> Result<()> {
    let Some(mut promtool) = monitoring::program("promtool")? else { return Ok(()) };
    let mut rules = Vec::new();
    for panel in list(&dashboard()?, "panels")? {
        for target in list(panel, "targets")? {
            let query = target["expr"].as_str().context("no query")?.replace("$domain", ".*");
            rules.push(json!({ "record": format!("panel:{}", rules.len()), "expr": query }));
        }
    }
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("panels.yml");
    // JSON is YAML, too.
    std::fs::write(&file, json!({ "groups": [{ "name": "panels", "rules": rules }] }).to_string())?;
    let out = promtool.args(["check", "rules"]).arg(&file).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout);
    ensure!(text.contains(&format!("SUCCESS: {} rules found", rules.len())), "{text}");
    Ok(())
}

#[test]
fn its_panels_have_a_place_each_and_follow_its_variables() -> Result<()> {
    let dashboard = dashboard()?;
    let variables = list(&dashboard["templating"], "list")?;
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, [Some("datasource"), Some("domain")]);
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    assert_eq!(
        (&variables[0]["type"], &variables[1]["datasource"]),
        (&json!("datasource"), &source)
    );

    let panels = list(&dashboard, "panels")?;
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().context("no title")?;
        ensure!(ids.insert(panel["id"].as_u64().context("no id")?), "{title}: its id is another's");
        ensure!(titles.insert(title), "two panels with the title {title}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64());
        let (x, y) = (x.context("no place")?, y.context("no place")?);
        let (w, h) = (w.context("no size")?, h.context("no size")?);
        ensure!(w > 0 && h > 0 && x + w <= COLUMNS, "{title} has no place");
        for cell in (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column))) {
            ensure!(cells.insert(cell), "{title} overlaps another panel at {cell:?}");
        }
        assert_eq!(panel["datasource"], source, "{title}");
        let mut queries = BTreeSet::new();
        for target in list(panel, "targets")? {
            assert_eq!(target["datasource"], source, "{title}");
            ensure!(queries.insert(target["refId"].as_str().context("no refId")?), "{title}");
            let query = target["expr"].as_str().context("no query")?;
            let metrics = query.matches("piprio_").count();
            let filtered = query.matches(r#"{domain=~"$domain"}"#).count();
            ensure!(metrics > 0 && filtered == metrics, "{title} shows all deployments: {query}");
            let legend = target["legendFormat"].as_str().context("no legend")?;
            ensure!(legend.contains("{{domain}}"), "{title}: {legend}");
        }
        ensure!(!queries.is_empty(), "{title} shows nothing");
    }
    Ok(())
}
