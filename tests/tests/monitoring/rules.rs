//! The alert rules, by promtool.

use crate::contrib;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::{Command, Output};
use test_kit::monitoring;

const RULES: &str = "prometheus/piprio.rules.yml";
const TESTS: &str = "prometheus/piprio.rules.test.yml";

fn text(out: &Output) -> String {
    [&out.stdout[..], &out.stderr].map(String::from_utf8_lossy).concat()
}

/// Tests other rules with the tests of ours.
fn tested(promtool: &mut Command, dir: &Path, rules: &str) -> Result<Output> {
    std::fs::write(dir.join("piprio.rules.yml"), rules)?;
    std::fs::copy(contrib(TESTS)?.0, dir.join("piprio.rules.test.yml"))?;
    Ok(promtool.args(["test", "rules", "piprio.rules.test.yml"]).current_dir(dir).output()?)
}

#[test]
fn prometheus_accepts_the_rules_and_they_pass_their_tests() -> Result<()> {
    let Some(mut promtool) = monitoring::program("promtool")? else { return Ok(()) };
    let (path, rules) = contrib(RULES)?;
    let out = promtool.args(["check", "rules"]).arg(path).output()?;
    ensure!(out.status.success(), "{}", text(&out));
    let Some(mut promtool) = monitoring::program("promtool")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let out = tested(&mut promtool, dir.path(), &rules)?;
    ensure!(out.status.success(), "{}", text(&out));
    Ok(())
}

#[test]
fn each_rule_has_a_test_that_it_fires_and_one_that_it_does_not() -> Result<()> {
    let (rules, tests) = (contrib(RULES)?.1, contrib(TESTS)?.1);
    let names: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    ensure!(names.len() > 10, "{names:?}");
    for name in names {
        let quiet = format!("alertname: {name}, exp_alerts: []}}\n");
        ensure!(tests.contains(&quiet), "no test that {name} does not fire");
        let fires = format!("alertname: {name}\n        exp_alerts:\n          - exp_labels:");
        ensure!(tests.contains(&fires), "no test that {name} fires");
    }
    // An hour too late is found.
    let Some(mut promtool) = monitoring::program("promtool")? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let late = rules.replacen("> 26 * 3600", "> 27 * 3600", 1);
    let out = tested(&mut promtool, dir.path(), &late)?;
    ensure!(late != rules && !out.status.success(), "{}", text(&out));
    ensure!(text(&out).contains("PiprioBackupTooOld"), "{}", text(&out));
    Ok(())
}
