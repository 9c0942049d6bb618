//! One answer of a health check.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A service's state, as its driver tells.
    Service,
    /// The database answers.
    Database,
    /// The cache answers.
    Cache,
    /// An application says that it is ready.
    Readiness,
    /// The deployment's own object storage answers.
    Storage,
    /// Space is left on a filesystem.
    Disk,
    /// The newest bundle is whole, and not older than it should be.
    Bundle,
}

impl Kind {
    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Cache => "cache",
            Self::Readiness => "readiness",
            Self::Storage => "storage",
            Self::Disk => "disk",
            Self::Bundle => "bundle",
        }
    }
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It works.
    Pass,
    /// It works, and somebody should look at it before it does not.
    Warn,
    /// It does not work.
    Fail,
}

impl Verdict {
    /// Its word in the report.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was measured, for programs: a name and a value each.
pub type Facts = BTreeMap<&'static str, Value>;

/// One line of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What is probed.
    pub kind: Kind,
    /// Which one of that kind.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What it answered, or why it failed; one line, no secrets.
    pub detail: String,
    /// How long the answer took, where that tells something.
    pub latency: Option<Duration>,
    /// The same as the detail tells, as far as it was measured.
    pub facts: Facts,
}

impl Serialize for Probe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Probe", 7)?;
        object.serialize_field("kind", &self.kind)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("verdict", &self.verdict)?;
        object.serialize_field("pass", &(self.verdict != Verdict::Fail))?;
        object.serialize_field("detail", &self.detail)?;
        object.serialize_field("latency_ms", &self.latency.map(|l| l.as_millis()))?;
        object.serialize_field("facts", &self.facts)?;
        object.end()
    }
}

impl Probe {
    /// One with a verdict.
    #[must_use]
    pub fn new(kind: Kind, name: &str, verdict: Verdict, detail: impl Into<String>) -> Self {
        let (name, detail) = (name.into(), detail.into());
        Self { kind, name, verdict, detail, latency: None, facts: Facts::new() }
    }

    /// One that passed.
    #[must_use]
    pub fn pass(kind: Kind, name: &str, detail: impl Into<String>) -> Self {
        Self::new(kind, name, Verdict::Pass, detail)
    }

    /// One that failed.
    #[must_use]
    pub fn fail(kind: Kind, name: &str, detail: impl Into<String>) -> Self {
        Self::new(kind, name, Verdict::Fail, detail)
    }

    /// The same with what was measured.
    #[must_use]
    pub fn knowing(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    /// The same with the time that the answer took.
    #[must_use]
    pub fn after(self, latency: Duration) -> Self {
        Self { latency: Some(latency), ..self }
    }

    /// The same, warned of where a good answer took longer than it should.
    #[must_use]
    pub fn expected_within(mut self, latency: Duration) -> Self {
        if self.verdict == Verdict::Pass && self.latency.is_some_and(|took| took > latency) {
            self.verdict = Verdict::Warn;
            self.detail += &format!(", slower than {} ms", latency.as_millis());
        }
        self
    }

    /// The same on one line, with nothing in it that would steer a terminal, and without any of the
    /// secrets.
    #[must_use]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_lose_secrets_line_ends_and_what_steers_a_terminal() {
        let probe = Probe::fail(Kind::Cache, "redis", "no\nhunter2 \x1b[2Jhere\x07");
        assert_eq!(probe.without(&["hunter2".into(), String::new()]).detail, "no *** [2Jhere");
    }

    #[test]
    fn a_slow_answer_is_a_warning_and_a_slow_failure_stays_one() {
        let (limit, slow) = (Duration::from_millis(100), Duration::from_millis(101));
        let pass = Probe::pass(Kind::Cache, "redis", "PONG");
        assert_eq!(pass.clone().after(limit).expected_within(limit).verdict, Verdict::Pass);
        let told = pass.clone().after(slow).expected_within(limit);
        assert_eq!((told.verdict, &*told.detail), (Verdict::Warn, "PONG, slower than 100 ms"));
        assert_eq!(pass.expected_within(limit).verdict, Verdict::Pass);
        let fail = Probe::fail(Kind::Cache, "redis", "LOADING").after(slow);
        assert_eq!(fail.expected_within(limit).verdict, Verdict::Fail);
    }
}
