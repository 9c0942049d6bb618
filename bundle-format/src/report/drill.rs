//! The report of a drill: `drill-run --json`, and `report.json` in `DEPLOY/.drills/drill_YYYYMMDDTHHMMSSZ/`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format that is written now.
pub const DRILL_FORMAT: u32 = 1;

/// How a drill ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrillResult {
    /// The bundle restores, and every check is as expected. Exit status 0.
    Passed,
    /// A check found something. Exit status 1.
    Finding,
    /// A step could not be carried out. Exit status 1.
    Failed,
    /// The bundle is damaged. Exit status 4.
    Damaged,
    /// The drill could not begin, for lack of room or programs. Exit status 5.
    Refused,
    /// A signal ended it; or a reader does not know the word.
    #[default]
    #[serde(other)]
    Interrupted,
}

impl DrillResult {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Passed,
        Self::Finding,
        Self::Failed,
        Self::Damaged,
        Self::Refused,
        Self::Interrupted,
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Finding => "finding",
            Self::Failed => "failed",
            Self::Damaged => "damaged",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DrillLevel {
    /// Database, objects and configuration.
    #[default]
    Data,
    /// These, and the product's services.
    App,
}

impl DrillLevel {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::App => "app",
        }
    }
}

/// What was found by a check, or by a step as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrillVerdict {
    /// As expected.
    Pass,
    /// Not as before, but no sign of a loss.
    Note,
    /// Not as expected.
    Finding,
    /// It could not be carried out.
    Failed,
    /// It was not carried out; or a reader does not know the word.
    #[default]
    #[serde(other)]
    Skipped,
}

impl DrillVerdict {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Note => "note",
            Self::Finding => "finding",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A drill, from its start to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillReport {
    /// [`DRILL_FORMAT`]
    pub format: u32,
    /// The report's directory: `drill_YYYYMMDDTHHMMSSZ`.
    pub drill: String,
    /// The toolkit's version.
    pub toolkit: String,
    /// The host's name.
    pub host: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub result: DrillResult,
    /// What was restored.
    pub level: DrillLevel,
    /// The bundle that was restored.
    pub bundle: DrilledBundle,
    /// The PostgreSQL that it was loaded into, if one was started.
    pub server: Option<DrillServer>,
    /// The recovery time and the age of the data, with their goals.
    pub goals: DrillGoals,
    /// The steps that were taken, in order.
    pub steps: Vec<DrillStep>,
    /// What was checked, in order.
    pub checks: Vec<DrillCheck>,
    /// Rows of each schema.
    pub rows: BTreeMap<String, u64>,
    /// The report before this one; none for the first.
    pub previous: Option<PreviousDrill>,
    /// The SHA-256 of the files beside `report.json`, in hexadecimal, by their names.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// The bundle of a [`DrillReport`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrilledBundle {
    /// The bundle's name.
    pub name: String,
    /// Where it was read from.
    pub path: String,
    /// When it was taken, by its name; none for another directory.
    pub taken: Option<DateTime<Utc>>,
    /// The deployment's domain, or `unknown`.
    pub domain: String,
    /// The deployment's version, or `unknown`.
    pub version: String,
    /// The SHA-256 of the bundle's seal, in hexadecimal; none for an unsealed bundle.
    pub seal: Option<String>,
    /// Bytes of the dump.
    pub database_bytes: Option<u64>,
    /// Bytes of the objects.
    pub objects_bytes: Option<u64>,
    /// Number of objects.
    pub objects: Option<u64>,
    /// Bytes of the config archive.
    pub config_bytes: Option<u64>,
}

/// The private PostgreSQL of a [`DrillReport`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillServer {
    /// Its version.
    pub version: String,
    /// Where it came from: a directory with programs, or an image.
    pub source: String,
    /// Bytes of the database that was loaded.
    pub database_bytes: Option<u64>,
}

/// Times against their goals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillGoals {
    /// The recovery time (RTO): the seconds of the load.
    pub rto_seconds: Option<f64>,
    /// `DRILL_RTO_GOAL_MINUTES`, in seconds.
    pub rto_goal_seconds: Option<f64>,
    /// The age of the data (RPO): the seconds from the bundle's time to the drill's start.
    pub rpo_seconds: Option<f64>,
    /// `DRILL_RPO_GOAL_HOURS`, in seconds.
    pub rpo_goal_seconds: Option<f64>,
}

/// A step of a [`DrillReport`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillStep {
    /// Its name.
    pub step: String,
    /// The worst of its checks.
    pub verdict: DrillVerdict,
    /// Seconds from the drill's start to the step's.
    pub begins: f64,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed or was skipped.
    pub detail: Option<String>,
}

/// A check of a [`DrillReport`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillCheck {
    /// The step that it belongs to.
    pub step: String,
    /// What is checked: `rows of tenant_0001.documents`.
    pub check: String,
    /// The result.
    pub verdict: DrillVerdict,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// The report before a [`DrillReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousDrill {
    /// Its directory.
    pub drill: String,
    /// The SHA-256 of its `report.json`, in hexadecimal.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_documented_shape() {
        let check = DrillCheck {
            step: "compare".to_owned(),
            check: "tables".to_owned(),
            verdict: DrillVerdict::Pass,
            expected: "3".to_owned(),
            found: "3".to_owned(),
        };
        let step = DrillStep {
            step: "load".to_owned(),
            verdict: DrillVerdict::Pass,
            ..DrillStep::default()
        };
        let report = DrillReport {
            format: DRILL_FORMAT,
            drill: "drill_19700101T000000Z".to_owned(),
            result: DrillResult::Passed,
            steps: vec![step],
            checks: vec![check],
            rows: [("public".to_owned(), 3)].into(),
            previous: Some(PreviousDrill { drill: "a".to_owned(), sha256: "b".to_owned() }),
            files: [("report.md".to_owned(), "c".to_owned())].into(),
            ..DrillReport::default()
        };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(
            text,
            r#"{"format":1,"drill":"drill_19700101T000000Z","toolkit":"","host":"","started":"1970-01-01T00:00:00Z","seconds":0.0,"result":"passed","level":"data","bundle":{"name":"","path":"","taken":null,"domain":"","version":"","seal":null,"database_bytes":null,"objects_bytes":null,"objects":null,"config_bytes":null},"server":null,"goals":{"rto_seconds":null,"rto_goal_seconds":null,"rpo_seconds":null,"rpo_goal_seconds":null},"steps":[{"step":"load","verdict":"pass","begins":0.0,"seconds":0.0,"detail":null}],"checks":[{"step":"compare","check":"tables","verdict":"pass","expected":"3","found":"3"}],"rows":{"public":3},"previous":{"drill":"a","sha256":"b"},"files":{"report.md":"c"}}"#
        );
        assert_eq!(serde_json::from_str::<DrillReport>(&text).unwrap(), report);
    }

    #[test]
    fn an_unknown_word_is_no_error() {
        assert_eq!(
            serde_json::from_str::<DrillResult>("\"new\"").unwrap(),
            DrillResult::Interrupted
        );
        assert_eq!(serde_json::from_str::<DrillVerdict>("\"new\"").unwrap(), DrillVerdict::Skipped);
    }
}
