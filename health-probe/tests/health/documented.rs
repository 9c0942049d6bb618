//! The JSON for monitoring is what its documentation lists, no more and no less.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use test_kit::deployment::{Deployment, Options};
use test_kit::tools::workspace;

/// Each name of the tables in docs/HEALTH.md, with the kinds of values that it may have.
fn documented() -> Result<BTreeMap<String, Vec<String>>> {
    let text = std::fs::read_to_string(workspace().join("docs/HEALTH.md"))?;
    let (_, section) =
        text.split_once("\n## The JSON of the health check\n").context("no section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (name, kinds) = (cells.next()?, cells.next()?);
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), kinds.split(" or ").map(str::to_owned).collect()))
    };
    Ok(section.lines().filter_map(row).collect())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Every name below a value, as `probes[].facts.state (service)` and its like, with its value.
fn names(report: &Value) -> Vec<(String, Value)> {
    let pairs = |object: &Value| -> Vec<(String, Value)> {
        object.as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.clone())).collect()
    };
    let mut all = pairs(report);
    for probe in report["probes"].as_array().unwrap() {
        let kind = probe["kind"].as_str().unwrap();
        all.extend(pairs(probe).into_iter().map(|(n, v)| (format!("probes[].{n}"), v)));
        let facts = pairs(&probe["facts"]);
        all.extend(facts.into_iter().map(|(n, v)| (format!("{kind}: {n}"), v)));
    }
    all
}

#[test]
fn every_name_is_documented_with_its_kind_and_every_documented_name_is_there() -> Result<()> {
    let documented = documented()?;
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let mut seen = BTreeMap::new();
    let mut read = |status: i32| -> Result<Value> {
        let run = deployment.run_script("health-check.sh", &["--json", "--quiet"], "")?;
        let run = run.expect(status);
        assert_eq!(run.stderr, "");
        let report: Value = serde_json::from_str(&run.stdout)?;
        for (name, value) in names(&report) {
            let kinds = documented.get(&name).with_context(|| format!("{name} is undocumented"))?;
            assert!(kinds.iter().any(|k| k == kind(&value)), "{name}: {kinds:?}, not {value}");
            seen.insert(name, ());
        }
        Ok(report)
    };
    let well = read(0)?;
    assert_eq!((&well["healthy"], &well["failed"]), (&true.into(), &0.into()));
    let find = |report: &Value, kind: &str| {
        let probes = report["probes"].as_array().unwrap();
        probes.iter().find(|p| p["kind"] == kind).unwrap().clone()
    };
    assert!(find(&well, "database")["facts"]["size_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(find(&well, "readiness")["facts"]["status"], 200);
    assert_eq!(find(&well, "storage")["facts"]["objects"], Options::default().objects);
    assert_eq!(find(&well, "bundle")["facts"]["state"], "intact");

    deployment.stop(&["redis"])?;
    let sick = read(1)?;
    assert_eq!((&sick["healthy"], &find(&sick, "cache")["pass"]), (&false.into(), &false.into()));
    assert_eq!(find(&sick, "readiness")["facts"]["status"], 503);
    let missing: Vec<_> = documented.keys().filter(|name| !seen.contains_key(*name)).collect();
    assert!(missing.is_empty(), "documented, and never there: {missing:?}");
    Ok(())
}
