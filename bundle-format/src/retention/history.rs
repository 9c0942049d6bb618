//! A history of backups, for tests: a root and its record, under clocks that may be wrong.

use crate::report::BundleState;
use crate::retention::bundle::Bundle;
use crate::retention::calendar::Calendar;
use crate::retention::clock::{Reading, Run};
use crate::retention::policy::{self, Decision, Hold, Policy, Verdict};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeMap;

pub const DAY: i64 = 86_400;
pub const KEEP: u32 = 30;

pub fn start() -> DateTime<Utc> {
    "2026-04-21T02:00:00Z".parse().unwrap()
}

pub fn bundle(taken: DateTime<Utc>) -> Bundle {
    let name = taken.format("piprio_%Y%m%dT%H%M%SZ").to_string();
    Bundle { name, taken, state: BundleState::Intact, domain: None, shrunk: None }
}

/// A root and its record, through one backup after another.
pub struct Root {
    pub bundles: Vec<Bundle>,
    /// When each was made in truth.
    pub made: BTreeMap<String, DateTime<Utc>>,
    pub last: Option<Run>,
    pub keep_days: u32,
    pub calendar: Calendar,
}

impl Default for Root {
    fn default() -> Self {
        Self {
            bundles: Vec::new(),
            made: BTreeMap::new(),
            last: None,
            keep_days: KEEP,
            calendar: Calendar::default(),
        }
    }
}

impl Root {
    /// An empty root whose bundles the calendar keeps too.
    pub fn with(calendar: Calendar) -> Self {
        Self { calendar, ..Self::default() }
    }

    /// Backups of so many nights, under a right clock.
    pub fn nights(first: i64, nights: i64) -> Self {
        let mut root = Self::default();
        for night in first..first + nights {
            root.backup(start() + TimeDelta::days(night), TimeDelta::zero());
        }
        root
    }

    /// Makes a bundle by a clock that reads so much more than it should, and prunes; gives what was
    /// removed, and whether the run held back for the clock.
    pub fn backup(&mut self, truth: DateTime<Utc>, ahead: TimeDelta) -> (Vec<String>, bool) {
        let mut now = truth + ahead;
        while self.made.contains_key(&bundle(now).name) {
            now += TimeDelta::seconds(1);
        }
        self.bundles.push(bundle(now));
        self.made.insert(bundle(now).name, truth);
        self.prune(now)
    }

    pub fn prune(&mut self, now: DateTime<Utc>) -> (Vec<String>, bool) {
        let clock = Reading::new(&self.bundles, now, self.last.as_ref());
        let decided = self.decide(&clock).into_iter();
        let gone: Vec<_> =
            decided.filter(|d| d.verdict == Verdict::Remove).map(|d| d.bundle.name).collect();
        self.bundles.retain(|b| !gone.contains(&b.name));
        self.last = Some(clock.run(self.bundles.iter()));
        (gone, clock.jump.is_some())
    }

    pub fn decide(&self, clock: &Reading) -> Vec<Decision> {
        let hold = clock.jump.map(|_| Hold::Clock);
        let policy = Policy { keep_days: self.keep_days, keep_last: 1, calendar: self.calendar };
        policy::decide(&self.bundles, clock, hold, policy)
    }

    /// When those that are left were made in truth.
    pub fn kept(&self) -> std::collections::BTreeSet<DateTime<Utc>> {
        self.bundles.iter().map(|b| self.made[&b.name]).collect()
    }
}

/// Wrong clocks: from which run on, for how many, and by how many seconds.
pub type Fault = (usize, usize, i64);

pub fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let off = prop_oneof![3 * DAY..1500 * DAY, -20_000 * DAY..-3 * DAY];
    let faults = prop::collection::vec((0usize..90, 1usize..8, off), 0..3);
    // A step of less than two days cannot be distinguished from a missed night.
    faults.prop_filter("steps that are too small", |faults| match faults.as_slice() {
        [(.., first), (.., second)] => (first - second).abs() > 3 * DAY,
        _ => true,
    })
}

/// How much the clock of a run is ahead.
pub fn ahead(faults: &[Fault], run: usize) -> TimeDelta {
    let fault = faults.iter().find(|(from, runs, _)| (*from..from + runs).contains(&run));
    TimeDelta::seconds(fault.map_or(0, |(.., off)| *off))
}
