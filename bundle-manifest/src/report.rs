//! What a check found.

use crate::text;
use serde::{Serialize, Serializer};
use std::collections::HashSet;
use std::ffi::OsStr;

/// What a bundle is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Sealed, and all that was checked is as it was sealed.
    Intact,
    /// Something is wrong with it.
    Damaged,
    /// Made by the older script; what can be told of it is fine.
    Unsealed,
    /// It could not be checked.
    Unknown,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Damaged => "damaged",
            Self::Unsealed => "unsealed",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that is wrong: `path` followed by `problem` is a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
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

/// All that is wrong, in the order found.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    // A mirror of a million objects may be missing as a whole.
    seen: HashSet<Problem>,
    paths: HashSet<String>,
}

impl Serialize for Problems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.found.serialize(serializer)
    }
}

impl Problems {
    /// Adds one, unless the same is there already.
    pub fn add(&mut self, path: impl AsRef<OsStr>, problem: impl AsRef<str>) {
        let problem =
            Problem { path: text::path(path.as_ref()), problem: text::one_line(problem.as_ref()) };
        if self.seen.insert(problem.clone()) {
            self.paths.insert(problem.path.clone());
            self.found.push(problem);
        }
    }

    /// Whether something is wrong with this path already.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of it in one short line: the first, and how many more there are.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let first = self.found.first()?;
        Some(match self.found.len() - 1 {
            0 => first.to_string(),
            more => format!("{first} (and {more} more)"),
        })
    }
}

/// The result of a check.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The bundle's name.
    pub bundle: String,
    /// What it is worth.
    #[serde(serialize_with = "word")]
    pub state: State,
    /// Whether it has a seal.
    pub sealed: bool,
    /// What is wrong.
    pub problems: Problems,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

fn word<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.word())
}

impl Report {
    /// Draws the conclusion. Damage found counts, whatever else could not be checked.
    #[must_use]
    pub fn conclude(
        bundle: String,
        sealed: bool,
        problems: Problems,
        unchecked: Vec<String>,
    ) -> Self {
        let state = match (problems.is_empty(), unchecked.is_empty(), sealed) {
            (false, ..) => State::Damaged,
            (true, false, _) => State::Unknown,
            (true, true, true) => State::Intact,
            (true, true, false) => State::Unsealed,
        };
        Self { bundle, state, sealed, problems, unchecked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_counts_whatever_could_not_be_checked() {
        let mut problems = Problems::default();
        let conclude = |p: &Problems, unchecked: &[&str], sealed| {
            let unchecked = unchecked.iter().map(|u| (*u).to_owned()).collect();
            Report::conclude("b".into(), sealed, p.clone(), unchecked).state
        };
        assert_eq!(conclude(&problems, &[], true), State::Intact);
        assert_eq!(conclude(&problems, &[], false), State::Unsealed);
        assert_eq!(conclude(&problems, &["x"], true), State::Unknown);
        problems.add("a", "is missing");
        problems.add("a", "is missing");
        assert_eq!(problems.len(), 1);
        assert_eq!(conclude(&problems, &["x"], true), State::Damaged);
        problems.add("b\n", "is a link");
        assert_eq!(problems.summary().unwrap(), "a is missing (and 1 more)");
    }

    #[test]
    fn the_json_has_the_documented_shape() {
        let mut problems = Problems::default();
        problems.add("MANIFEST.txt", "is missing");
        let report = Report::conclude("b".into(), true, problems, Vec::new());
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"bundle":"b","state":"damaged","sealed":true,"problems":[{"path":"MANIFEST.txt","problem":"is missing"}],"unchecked":[]}"#
        );
    }
}
