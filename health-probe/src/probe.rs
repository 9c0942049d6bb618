//! The result of one probe.

use bundle_format::report::{ProbeKind, ProbeReport, ProbeVerdict};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was measured, by name.
pub type Facts = BTreeMap<&'static str, Value>;

/// One line of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What is probed.
    pub kind: ProbeKind,
    /// Which one of that kind.
    pub name: String,
    /// The result.
    pub verdict: ProbeVerdict,
    /// What was answered, or why it failed.
    pub detail: String,
    /// How long the answer took, where that was measured.
    pub latency: Option<Duration>,
    /// What was measured.
    pub facts: Facts,
}

impl Probe {
    /// A probe with a verdict.
    pub fn new(
        kind: ProbeKind,
        name: &str,
        verdict: ProbeVerdict,
        detail: impl Into<String>,
    ) -> Self {
        let (name, detail) = (name.into(), detail.into());
        Self { kind, name, verdict, detail, latency: None, facts: Facts::new() }
    }

    /// A probe that passed.
    pub fn pass(kind: ProbeKind, name: &str, detail: impl Into<String>) -> Self {
        Self::new(kind, name, ProbeVerdict::Pass, detail)
    }

    /// A probe that failed.
    pub fn fail(kind: ProbeKind, name: &str, detail: impl Into<String>) -> Self {
        Self::new(kind, name, ProbeVerdict::Fail, detail)
    }

    /// The same with what was measured.
    pub fn with_facts(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    /// The same with the time that the answer took.
    pub fn after(self, latency: Duration) -> Self {
        Self { latency: Some(latency), ..self }
    }

    /// The same, as a warning where a good answer took longer than `latency`.
    pub fn expected_within(mut self, latency: Duration) -> Self {
        if self.verdict == ProbeVerdict::Pass && self.latency.is_some_and(|took| took > latency) {
            self.verdict = ProbeVerdict::Warn;
            self.detail += &format!(", slower than {} ms", latency.as_millis());
        }
        self
    }

    /// The same on one line, without control characters and without the secrets.
    pub fn without(mut self, secrets: &[String]) -> Self {
        for secret in secrets.iter().filter(|s| !s.is_empty()) {
            self.detail = self.detail.replace(secret.as_str(), "***");
        }
        for text in [&mut self.name, &mut self.detail] {
            let plain = text.replace(char::is_control, " ");
            *text = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        self
    }
}

impl From<&Probe> for ProbeReport {
    fn from(probe: &Probe) -> Self {
        Self {
            kind: probe.kind,
            name: probe.name.clone(),
            verdict: probe.verdict,
            pass: probe.verdict != ProbeVerdict::Fail,
            detail: probe.detail.clone(),
            latency_ms: probe.latency.map(milliseconds),
            facts: probe
                .facts
                .iter()
                .map(|(name, fact)| ((*name).to_owned(), fact.clone()))
                .collect(),
        }
    }
}

/// Whole milliseconds.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_lose_secrets_line_ends_and_control_characters() {
        let probe = Probe::fail(ProbeKind::Cache, "redis", "no\nhunter2 \x1b[2Jhere\x07");
        assert_eq!(probe.without(&["hunter2".into(), String::new()]).detail, "no *** [2Jhere");
    }

    #[test]
    fn a_slow_answer_is_a_warning_and_a_slow_failure_stays_one() {
        let (limit, slow) = (Duration::from_millis(100), Duration::from_millis(101));
        let pass = Probe::pass(ProbeKind::Cache, "redis", "PONG");
        assert_eq!(pass.clone().after(limit).expected_within(limit).verdict, ProbeVerdict::Pass);
        let slowly = pass.clone().after(slow).expected_within(limit);
        assert_eq!(
            (slowly.verdict, &*slowly.detail),
            (ProbeVerdict::Warn, "PONG, slower than 100 ms")
        );
        assert_eq!(pass.expected_within(limit).verdict, ProbeVerdict::Pass);
        let fail = Probe::fail(ProbeKind::Cache, "redis", "LOADING").after(slow);
        assert_eq!(fail.expected_within(limit).verdict, ProbeVerdict::Fail);
    }
}
