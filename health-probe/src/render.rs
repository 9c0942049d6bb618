//! The report.

use crate::probe::{Probe, Verdict};
use anyhow::Result;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use std::time::Duration;

/// What a check has found.
#[derive(Debug)]
pub struct Report {
    /// When it began.
    pub began: DateTime<Utc>,
    /// How long it took, waiting included.
    pub took: Duration,
    /// Whether a warning counts as a failure.
    pub strict: bool,
    /// A line each.
    pub probes: Vec<Probe>,
}

#[derive(Serialize)]
struct Json<'a> {
    timestamp: String,
    elapsed_ms: u128,
    healthy: bool,
    passed: usize,
    warned: usize,
    failed: usize,
    probes: &'a [Probe],
}

impl Report {
    fn count(&self, verdict: Verdict) -> usize {
        self.probes.iter().filter(|p| p.verdict == verdict).count()
    }

    /// Whether something does not work, which waiting may cure.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.count(Verdict::Fail) > 0
    }

    /// Whether all is well.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.has_failed() && (!self.strict || self.count(Verdict::Warn) == 0)
    }

    /// The last line of the table.
    #[must_use]
    pub fn summary(&self) -> String {
        let [passed, warned, failed] =
            [Verdict::Pass, Verdict::Warn, Verdict::Fail].map(|verdict| self.count(verdict));
        let warned = if warned > 0 { format!("{warned} warned, ") } else { String::new() };
        format!("health: {passed} passed, {warned}{failed} failed")
    }

    /// A line each, aligned, and the summary; the verdicts coloured where that is wanted.
    #[must_use]
    pub fn table(&self, colour: bool) -> String {
        let names = self.probes.iter().map(|p| p.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for probe in &self.probes {
            let verdict = painted(probe.verdict, colour);
            let latency = probe.latency.map(|l| format!(", {} ms", l.as_millis()));
            let latency = latency.unwrap_or_default();
            let (kind, name, detail) = (probe.kind.name(), &probe.name, &probe.detail);
            text += &format!("{verdict}  {kind:9}  {name:names$}  {detail}{latency}\n");
        }
        text + &self.summary() + "\n"
    }

    /// One JSON object, as the documentation of the format has it.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn json(&self) -> Result<String> {
        let json = Json {
            timestamp: self.began.to_rfc3339_opts(SecondsFormat::Secs, true),
            elapsed_ms: self.took.as_millis(),
            healthy: self.is_healthy(),
            passed: self.count(Verdict::Pass),
            warned: self.count(Verdict::Warn),
            failed: self.count(Verdict::Fail),
            probes: &self.probes,
        };
        Ok(serde_json::to_string_pretty(&json)? + "\n")
    }
}

/// Whether a table is to be coloured: on a terminal that knows colours, unless nobody wants them
/// (<https://no-color.org>).
#[must_use]
pub fn wants_colour(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    is_terminal && !is_set("NO_COLOR") && variable("TERM").is_some_and(|term| term != "dumb")
}

fn painted(verdict: Verdict, colour: bool) -> String {
    let word = verdict.word();
    let code = match verdict {
        Verdict::Pass => 32,
        Verdict::Warn => 33,
        Verdict::Fail => 31,
    };
    if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Kind;

    fn report(verdict: Verdict) -> Report {
        let probes = vec![
            Probe::pass(Kind::Service, "api", "running"),
            Probe::new(Kind::Readiness, "scheduler", verdict, "503")
                .after(Duration::from_millis(12)),
        ];
        Report { began: DateTime::UNIX_EPOCH, took: Duration::from_secs(1), strict: false, probes }
    }

    #[test]
    fn the_table_is_aligned_and_ends_in_a_summary() {
        assert_eq!(
            report(Verdict::Fail).table(false),
            "pass  service    api        running\n\
             fail  readiness  scheduler  503, 12 ms\n\
             health: 1 passed, 1 failed\n"
        );
        let table = report(Verdict::Warn).table(true);
        assert!(table.starts_with("\x1b[32mpass\x1b[0m  service    api        running\n"));
        assert!(table.ends_with("\nhealth: 1 passed, 1 warned, 0 failed\n"), "{table}");
    }

    #[test]
    fn a_warning_is_a_failure_only_to_the_strict() {
        let table = [
            (Verdict::Pass, true, true),
            (Verdict::Warn, false, true),
            (Verdict::Warn, true, false),
            (Verdict::Fail, false, false),
        ];
        for (verdict, strict, healthy) in table {
            assert_eq!(Report { strict, ..report(verdict) }.is_healthy(), healthy, "{verdict:?}");
        }
    }

    #[test]
    fn json_carries_the_same() {
        let text = report(Verdict::Warn).json().unwrap();
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
        let asked = |is_terminal, variables: &[(&str, &str)]| {
            wants_colour(is_terminal, |name| {
                let found = variables.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(asked(true, &[("TERM", "xterm")]));
        assert!(asked(true, &[("TERM", "xterm"), ("NO_COLOR", "")]));
        assert!(!asked(true, &[("TERM", "xterm"), ("NO_COLOR", "1")]));
        assert!(!asked(true, &[("TERM", "dumb")]));
        assert!(!asked(true, &[]));
        assert!(!asked(false, &[("TERM", "xterm")]));
    }
}
