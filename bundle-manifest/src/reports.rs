//! What the other tools print as JSON, as far as a bundle needs it. A test of the pipeline reads what they
//! really print by these declarations.

use serde::Deserialize;

/// `obj-mirror verify --json`
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct MirrorReport {
    /// What is not as the index says.
    pub problems: Vec<MirrorProblem>,
}

/// One of its problems.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct MirrorProblem {
    /// The file, relative to the mirror.
    pub path: String,
    /// What is wrong with it: a sentence's end.
    pub problem: String,
}

/// `pg-snap inspect --json`
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct DumpReport {
    /// Why the dump is not whole; null where it is, never absent.
    #[serde(deserialize_with = "Option::deserialize")]
    pub problem: Option<String>,
}
