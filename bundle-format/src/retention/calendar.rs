//! Which bundles are kept by the calendar: the newest of each of the last days, weeks, months and years that have one.
//!
//! A bundle's date is that of its name, in UTC. A date that a wrong clock wrote must not push out a bundle with a right
//! one. Bundles are therefore ordered by age, and separated where name and age begin to disagree: each part was made
//! under one clock. A part has periods of its own, and each separation allows for [`SURPLUS`] more of them, which is the
//! most that a separation and a shifted part can add to the periods that a right clock would have counted.

use crate::retention::bundle::Bundle;
use crate::retention::clock::{Reading, TOLERANCE};
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A part splits one period in two, and one whose dates are shifted touches one more.
const SURPLUS: usize = 2;

/// Of how many periods the newest bundle is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calendar {
    /// Days.
    pub daily: u32,
    /// Weeks, from Monday to Sunday.
    pub weekly: u32,
    /// Months.
    pub monthly: u32,
    /// Years.
    pub yearly: u32,
}

/// A period of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A day.
    Day,
    /// A week, from Monday to Sunday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Two moments lie in the same period where these are equal.
    fn of(self, moment: DateTime<Utc>) -> (i32, u32) {
        let date = moment.date_naive();
        match self {
            Self::Day => (date.year(), date.ordinal()),
            Self::Week => (date.iso_week().year(), date.iso_week().week()),
            Self::Month => (date.year(), date.month()),
            Self::Year => (date.year(), 0),
        }
    }
}

impl Calendar {
    /// Each period with the number of them.
    pub fn rules(self) -> [(Period, u32); 4] {
        [
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ]
    }

    /// Whether it keeps anything.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// How many periods of that kind count.
    pub fn count(self, period: Period) -> u32 {
        self.rules().into_iter().find(|(kind, _)| *kind == period).map_or(0, |(_, count)| count)
    }
}

/// The names of the bundles that the calendar keeps, each with the first rule that does. `good` are the intact ones
/// that are not dated ahead of the clock.
pub fn kept(good: &[&Bundle], clock: &Reading, calendar: Calendar) -> BTreeMap<String, Period> {
    let mut kept = BTreeMap::new();
    if calendar.is_empty() {
        return kept;
    }
    let parts = parts(good, clock);
    for (period, count) in calendar.rules() {
        let mut seen = BTreeSet::new();
        for (part, bundle) in &parts {
            let newer = seen.len();
            let is_newest = seen.insert((*part, period.of(bundle.taken)));
            let places = usize::try_from(count).unwrap_or(usize::MAX);
            if count > 0 && is_newest && newer < places.saturating_add(SURPLUS * part) {
                kept.entry(bundle.name.clone()).or_insert(period);
            }
        }
    }
    kept
}

/// The bundles, the one that was made last first, each with the number of its part: how many separations lie between
/// it and the newest.
fn parts<'a>(good: &[&'a Bundle], clock: &Reading) -> Vec<(usize, &'a Bundle)> {
    // How much the name disagrees with the age.
    let shift = |bundle: &Bundle| clock.now - bundle.taken - clock.age(bundle);
    let mut sorted = good.to_vec();
    sorted.sort_by_key(|bundle| {
        let by_name = std::cmp::Reverse((bundle.taken, bundle.name.clone()));
        (clock.age(bundle), shift(bundle).abs(), by_name)
    });
    let (mut part, mut first): (usize, Option<TimeDelta>) = (0, None);
    let number = |bundle: &'a Bundle| {
        let shift = shift(bundle);
        let begun = *first.get_or_insert(shift);
        if (shift - begun).abs() > TOLERANCE {
            (part, first) = (part + 1, Some(shift));
        }
        (part, bundle)
    };
    sorted.into_iter().map(number).collect()
}
