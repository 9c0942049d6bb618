//! The report.

use crate::probe::Probe;
use anyhow::Result;
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    healthy: bool,
    passed: usize,
    failed: usize,
    probes: &'a [Probe],
}

fn passed(probes: &[Probe]) -> usize {
    probes.iter().filter(|p| p.pass).count()
}

/// The last line of the table.
#[must_use]
pub fn summary(probes: &[Probe]) -> String {
    let passed = passed(probes);
    format!("health: {passed} passed, {} failed", probes.len() - passed)
}

/// A line each, aligned, and the summary.
#[must_use]
pub fn table(probes: &[Probe]) -> String {
    let names = probes.iter().map(|p| p.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for probe in probes {
        let verdict = if probe.pass { "pass" } else { "fail" };
        let latency = probe.latency.map(|l| format!(", {} ms", l.as_millis())).unwrap_or_default();
        let (kind, name, detail) = (probe.kind.name(), &probe.name, &probe.detail);
        text += &format!("{verdict}  {kind:9}  {name:names$}  {detail}{latency}\n");
    }
    text + &summary(probes) + "\n"
}

/// JSON: `healthy`, `passed`, `failed` and `probes`, latencies in milliseconds.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn json(probes: &[Probe]) -> Result<String> {
    let passed = passed(probes);
    let failed = probes.len() - passed;
    let report = Report { healthy: failed == 0, passed, failed, probes };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Kind;
    use std::time::Duration;

    fn probes() -> Vec<Probe> {
        vec![
            Probe::pass(Kind::Service, "api", "running"),
            Probe::fail(Kind::Readiness, "scheduler", "503").after(Duration::from_millis(12)),
        ]
    }

    #[test]
    fn the_table_is_aligned_and_ends_in_a_summary() {
        assert_eq!(
            table(&probes()),
            "pass  service    api        running\n\
             fail  readiness  scheduler  503, 12 ms\n\
             health: 1 passed, 1 failed\n"
        );
    }

    #[test]
    fn json_carries_the_same() {
        let report: serde_json::Value = serde_json::from_str(&json(&probes()).unwrap()).unwrap();
        assert_eq!(report["healthy"], false);
        assert_eq!(report["failed"], 1);
        assert_eq!(report["probes"][1]["kind"], "readiness");
        assert_eq!(report["probes"][1]["latency_ms"], 12);
        assert_eq!(report["probes"][0]["latency_ms"], serde_json::Value::Null);
    }
}
