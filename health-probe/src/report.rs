//! The report of a check, for people and for programs.

use crate::probe::{Probe, milliseconds};
use anyhow::Result;
use bundle_format::report::{HealthReport, ProbeReport, ProbeVerdict};
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// When it began.
    pub began: DateTime<Utc>,
    /// How long it took, waiting included.
    pub took: Duration,
    /// Whether a warning counts as a failure.
    pub strict: bool,
    /// The probes, in order.
    pub probes: Vec<Probe>,
}

impl Report {
    fn count(&self, verdict: ProbeVerdict) -> usize {
        self.probes.iter().filter(|p| p.verdict == verdict).count()
    }

    /// Whether a probe failed.
    pub fn has_failed(&self) -> bool {
        self.count(ProbeVerdict::Fail) > 0
    }

    /// Whether the deployment counts as healthy.
    pub fn is_healthy(&self) -> bool {
        !self.has_failed() && (!self.strict || self.count(ProbeVerdict::Warn) == 0)
    }

    /// The last line of the table.
    pub fn summary(&self) -> String {
        let [passed, warned, failed] = [ProbeVerdict::Pass, ProbeVerdict::Warn, ProbeVerdict::Fail]
            .map(|verdict| self.count(verdict));
        let warned = if warned > 0 { format!("{warned} warned, ") } else { String::new() };
        format!("health: {passed} passed, {warned}{failed} failed")
    }

    /// An aligned line for each probe, and the summary; the verdicts in colour where that is wanted.
    pub fn table(&self, colour: bool) -> String {
        let names = self.probes.iter().map(|p| p.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for probe in &self.probes {
            let verdict = coloured(probe.verdict, colour);
            let latency = probe.latency.map(|l| format!(", {} ms", l.as_millis()));
            let latency = latency.unwrap_or_default();
            let (kind, name, detail) = (probe.kind.name(), &probe.name, &probe.detail);
            text += &format!("{verdict}  {kind:9}  {name:names$}  {detail}{latency}\n");
        }
        text + &self.summary() + "\n"
    }

    /// One JSON object, as the documentation of the format has it.
    pub fn json(&self) -> Result<String> {
        let json = HealthReport {
            timestamp: self.began.to_rfc3339_opts(SecondsFormat::Secs, true),
            elapsed_ms: milliseconds(self.took),
            healthy: self.is_healthy(),
            passed: self.count(ProbeVerdict::Pass),
            warned: self.count(ProbeVerdict::Warn),
            failed: self.count(ProbeVerdict::Fail),
            probes: self.probes.iter().map(ProbeReport::from).collect(),
        };
        Ok(serde_json::to_string_pretty(&json)? + "\n")
    }
}

/// Whether a table is printed in colour: on a terminal that supports it, unless NO_COLOR is set
/// (<https://no-color.org>).
pub fn wants_colour(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    is_terminal && !is_set("NO_COLOR") && variable("TERM").is_some_and(|term| term != "dumb")
}

fn coloured(verdict: ProbeVerdict, colour: bool) -> String {
    let word = verdict.word();
    let code = match verdict {
        ProbeVerdict::Pass => 32,
        ProbeVerdict::Warn => 33,
        ProbeVerdict::Fail => 31,
    };
    if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::ProbeKind;

    fn report(verdict: ProbeVerdict) -> Report {
        let probes = vec![
            Probe::pass(ProbeKind::Service, "api", "running"),
            Probe::new(ProbeKind::Readiness, "scheduler", verdict, "503")
                .after(Duration::from_millis(12)),
        ];
        Report { began: DateTime::UNIX_EPOCH, took: Duration::from_secs(1), strict: false, probes }
    }

    #[test]
    fn the_table_is_aligned_and_ends_in_a_summary() {
        assert_eq!(
            report(ProbeVerdict::Fail).table(false),
            "pass  service    api        running\n\
             fail  readiness  scheduler  503, 12 ms\n\
             health: 1 passed, 1 failed\n"
        );
        let table = report(ProbeVerdict::Warn).table(true);
        assert!(table.starts_with("\x1b[32mpass\x1b[0m  service    api        running\n"));
        assert!(table.ends_with("\nhealth: 1 passed, 1 warned, 0 failed\n"), "{table}");
    }

    #[test]
    fn a_warning_is_a_failure_only_to_the_strict() {
        let table = [
            (ProbeVerdict::Pass, true, true),
            (ProbeVerdict::Warn, false, true),
            (ProbeVerdict::Warn, true, false),
            (ProbeVerdict::Fail, false, false),
        ];
        for (verdict, strict, healthy) in table {
            assert_eq!(Report { strict, ..report(verdict) }.is_healthy(), healthy, "{verdict:?}");
        }
    }

    #[test]
    fn json_carries_the_same() {
        let text = report(ProbeVerdict::Warn).json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!((&json["healthy"], &json["warned"]), (&true.into(), &1.into()));
        let probe = &json["probes"][1];
        assert_eq!((&probe["kind"], &probe["verdict"]), (&"readiness".into(), &"warn".into()));
        assert_eq!((&probe["pass"], &probe["latency_ms"]), (&true.into(), &12.into()));
        assert_eq!(json["probes"][0]["latency_ms"], serde_json::Value::Null);
    }

    #[test]
    fn colour_is_for_terminals_that_have_it_and_people_who_want_it() {
        let wanted = |is_terminal, variables: &[(&str, &str)]| {
            wants_colour(is_terminal, |name| {
                let found = variables.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(wanted(true, &[("TERM", "xterm")]));
        assert!(wanted(true, &[("TERM", "xterm"), ("NO_COLOR", "")]));
        assert!(!wanted(true, &[("TERM", "xterm"), ("NO_COLOR", "1")]));
        assert!(!wanted(true, &[("TERM", "dumb")]));
        assert!(!wanted(true, &[]));
        assert!(!wanted(false, &[("TERM", "xterm")]));
    }
}
