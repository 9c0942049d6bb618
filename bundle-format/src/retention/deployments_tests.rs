//! Two deployments with one root, each with its own history, policy and wrong clocks.

use crate::report::BundleState::{self, Damaged, Intact, Unknown, Unsealed};
use crate::retention::bundle::Bundle;
use crate::retention::clock::Run;
use crate::retention::history::{DAY, Fault, Root, ahead, bundle, faults, start};
use crate::retention::policy;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DOMAINS: [&str; 2] = ["a.example.org", "b.example.org"];

/// A run of a history: which deployment's, and which of its runs.
type Id = (usize, usize);

/// What is so whatever the clock reads.
#[derive(Clone, Debug)]
struct History {
    keep_days: u32,
    /// Of each run how long it comes after the one before, in seconds, and what its bundle is.
    runs: Vec<(i64, BundleState)>,
    /// The bundle of the one run is found damaged before the other.
    spoiled: Vec<(usize, usize)>,
}

/// Mostly good bundles, and at times none for weeks.
fn states() -> impl Strategy<Value = Vec<BundleState>> {
    let good = prop_oneof![9 => Just(Intact), 1 => Just(Unsealed)];
    let streak = prop_oneof![
        2 => (good, 1usize..40),
        1 => (prop_oneof![4 => Just(Damaged), 1 => Just(Unknown)], 1usize..60),
    ];
    prop::collection::vec(streak, 2..7).prop_map(|streaks| {
        streaks.into_iter().flat_map(|(state, length)| vec![state; length]).collect()
    })
}

fn histories() -> impl Strategy<Value = History> {
    let gap = prop_oneof![9 => DAY / 12..DAY + 3600, 1 => DAY..2 * DAY];
    let spoiled = prop::collection::vec((0usize..90, 0usize..90), 0..5);
    (2u32..40, states(), prop::collection::vec(gap, 7 * 60), spoiled).prop_map(
        |(keep_days, states, gaps, spoiled)| History {
            keep_days,
            runs: gaps.into_iter().zip(states).collect(),
            spoiled,
        },
    )
}

/// When each run takes place in truth, the first one first.
fn schedule(histories: &[History; 2]) -> Vec<(DateTime<Utc>, Id)> {
    let mut runs = Vec::new();
    for (which, history) in histories.iter().enumerate() {
        let mut truth = start();
        for (run, (gap, _)) in history.runs.iter().enumerate() {
            truth += TimeDelta::seconds(*gap);
            runs.push((truth, (which, run)));
        }
    }
    runs.sort_unstable();
    runs
}

/// The root of both deployments, under clocks of their own.
#[derive(Default)]
struct Shared {
    bundles: Vec<Bundle>,
    made: BTreeMap<String, Id>,
    lasts: [Option<Run>; 2],
    lost: BTreeSet<Id>,
}

impl Shared {
    /// Makes a bundle and prunes.
    ///
    /// # Errors
    /// If the newest intact bundle of one of the deployments is gone after it.
    fn run(
        &mut self,
        history: &History,
        (which, run): Id,
        now: DateTime<Utc>,
    ) -> Result<(), String> {
        let mut now = now;
        while self.made.contains_key(&bundle(now).name) {
            now += TimeDelta::seconds(1);
        }
        let (domain, state) = (Some(DOMAINS[which].to_owned()), history.runs[run].1);
        self.bundles.push(Bundle { domain, state, ..bundle(now) });
        self.made.insert(bundle(now).name, (which, run));
        for (spoiled, _) in history.spoiled.iter().filter(|(_, before)| *before == run) {
            let is_it = |b: &&mut Bundle| self.made[&b.name] == (which, *spoiled);
            self.bundles.iter_mut().filter(is_it).for_each(|b| b.state = Damaged);
        }
        let newest = [self.newest(0), self.newest(1)];
        let (own, others) = policy::own(std::mem::take(&mut self.bundles), Some(DOMAINS[which]));
        let last = self.lasts[which].take();
        let mut root = Root { bundles: own, last, keep_days: history.keep_days, ..Root::default() };
        let (gone, _) = root.prune(now);
        self.lost.extend(gone.iter().map(|name| self.made[name]));
        self.lasts[which] = root.last;
        self.bundles = root.bundles;
        self.bundles.extend(others);
        match newest.iter().flatten().find(|id| self.lost.contains(id)) {
            Some(id) => Err(format!("run {run} of {which} removed the newest intact one: {id:?}")),
            None => Ok(()),
        }
    }

    /// The intact bundle of a deployment that was made last in truth.
    fn newest(&self, which: usize) -> Option<Id> {
        let good = self.bundles.iter().filter(|bundle| bundle.state.is_good());
        good.map(|bundle| self.made[&bundle.name]).filter(|id| id.0 == which).max()
    }

    fn kept(&self) -> BTreeSet<Id> {
        self.bundles.iter().map(|bundle| self.made[&bundle.name]).collect()
    }
}

fn check(histories: &[History; 2], faults: &[Vec<Fault>; 2]) -> Result<(), String> {
    let (mut wrong, mut right) = (Shared::default(), Shared::default());
    for (truth, id) in schedule(histories) {
        let history = &histories[id.0];
        right.run(history, id, truth)?;
        wrong.run(history, id, truth + ahead(&faults[id.0], id.1))?;
        let more: Vec<_> = wrong.lost.intersection(&right.kept()).copied().collect();
        if !more.is_empty() {
            return Err(format!("after {id:?} a right clock would have kept {more:?}"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_run_removes_the_newest_intact_bundle_of_a_deployment_nor_more_than_under_right_clocks(
        histories in [histories(), histories()], faults in [faults(), faults()],
    ) {
        let checked = check(&histories, &faults);
        prop_assert!(checked.is_ok(), "{checked:?}");
    }
}
