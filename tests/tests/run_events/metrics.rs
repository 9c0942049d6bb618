//! `METRICS_FILE`.

use crate::{ANSWERS, deployment, replace};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use test_kit::deployment::Deployment;
use test_kit::monitoring;
use test_kit::process::{Server, free_port, wait_until};

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

/// Prometheus's own programs accept the file, and read from it what is in it.
fn is_accepted(file: &Path) -> Result<()> {
    if let Some(mut promtool) = monitoring::program("promtool")? {
        let input = std::fs::File::open(file)?;
        let out = promtool.args(["check", "metrics"]).stdin(input).output()?;
        let found = [&out.stdout[..], &out.stderr].map(String::from_utf8_lossy).concat();
        ensure!(out.status.success() && found.is_empty(), "promtool: {found}");
    }
    let Some(mut exporter) = monitoring::program("prometheus-node-exporter")? else {
        return Ok(());
    };
    let collected = tempfile::tempdir()?;
    let text = std::fs::read_to_string(file)?;
    std::fs::write(collected.path().join("one.prom"), &text)?;
    // That of another deployment of this host.
    let other = text.replace("domain=\"demo.piprio.test\"", "domain=\"other.piprio.test\"");
    std::fs::write(collected.path().join("other.prom"), &other)?;
    let address = format!("127.0.0.1:{}", free_port()?);
    exporter.args(["--collector.disable-defaults", "--collector.textfile"]);
    exporter.arg("--collector.textfile.directory").arg(collected.path());
    exporter.arg(format!("--web.listen-address={address}"));
    let log = collected.path().join("log");
    let _exporter = Server::spawn(&mut exporter, &log)?;
    let ask = || ureq::get(format!("http://{address}/metrics")).call();
    wait_until("node_exporter", || Ok(ask().is_ok()))?;
    let answer = ask()?.body_mut().read_to_string()?;
    ensure!(answer.contains("\nnode_textfile_scrape_error 0\n"), "{answer}");
    let read = parsed(answer.lines().filter(|line| line.starts_with("piprio_")))?;
    let written = parsed(text.lines().chain(other.lines()).filter(|line| !line.starts_with('#')))?;
    assert_eq!(read, written);
    Ok(())
}

/// Samples with their labels in order, and their values.
fn parsed<'a>(lines: impl Iterator<Item = &'a str>) -> Result<BTreeMap<String, f64>> {
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').context("no value")?;
            let (name, labels) = name.trim_end_matches('}').split_once('{').context("no labels")?;
            let mut labels: Vec<&str> = labels.split(',').collect();
            labels.sort_unstable();
            Ok((format!("{name}{{{}}}", labels.join(",")), value.parse()?))
        })
        .collect()
}
