//! What came before: the bundle and the drill that this one is compared with.

pub mod definitions;
pub mod difference;

use bundle_format::domain::differ;
use bundle_format::report::{DrillReport, DrillResult, ListedBundle, Listing};
use chrono::{DateTime, Utc};
use std::path::PathBuf;

/// The bundle that is drilled, as far as it decides what comes before it.
#[derive(Clone, Copy, Debug)]
pub struct Drilled<'a> {
    pub name: &'a str,
    pub taken: Option<DateTime<Utc>>,
    pub domain: Option<&'a str>,
}

/// A bundle to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    pub name: String,
    pub path: PathBuf,
}

/// The last drill of an older bundle of the same deployment that counted rows.
pub fn last_drill<'a>(drilled: Drilled<'_>, history: &'a [DrillReport]) -> Option<&'a DrillReport> {
    let is_it = |report: &&DrillReport| {
        let bundle = &report.bundle;
        !report.rows.is_empty()
            && matches!(report.result, DrillResult::Passed | DrillResult::Finding)
            && bundle.name != drilled.name
            && is_before(bundle.taken, drilled.taken)
            && !differ(Some(&bundle.domain), drilled.domain)
    };
    history.iter().rev().find(is_it)
}

/// The bundle of that drill, if it is still there and good, else the newest other good one that is older.
pub fn choose(
    drilled: Drilled<'_>,
    history: &[DrillReport],
    listing: &Listing,
) -> Option<Baseline> {
    let last = last_drill(drilled, history).map(|report| report.bundle.name.as_str());
    let older = |bundle: &&ListedBundle| {
        bundle.state.is_good()
            && bundle.name != drilled.name
            && is_before(Some(bundle.timestamp), drilled.taken)
            && !differ(Some(&bundle.domain), drilled.domain)
    };
    let mut candidates = listing.bundles.iter().filter(older);
    let found = last.and_then(|last| candidates.clone().find(|bundle| bundle.name == last));
    let found = found.or_else(|| candidates.next())?;
    Some(Baseline { name: found.name.clone(), path: PathBuf::from(&found.path) })
}

/// Earlier drills of a bundle of this name that had another seal: that bundle was changed since.
pub fn sealed_otherwise<'a>(
    name: &str,
    seal: Option<&str>,
    history: &'a [DrillReport],
) -> Option<&'a DrillReport> {
    let is_other =
        |report: &&DrillReport| report.bundle.name == name && report.bundle.seal.as_deref() != seal;
    history.iter().rev().find(is_other)
}

/// A bundle of no known time comes after every other.
fn is_before(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one < other,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::{BundleState, DrilledBundle};

    fn time(day: u32) -> DateTime<Utc> {
        format!("2026-04-{day:02}T02:00:00Z").parse().unwrap()
    }

    fn listed(day: u32, state: BundleState, domain: &str) -> ListedBundle {
        ListedBundle {
            name: format!("b{day}"),
            path: format!("/b/b{day}"),
            timestamp: time(day),
            state,
            domain: domain.to_owned(),
            ..ListedBundle::default()
        }
    }

    fn report(day: u32, result: DrillResult, seal: &str) -> DrillReport {
        let bundle = DrilledBundle {
            name: format!("b{day}"),
            taken: Some(time(day)),
            domain: "a.org".to_owned(),
            seal: Some(seal.to_owned()),
            ..DrilledBundle::default()
        };
        let rows = [("public".to_owned(), 3)].into();
        DrillReport { result, bundle, rows, ..DrillReport::default() }
    }

    fn drilled(name: &str, day: u32) -> Drilled<'_> {
        Drilled { name, taken: Some(time(day)), domain: Some("a.org") }
    }

    #[test]
    fn the_baseline_is_the_last_drills_bundle_or_else_the_newest_older_one() {
        use BundleState::{Damaged, Intact};
        let listing = Listing {
            bundles: vec![
                listed(21, Intact, "a.org"),
                listed(20, Damaged, "a.org"),
                listed(19, Intact, "b.org"),
                listed(18, Intact, "a.org"),
                listed(11, Intact, "a.org"),
            ],
            ..Listing::default()
        };
        let history = [
            report(11, DrillResult::Passed, "x"),
            report(21, DrillResult::Passed, "x"),
            report(14, DrillResult::Failed, "x"),
        ];
        let name = |drilled: Drilled<'_>, history: &[DrillReport]| {
            choose(drilled, history, &listing).map(|baseline| baseline.name)
        };
        assert_eq!(name(drilled("b21", 21), &[]).as_deref(), Some("b18"));
        assert_eq!(name(drilled("b21", 21), &history).as_deref(), Some("b11"));
        // Its bundle is gone.
        assert_eq!(
            name(drilled("b21", 21), &[report(12, DrillResult::Passed, "x")]).as_deref(),
            Some("b18")
        );
        assert_eq!(name(drilled("b11", 11), &history), None);
        assert_eq!(last_drill(drilled("b21", 21), &history).unwrap().bundle.name, "b11");
        assert!(last_drill(drilled("b11", 11), &history).is_none());
    }

    #[test]
    fn a_bundle_whose_seal_is_another_than_before_was_changed() {
        let history = [report(11, DrillResult::Finding, "x")];
        assert!(sealed_otherwise("b11", Some("x"), &history).is_none());
        assert!(sealed_otherwise("b12", Some("y"), &history).is_none());
        assert!(sealed_otherwise("b11", Some("y"), &history).is_some());
        assert!(sealed_otherwise("b11", None, &history).is_some());
    }
}
