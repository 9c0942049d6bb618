//! Which bundles are kept and which are removed, and why: a pure function of their names' times, their states,
//! their ages and what holds removal back.

use crate::domain::{differ, known};
use crate::retention::bundle::Bundle;
use crate::retention::calendar::{self, Calendar, Period};
use crate::retention::clock::{Reading, TOLERANCE};
use chrono::{DateTime, TimeDelta, Utc};

/// What to keep.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Bundles older than this many times 24 hours go.
    pub keep_days: u32,
    /// The newest good ones to keep, whatever their age; at least one always is.
    pub keep_last: usize,
    /// What is kept beyond that, by the calendar.
    pub calendar: Calendar,
}

/// What happens to a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
}

/// Why a bundle is kept or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Not older than the limit.
    Young,
    /// Its name lies more than a day in the future: some clock is or was wrong.
    Future,
    /// There is no newer good bundle, by name or by age.
    NewestIntact,
    /// One of the last ones that `--keep-last` asks for.
    AmongLast,
    /// The newest of a period that the calendar keeps.
    NewestOf(Period),
    /// No bundle is good, so none is removed: a damaged one is better than nothing.
    NoneIntact,
    /// Older than the limit, but the clock of this run contradicts the runs before it.
    ClockInDoubt,
    /// Older than the limit, but a newer bundle holds far less.
    Shrunk,
    /// Of another deployment, or of an unknown one among several.
    Foreign,
    /// Older than the limit, but another program reads it, as a drill does.
    InUse,
    /// Older than the limit, kept by no rule, and a newer good one is kept.
    Old,
}

/// What holds all removal back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The clock of this run contradicts the runs before it.
    Clock,
    /// A bundle holds far less than the one before it, and nobody has accepted that.
    Shrunk,
}

impl Reason {
    /// The reason as a phrase.
    #[must_use]
    pub fn phrase(self, policy: Policy) -> String {
        let days = policy.keep_days;
        match self {
            Self::Young => format!("not older than {days} d"),
            Self::Future => "more than a day in the future; check the clock".to_owned(),
            Self::NewestIntact => "the newest intact bundle".to_owned(),
            Self::AmongLast => format!("among the last {} intact bundles", policy.keep_last),
            Self::NewestOf(period) => match (policy.calendar.count(period), period.word()) {
                (1, word) => format!("the newest of its {word}, the last {word} with a bundle"),
                (count, word) => {
                    format!(
                        "the newest of its {word}, one of the last {count} {word}s with a bundle"
                    )
                }
            },
            Self::NoneIntact => "no bundle is intact, so none is removed".to_owned(),
            Self::ClockInDoubt => format!("older than {days} d, and the clock is in doubt"),
            Self::Shrunk => format!("older than {days} d, and a newer bundle holds far less"),
            Self::Foreign => "another deployment's".to_owned(),
            Self::InUse => format!("older than {days} d, but in use, as by a drill"),
            Self::Old if policy.calendar.is_empty() => format!("older than {days} d"),
            Self::Old => format!("older than {days} d, and not kept by day, week, month or year"),
        }
    }
}

/// The decision on a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which bundle.
    pub bundle: Bundle,
    /// What happens to it.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

/// Decides on every bundle; the result is sorted newest first, by time and then by name.
#[must_use]
pub fn decide(
    bundles: &[Bundle],
    clock: &Reading,
    hold: Option<Hold>,
    policy: Policy,
) -> Vec<Decision> {
    let mut sorted = bundles.to_vec();
    sorted.sort_by(|a, b| (b.taken, &b.name).cmp(&(a.taken, &a.name)));
    let good: Vec<&Bundle> = sorted
        .iter()
        .filter(|bundle| bundle.state.is_good() && !is_future(bundle, clock.now))
        .collect();
    let of_calendar = calendar::kept(&good, clock, policy.calendar);
    // A wrong clock may have given the last one an old name. The one before it then has the same age: a jump of the
    // clock does not count.
    let lowest_age = good.iter().map(|bundle| clock.age(bundle)).min();
    let decision = |bundle: &Bundle| {
        let place = Place {
            rank: good.iter().position(|other| other.name == bundle.name),
            is_youngest: bundle.state.is_good() && Some(clock.age(bundle)) == lowest_age,
            none_good: good.is_empty(),
            period: of_calendar.get(&bundle.name).copied(),
        };
        let reason = match (reason(bundle, place, clock, policy), hold) {
            (Reason::Old, Some(Hold::Clock)) => Reason::ClockInDoubt,
            (Reason::Old, Some(Hold::Shrunk)) => Reason::Shrunk,
            (reason, _) => reason,
        };
        let verdict = if reason == Reason::Old { Verdict::Remove } else { Verdict::Keep };
        Decision { bundle: bundle.clone(), verdict, reason }
    };
    sorted.iter().map(decision).collect()
}

/// A bundle among the others.
#[derive(Clone, Copy)]
struct Place {
    /// How many good bundles are newer, where it is good.
    rank: Option<usize>,
    /// Whether it is good, and no good bundle has a lower age.
    is_youngest: bool,
    /// Whether there is no good bundle.
    none_good: bool,
    /// The period of which the calendar keeps it.
    period: Option<Period>,
}

fn reason(bundle: &Bundle, place: Place, clock: &Reading, policy: Policy) -> Reason {
    if is_future(bundle, clock.now) {
        Reason::Future
    } else if clock.age(bundle) <= TimeDelta::days(policy.keep_days.into()) {
        Reason::Young
    } else if place.none_good {
        Reason::NoneIntact
    } else if place.rank == Some(0) || place.is_youngest {
        Reason::NewestIntact
    } else if place.rank.is_some_and(|rank| rank < policy.keep_last) {
        Reason::AmongLast
    } else if let Some(period) = place.period {
        Reason::NewestOf(period)
    } else {
        Reason::Old
    }
}

fn is_future(bundle: &Bundle, now: DateTime<Utc>) -> bool {
    bundle.taken - now > TOLERANCE
}

/// What holds all removal back. The clock comes first, since everything else depends on it.
#[must_use]
pub fn hold(own: &[Bundle], clock: &Reading) -> Option<Hold> {
    if clock.jump.is_some() {
        Some(Hold::Clock)
    } else if own.iter().any(|bundle| bundle.shrunk.is_some()) {
        Some(Hold::Shrunk)
    } else {
        None
    }
}

/// Separates the bundles of a deployment from those of others. A bundle of an unknown deployment counts as its own
/// in a root that holds no other deployment's bundles, and as foreign in a shared root.
#[must_use]
pub fn own(bundles: Vec<Bundle>, domain: Option<&str>) -> (Vec<Bundle>, Vec<Bundle>) {
    let Some(domain) = known(domain) else { return (bundles, Vec::new()) };
    let is_other = |bundle: &Bundle| differ(bundle.domain.as_deref(), Some(domain));
    let shared = bundles.iter().any(is_other);
    let is_known = |bundle: &Bundle| known(bundle.domain.as_deref()).is_some();
    bundles.into_iter().partition(|b| !is_other(b) && (!shared || is_known(b)))
}
