//! One answer of a health check.

use serde::{Serialize, Serializer};
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
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// What is probed.
    pub kind: Kind,
    /// Which one of that kind.
    pub name: String,
    /// Whether it is well.
    pub pass: bool,
    /// What it answered, or why it failed; one line, no secrets.
    pub detail: String,
    /// How long the answer took, where that tells something.
    #[serde(rename = "latency_ms", serialize_with = "milliseconds")]
    pub latency: Option<Duration>,
}

fn milliseconds<S: Serializer>(
    latency: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    latency.map(|l| l.as_millis()).serialize(serializer)
}

impl Probe {
    /// One that passed.
    #[must_use]
    pub fn pass(kind: Kind, name: &str, detail: impl Into<String>) -> Self {
        Self { kind, name: name.into(), pass: true, detail: detail.into(), latency: None }
    }

    /// One that failed.
    #[must_use]
    pub fn fail(kind: Kind, name: &str, detail: impl Into<String>) -> Self {
        Self { pass: false, ..Self::pass(kind, name, detail) }
    }

    /// The same with the time that the answer took.
    #[must_use]
    pub fn after(self, latency: Duration) -> Self {
        Self { latency: Some(latency), ..self }
    }

    /// The same on one line and without any of the secrets.
    #[must_use]
    pub fn without(mut self, secrets: &[String]) -> Self {
        for secret in secrets.iter().filter(|s| !s.is_empty()) {
            self.detail = self.detail.replace(secret.as_str(), "***");
        }
        self.detail = self.detail.split_whitespace().collect::<Vec<_>>().join(" ");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_lose_secrets_and_line_ends() {
        let probe = Probe::fail(Kind::Cache, "redis", "no\nhunter2 here\x07");
        assert_eq!(probe.without(&["hunter2".into(), String::new()]).detail, "no *** here\x07");
    }
}
