//! How old bundles are, and whether the clock of this run fits the runs before it. A bundle's age is the time that
//! passed from run to run. A step of the clock that no usual pause explains does not count, so neither a clock that
//! is ahead nor a long pause makes a bundle old at once.

use crate::retention::bundle::Bundle;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many pauses the record keeps: the latest.
const REMEMBERED: usize = 32;
/// A pause that is always usual.
const USUAL: TimeDelta = TimeDelta::days(1);
/// How late a run may be.
const LATE: TimeDelta = TimeDelta::hours(6);
/// How many older bundles show how far apart runs are, where no record does. A few old ones beside a new one show nothing.
const RHYTHM: usize = 7;
/// How far a clock may go back, or a name lie ahead.
pub const TOLERANCE: TimeDelta = TimeDelta::days(1);

/// The last run, as recorded for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// What its clock read.
    pub at: DateTime<Utc>,
    /// The pauses before it, the latest last, in seconds.
    #[serde(default)]
    pub pauses: Vec<i64>,
    /// The age of each bundle that it left, in seconds.
    #[serde(default)]
    pub ages: BTreeMap<String, i64>,
}

/// A step of the clock that no usual pause explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// What the clock read at the last run, or when the newest older bundle was made.
    pub from: DateTime<Utc>,
    /// What it reads now.
    pub to: DateTime<Utc>,
}

impl Jump {
    /// Whether the clock went back.
    #[must_use]
    pub fn is_back(self) -> bool {
        self.to < self.from
    }

    /// The jump as a phrase.
    #[must_use]
    pub fn phrase(self) -> String {
        let apart = self.to - self.from;
        let (days, side) =
            (apart.abs().num_days(), if self.is_back() { "before" } else { "after" });
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        format!(
            "the clock reads {}, {days} days {side} the last run ({})",
            time(self.to),
            time(self.from)
        )
    }
}

/// The clock of a run, and the bundles' ages by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it reads.
    pub now: DateTime<Utc>,
    /// The jump since the last run, if there is one.
    pub jump: Option<Jump>,
    ages: BTreeMap<String, TimeDelta>,
    pauses: Vec<i64>,
}

impl Reading {
    /// Ages by the bundles' names alone.
    #[must_use]
    pub fn by_names(bundles: &[Bundle], now: DateTime<Utc>) -> Self {
        let ages = bundles.iter().map(|b| (b.name.clone(), now - b.taken)).collect();
        Self { now, jump: None, ages, pauses: Vec::new() }
    }

    /// Reads the clock against the last run; without one, against the bundles' names.
    #[must_use]
    pub fn new(bundles: &[Bundle], now: DateTime<Utc>, last: Option<&Run>) -> Self {
        let last = last.cloned().or_else(|| from_names(bundles, now));
        let Some(last) = last else { return Self::by_names(bundles, now) };
        let passed = now - last.at;
        let usual = passed >= -TOLERANCE && passed <= longest_usual(&last.pauses);
        let jump = (!usual).then_some(Jump { from: last.at, to: now });
        let counted = if usual { passed.max(TimeDelta::zero()) } else { TimeDelta::zero() };
        let age = |bundle: &Bundle| match last.ages.get(&bundle.name) {
            Some(known) => TimeDelta::try_seconds(*known).unwrap_or_default() + counted,
            None if usual => now - bundle.taken,
            None if (now - bundle.taken).abs() <= TOLERANCE => TimeDelta::zero(),
            None => (last.at - bundle.taken).max(TimeDelta::zero()),
        };
        let ages = bundles.iter().map(|bundle| (bundle.name.clone(), age(bundle))).collect();
        let mut pauses = last.pauses;
        match jump {
            Some(jump) if jump.is_back() => pauses.clear(),
            _ => pauses.push(passed.num_seconds().max(0)),
        }
        let surplus = pauses.len().saturating_sub(REMEMBERED);
        Self { now, jump, ages, pauses: pauses.split_off(surplus) }
    }

    /// A bundle's age; negative where it is dated ahead of the clock.
    #[must_use]
    pub fn age(&self, bundle: &Bundle) -> TimeDelta {
        self.ages.get(&bundle.name).copied().unwrap_or(self.now - bundle.taken)
    }

    /// The record for the next run, with the bundles that are still there.
    pub fn run<'a>(&self, left: impl Iterator<Item = &'a Bundle>) -> Run {
        let ages = left.map(|bundle| (bundle.name.clone(), self.age(bundle).num_seconds()));
        Run { at: self.now, pauses: self.pauses.clone(), ages: ages.collect() }
    }
}

/// The longest pause that is no jump: twice the usual one, and an allowance for a run that is late. A single long
/// pause does not make the pause usual; two of them do.
fn longest_usual(pauses: &[i64]) -> TimeDelta {
    let mut sorted = pauses.to_vec();
    sorted.sort_unstable();
    let second = sorted.iter().rev().nth(1).copied().unwrap_or_default();
    let second = TimeDelta::try_seconds(second.min(i64::from(u32::MAX))).unwrap_or_default();
    second.max(USUAL) * 2 + LATE
}

/// A last run guessed from the bundles' names: the newest bundle that this run did not make. `None` where the
/// bundles are too few to show how far apart runs are, or this run made none.
fn from_names(bundles: &[Bundle], now: DateTime<Utc>) -> Option<Run> {
    let (fresh, older): (Vec<_>, Vec<_>) =
        bundles.iter().map(|b| b.taken).partition(|taken| (now - *taken).abs() <= TOLERANCE);
    let mut older: Vec<_> = older.into_iter().filter(|taken| *taken < now).collect();
    older.sort_unstable();
    let at = *older.last()?;
    if fresh.is_empty() || older.len() < RHYTHM {
        return None;
    }
    let pauses = older.windows(2).map(|pair| (pair[1] - pair[0]).num_seconds()).collect();
    Some(Run { at, pauses, ages: BTreeMap::new() })
}
