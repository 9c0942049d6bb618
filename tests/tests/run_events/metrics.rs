//! `METRICS_FILE`, and what `contrib/` makes of it: alert rules and a dashboard.

use crate::{ANSWERS, deployment, replace};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use test_kit::deployment::Deployment;
use test_kit::process::{free_port, wait_until};
use test_kit::skipped;
use test_kit::tools::workspace;

/// The samples of a file: each metric with its labels, and its value.
pub fn samples(file: &Path) -> Result<BTreeMap<String, f64>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').context("no value")?;
        Ok((name.replace(r#"domain="demo.piprio.test","#, ""), value.parse()?))
    });
    samples.collect()
}

/// A sample, with or without labels of its own.
pub fn value(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    let name = match name.contains('{') {
        true => name.to_owned(),
        false => format!("{name}{{domain=\"demo.piprio.test\"}}"),
    };
    *samples.get(&name).unwrap_or_else(|| panic!("{name} is not in {samples:#?}"))
}

/// A deployment with a file of metrics.
pub fn measured(lines: &str) -> Result<(Deployment, PathBuf)> {
    let deployment = deployment(&format!("\nMETRICS_FILE=metrics/piprio.prom\n{lines}"))?;
    let dir = deployment.dir().join("metrics");
    std::fs::create_dir(&dir)?;
    Ok((deployment, dir.join("piprio.prom")))
}

#[test]
fn each_run_leaves_its_metrics_and_each_failure_counts_once() -> Result<()> {
    let (deployment, file) = measured("")?;
    deployment.backup(&[])?.expect(0);
    let first = samples(&file)?;
    assert_eq!(value(&first, "piprio_backup_last_run_status"), 0.0);
    assert_eq!(value(&first, "piprio_backup_failed_runs_total"), 0.0);
    assert_eq!(value(&first, r#"piprio_backup_bundles{state="intact"}"#), 1.0);
    let dump = deployment.newest_bundle()?.join("database.sql.gz").metadata()?.len();
    let shown = value(&first, r#"piprio_backup_bytes{component="database"}"#);
    assert_eq!(format!("{shown}"), dump.to_string());
    for stage in ["database", "config", "manifest", "seal", "publish", "alarm", "prune"] {
        value(&first, &format!(r#"piprio_backup_duration_seconds{{stage="{stage}"}}"#));
    }
    assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o644);
    let success = value(&first, "piprio_backup_last_success_timestamp_seconds");

    let replaced = replace(&deployment, "pg-snap", "exit 4")?;
    deployment.backup(&[])?.expect(4);
    replaced.put_back()?;
    let failed = samples(&file)?;
    assert_eq!(value(&failed, "piprio_backup_last_run_status"), 4.0);
    assert_eq!(value(&failed, "piprio_backup_failed_runs_total"), 1.0);
    assert_eq!(value(&failed, "piprio_backup_last_success_timestamp_seconds"), success);

    let bundle = deployment.newest_bundle()?;
    deployment.restore(&bundle, &[], ANSWERS)?.expect(0);
    let restored = samples(&file)?;
    assert_eq!(value(&restored, "piprio_restore_last_run_status"), 0.0);
    value(&restored, r#"piprio_restore_duration_seconds{stage="health"}"#);
    assert_eq!(value(&restored, "piprio_backup_failed_runs_total"), 1.0);
    let names = std::fs::read_dir(file.parent().context("a directory")?)?.count();
    assert_eq!(names, 1, "temporary files are left");
    is_accepted(&file)?;

    // A file that cannot be written changes nothing.
    std::fs::remove_dir_all(deployment.dir().join("metrics"))?;
    let run = deployment.backup(&[])?.expect(0);
    assert!(run.stderr.contains("warning: the metrics are not written: "), "{}", run.stderr);
    Ok(())
}

/// Prometheus's own programs accept the file, where they are installed.
fn is_accepted(file: &Path) -> Result<()> {
    if let Some(mut promtool) = program("promtool") {
        let input = std::fs::File::open(file)?;
        let out = promtool.args(["check", "metrics"]).stdin(input).output()?;
        ensure!(out.status.success(), "promtool: {}", String::from_utf8_lossy(&out.stderr));
    }
    let Some(mut exporter) = program("prometheus-node-exporter") else { return Ok(()) };
    let address = format!("127.0.0.1:{}", free_port()?);
    exporter.args(["--collector.disable-defaults", "--collector.textfile"]);
    exporter.arg("--collector.textfile.directory").arg(file.parent().context("a directory")?);
    exporter.arg(format!("--web.listen-address={address}")).stderr(Stdio::null());
    let _exporter = Ended(exporter.spawn()?);
    let ask = || ureq::get(format!("http://{address}/metrics")).call();
    wait_until("node_exporter", || Ok(ask().is_ok()))?;
    let answer = ask()?.body_mut().read_to_string()?;
    for line in ["node_textfile_scrape_error 0", "piprio_backup_last_run_status{domain="] {
        ensure!(answer.contains(line), "{line} is not in\n{answer}");
    }
    Ok(())
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that may not be installed.
fn program(name: &str) -> Option<Command> {
    let found =
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        skipped!("{name} is not installed");
        return None;
    }
    Some(Command::new(name))
}

#[test]
fn the_alert_rules_fire_when_they_should_and_only_then() -> Result<()> {
    let Some(mut promtool) = program("promtool") else { return Ok(()) };
    let dir = workspace().join("contrib/prometheus");
    let out =
        promtool.args(["test", "rules", "piprio.rules.test.yml"]).current_dir(dir).output()?;
    ensure!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

/// The names of our metrics in a text.
fn metrics_in(text: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c)).filter(|word| word.starts_with("piprio_"));
    words.map(str::to_owned).collect()
}

#[test]
fn alerts_dashboard_and_documentation_name_the_same_metrics() -> Result<()> {
    let read = |name: &str| std::fs::read_to_string(workspace().join(name));
    let page = read("docs/MONITORING.md")?;
    let documented = metrics_in(&page.replace("KIND", "ship"));
    let of_kind = |name: &str| {
        let generic = ["backup", "restore", "drill"].map(|kind| format!("piprio_{kind}_"));
        generic.iter().fold(name.to_owned(), |name, kind| name.replace(kind, "piprio_ship_"))
    };
    let dashboard: Value = serde_json::from_str(&read("contrib/grafana/piprio-dashboard.json")?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut ids: Vec<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    ids.dedup();
    assert_eq!(ids.len(), panels.len());
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<&str> = queries.filter_map(|target| target["expr"].as_str()).collect();
    assert!(queries.len() >= panels.len());
    for text in [queries.join("\n"), read("contrib/prometheus/piprio.rules.yml")?] {
        for name in metrics_in(&text) {
            let known = documented.contains(&name) || documented.contains(&of_kind(&name));
            ensure!(known, "docs/MONITORING.md lacks {name}");
        }
    }
    Ok(())
}
