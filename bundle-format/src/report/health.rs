//! `health-probe`

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// A service's state, as its driver reports it.
    Service,
    /// The database answers.
    Database,
    /// The cache answers.
    Cache,
    /// An application reports that it is ready.
    Readiness,
    /// The deployment's own object storage answers.
    Storage,
    /// Space is left on a filesystem.
    Disk,
    /// The newest bundle is complete, and not older than it should be.
    Bundle,
    /// The last drill passed, and is not older than it should be.
    Drill,
    /// The newest copy elsewhere is not older than it should be.
    Ship,
}

impl ProbeKind {
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
            Self::Drill => "drill",
            Self::Ship => "ship",
        }
    }
}

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeVerdict {
    /// It works.
    Pass,
    /// It works, but needs attention before it fails.
    Warn,
    /// It does not work.
    Fail,
}

impl ProbeVerdict {
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

/// `health-probe --json`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthReport {
    /// When the check began, RFC 3339, UTC.
    pub timestamp: String,
    /// How long the check took, waiting included.
    pub elapsed_ms: u64,
    /// Whether no probe failed; with `--strict`, none warned either.
    pub healthy: bool,
    /// Number of probes that passed.
    pub passed: usize,
    /// Number of probes that warned.
    pub warned: usize,
    /// Number of probes that failed.
    pub failed: usize,
    /// The probes, in the report's order.
    pub probes: Vec<ProbeReport>,
}

/// One probe of a [`HealthReport`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// What is probed.
    pub kind: ProbeKind,
    /// Which one of that kind.
    pub name: String,
    /// The result.
    pub verdict: ProbeVerdict,
    /// Whether the result is not a failure.
    pub pass: bool,
    /// What was answered, or why it failed: one line, without secrets.
    pub detail: String,
    /// How long the answer took, where that was measured.
    pub latency_ms: Option<u64>,
    /// What was measured, by name.
    pub facts: BTreeMap<String, serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_documented_shape() {
        let text = r#"{"timestamp":"1970-01-01T00:00:00Z","elapsed_ms":12,"healthy":true,"passed":0,"warned":1,"failed":0,"probes":[{"kind":"disk","name":"backups","verdict":"warn","pass":true,"detail":"full soon","latency_ms":null,"facts":{"free_bytes":1}}]}"#;
        let report: HealthReport = serde_json::from_str(text).unwrap();
        assert_eq!(report.probes[0].kind.name(), "disk");
        assert_eq!(report.probes[0].verdict.word(), "warn");
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
    }
}
