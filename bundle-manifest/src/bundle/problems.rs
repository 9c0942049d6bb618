//! What is wrong with a bundle, and what follows from it.

use bundle_format::report::{BundleCheck, BundleState, Problem};
use pipe_kit::text;
use std::collections::HashSet;
use std::ffi::OsStr;

/// Everything that is wrong with a bundle, in the order found.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    // A mirror of a million objects may be missing as a whole.
    seen: HashSet<Problem>,
    paths: HashSet<String>,
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
    pub fn names(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Draws the conclusion about the bundle of that name. Damage counts, even where something else could not be
    /// checked.
    pub fn conclude(self, bundle: String, sealed: bool, unchecked: Vec<String>) -> BundleCheck {
        let state = match (self.found.is_empty(), unchecked.is_empty(), sealed) {
            (false, ..) => BundleState::Damaged,
            (true, false, _) => BundleState::Unknown,
            (true, true, true) => BundleState::Intact,
            (true, true, false) => BundleState::Unsealed,
        };
        BundleCheck { bundle, state, sealed, problems: self.found, unchecked }
    }
}

/// Problems in one short line: the first, and how many more there are.
pub fn summary(problems: &[Problem]) -> Option<String> {
    let (first, more) = problems.split_first()?;
    Some(match more.len() {
        0 => first.to_string(),
        more => format!("{first} (and {more} more)"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_counts_whatever_could_not_be_checked() {
        let mut problems = Problems::default();
        let conclude = |p: &Problems, unchecked: &[&str], sealed| {
            let unchecked = unchecked.iter().map(|u| (*u).to_owned()).collect();
            p.clone().conclude("b".into(), sealed, unchecked).state
        };
        assert_eq!(conclude(&problems, &[], true), BundleState::Intact);
        assert_eq!(conclude(&problems, &[], false), BundleState::Unsealed);
        assert_eq!(conclude(&problems, &["x"], true), BundleState::Unknown);
        problems.add("a", "is missing");
        problems.add("a", "is missing");
        assert_eq!(conclude(&problems, &["x"], true), BundleState::Damaged);
        problems.add("b\n", "is a link");
        let found = problems.conclude("b".into(), true, Vec::new()).problems;
        assert_eq!(found.len(), 2);
        assert_eq!(summary(&found).unwrap(), "a is missing (and 1 more)");
    }
}
