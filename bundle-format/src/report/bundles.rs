//! `bundle-manifest list` and `bundle-manifest verify`.

use super::drill::DrillResult;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a check of a bundle concludes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BundleState {
    /// Sealed, and everything that was checked is as it was sealed.
    Intact,
    /// Made by the older script, without a seal; everything that can be checked is in order.
    Unsealed,
    /// Something is wrong with it.
    Damaged,
    /// It could not be checked; or a reader of the report does not know the state's word.
    #[default]
    #[serde(other)]
    Unknown,
}

impl BundleState {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Unsealed => "unsealed",
            Self::Damaged => "damaged",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a deployment can be restored from the bundle, as far as is known.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Intact | Self::Unsealed)
    }
}

/// `bundle-manifest list --json`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// The directory that holds the bundles.
    pub root: String,
    /// Finished bundles, newest first.
    pub bundles: Vec<ListedBundle>,
    /// Names of partial bundles.
    pub partials: Vec<String>,
    /// Names of bundles dated more than a day ahead of the clock.
    pub ahead: Vec<String>,
    /// Bundles that set the alarm off: each holds far less than the one before it.
    pub shrunk: Vec<ShrunkBundle>,
    /// Bundles with the mark that a full verify has found them damaged.
    #[serde(default)]
    pub damaged: Vec<DamagedBundle>,
}

/// A bundle that holds far less than the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShrunkBundle {
    /// The bundle's name.
    pub name: String,
    /// What it lacks, as the end of a sentence.
    pub reason: String,
}

/// A bundle that a full verify has found damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedBundle {
    /// The bundle's name.
    pub name: String,
    /// When it was found.
    pub found: DateTime<Utc>,
}

/// The last drill of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drilled {
    /// The report's directory.
    pub drill: String,
    /// When it began.
    pub timestamp: DateTime<Utc>,
    /// How it ended.
    pub result: DrillResult,
    /// The recovery time in seconds; null where nothing was loaded.
    pub rto_seconds: Option<f64>,
}

/// A copy of a bundle elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippedTo {
    /// The destination, without secrets.
    pub destination: String,
    /// When it was copied.
    pub timestamp: DateTime<Utc>,
}

/// One finished bundle of a [`Listing`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListedBundle {
    /// The directory's name.
    pub name: String,
    /// The directory's path.
    pub path: String,
    /// When it was taken, by its name.
    pub timestamp: DateTime<Utc>,
    /// Seconds since then; negative where it is dated ahead of the clock.
    pub age_seconds: i64,
    /// The size of all its files.
    pub bytes: u64,
    /// The deployment's version, or `unknown`.
    pub version: String,
    /// The deployment's domain, or `unknown`.
    pub domain: String,
    /// What a quick check concludes.
    pub state: BundleState,
    /// Why it is not intact.
    pub reason: Option<String>,
    /// What it lacks of the bundle before it, where that set the alarm off.
    pub shrunk: Option<String>,
    /// Its last drill; null where it was never drilled as it is now.
    #[serde(default)]
    pub drilled: Option<Drilled>,
    /// Where this host has copied it to, as it is now.
    #[serde(default)]
    pub shipped: Vec<ShippedTo>,
}

/// `bundle-manifest verify --json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleCheck {
    /// The bundle's name.
    pub bundle: String,
    /// The conclusion.
    pub state: BundleState,
    /// Whether the bundle has a seal.
    pub sealed: bool,
    /// What is wrong, in the order found.
    pub problems: Vec<Problem>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

/// One thing that is wrong: `path` followed by `problem` is a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// Relative to the bundle.
    pub path: String,
    /// What is wrong with it: `is missing`.
    pub problem: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path, self.problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_the_documented_shape() {
        let bundle = ListedBundle {
            name: "piprio_20260421T020000Z".to_owned(),
            path: "/b/piprio_20260421T020000Z".to_owned(),
            timestamp: "2026-04-21T02:00:00Z".parse().unwrap(),
            version: "4.2".to_owned(),
            domain: "unknown".to_owned(),
            state: BundleState::Unsealed,
            drilled: Some(Drilled {
                drill: "drill_20260422T020000Z".to_owned(),
                timestamp: "2026-04-22T02:00:00Z".parse().unwrap(),
                result: DrillResult::Passed,
                rto_seconds: Some(1.5),
            }),
            shipped: vec![ShippedTo {
                destination: "s3://offsite".to_owned(),
                timestamp: "2026-04-21T02:10:00Z".parse().unwrap(),
            }],
            ..ListedBundle::default()
        };
        let shrunk = ShrunkBundle { name: "b".to_owned(), reason: "r".to_owned() };
        let listing = Listing {
            root: "/b".to_owned(),
            bundles: vec![bundle],
            shrunk: vec![shrunk],
            damaged: vec![DamagedBundle { name: "d".to_owned(), found: DateTime::UNIX_EPOCH }],
            ..Listing::default()
        };
        let text = serde_json::to_string(&listing).unwrap();
        assert_eq!(
            text,
            r#"{"root":"/b","bundles":[{"name":"piprio_20260421T020000Z","path":"/b/piprio_20260421T020000Z","timestamp":"2026-04-21T02:00:00Z","age_seconds":0,"bytes":0,"version":"4.2","domain":"unknown","state":"unsealed","reason":null,"shrunk":null,"drilled":{"drill":"drill_20260422T020000Z","timestamp":"2026-04-22T02:00:00Z","result":"passed","rto_seconds":1.5},"shipped":[{"destination":"s3://offsite","timestamp":"2026-04-21T02:10:00Z"}]}],"partials":[],"ahead":[],"shrunk":[{"name":"b","reason":"r"}],"damaged":[{"name":"d","found":"1970-01-01T00:00:00Z"}]}"#
        );
        assert_eq!(serde_json::from_str::<Listing>(&text).unwrap(), listing);
    }

    #[test]
    fn a_state_is_written_as_its_word_and_another_word_reads_as_unknown() {
        use BundleState::{Damaged, Intact, Unknown, Unsealed};
        for state in [Intact, Unsealed, Damaged, Unknown] {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(text, format!("{:?}", state.word()));
            assert_eq!(serde_json::from_str::<BundleState>(&text).unwrap(), state);
        }
        assert_eq!(serde_json::from_str::<BundleState>("\"new\"").unwrap(), Unknown);
    }

    #[test]
    fn a_check_has_the_documented_shape() {
        let problem = Problem { path: "MANIFEST.txt".to_owned(), problem: "is missing".to_owned() };
        let check = BundleCheck {
            bundle: "b".to_owned(),
            state: BundleState::Damaged,
            sealed: true,
            problems: vec![problem],
            unchecked: Vec::new(),
        };
        assert_eq!(
            serde_json::to_string(&check).unwrap(),
            r#"{"bundle":"b","state":"damaged","sealed":true,"problems":[{"path":"MANIFEST.txt","problem":"is missing"}],"unchecked":[]}"#
        );
    }
}
