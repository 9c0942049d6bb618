//! Retention by the calendar: its rules, and that no wrong clock makes it lose more.

use crate::report::BundleState;
use crate::retention::calendar::{Calendar, Period};
use crate::retention::clock::Reading;
use crate::retention::history::{DAY, Fault, Root, ahead, bundle, faults, start};
use crate::retention::policy::{self, Reason, Verdict};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn calendar(daily: u32, weekly: u32, monthly: u32, yearly: u32) -> Calendar {
    Calendar { daily, weekly, monthly, yearly }
}

fn at(text: &str) -> DateTime<Utc> {
    format!("{text}:00Z").parse().unwrap()
}

/// The reasons for bundles of these moments, with one day as the limit of age.
fn reasons(moments: &[&str], now: &str, calendar: Calendar) -> Vec<Reason> {
    let bundles = moments.iter().map(|moment| bundle(at(moment))).collect();
    let root = Root { bundles, calendar, keep_days: 1, ..Root::default() };
    let clock = Reading::by_names(&root.bundles, at(now));
    root.decide(&clock).into_iter().map(|decision| decision.reason).collect()
}

#[test]
fn the_newest_of_each_of_the_last_periods_that_have_one_is_kept() {
    use Period::{Day, Month, Week, Year};
    use Reason::{NewestOf, Old, Young};
    // A Sunday, and the Monday after it.
    let moments = [
        "2026-03-02T02:00",
        "2026-03-01T23:59",
        "2026-03-01T00:00",
        "2026-02-28T12:00",
        "2026-02-01T00:00",
    ];
    let now = "2026-03-02T03:00";
    let of = |calendar| reasons(&moments, now, calendar);
    assert_eq!(of(calendar(0, 0, 0, 0)), [Young, Young, Old, Old, Old]);
    assert_eq!(of(calendar(2, 0, 0, 0)), [Young, Young, Old, Old, Old]);
    assert_eq!(of(calendar(3, 0, 0, 0)), [Young, Young, Old, NewestOf(Day), Old]);
    // Days without a bundle do not count.
    assert_eq!(of(calendar(4, 0, 0, 0)), [Young, Young, Old, NewestOf(Day), NewestOf(Day)]);
    assert_eq!(of(calendar(0, 3, 0, 0)), [Young, Young, Old, Old, NewestOf(Week)]);
    assert_eq!(of(calendar(0, 0, 2, 0)), [Young, Young, Old, NewestOf(Month), Old]);
    assert_eq!(of(calendar(0, 0, 0, 9)), [Young, Young, Old, Old, Old]);
    let years = ["2026-01-01T00:00", "2025-12-31T23:59", "2025-01-01T00:00", "2024-06-01T00:00"];
    assert_eq!(
        reasons(&years, "2026-02-01T00:00", calendar(0, 0, 0, 3)),
        [Reason::NewestIntact, NewestOf(Year), Old, NewestOf(Year)]
    );
    // The week of the first of January may be the last year's.
    let weeks = ["2027-01-03T00:00", "2026-12-28T00:00", "2026-12-27T00:00"];
    assert_eq!(
        reasons(&weeks, "2027-02-01T00:00", calendar(0, 2, 0, 0)),
        [Reason::NewestIntact, Old, NewestOf(Week)]
    );
}

#[test]
fn a_damaged_bundle_and_one_of_the_future_take_no_place() {
    let mut bundles: Vec<_> =
        ["2026-05-01T02:00", "2026-04-20T02:00", "2026-03-20T02:00", "2026-02-20T02:00"]
            .map(|moment| bundle(at(moment)))
            .into();
    bundles[1].state = BundleState::Damaged;
    bundles.push(bundle(at("2027-05-01T02:00")));
    let root = Root { bundles, calendar: calendar(0, 0, 2, 0), keep_days: 1, ..Root::default() };
    let clock = Reading::by_names(&root.bundles, at("2026-05-01T03:00"));
    let reasons: Vec<_> = root.decide(&clock).into_iter().map(|d| d.reason).collect();
    let month = Reason::NewestOf(Period::Month);
    assert_eq!(reasons, [Reason::Future, Reason::Young, Reason::Old, month, Reason::Old]);
}

#[test]
fn a_reason_names_the_rule_with_its_numbers() {
    let root = Root::with(calendar(1, 5, 12, 0));
    let policy = |keep| policy::Policy { keep_days: 7, keep_last: 1, calendar: keep };
    let phrase = |reason: Reason| reason.phrase(policy(root.calendar));
    assert_eq!(
        phrase(Reason::NewestOf(Period::Week)),
        "the newest of its week, one of the last 5 weeks with a bundle"
    );
    assert_eq!(
        phrase(Reason::NewestOf(Period::Day)),
        "the newest of its day, the last day with a bundle"
    );
    assert_eq!(phrase(Reason::Old), "older than 7 d, and not kept by day, week, month or year");
    assert_eq!(Reason::Old.phrase(policy(Calendar::default())), "older than 7 d");
}

#[test]
fn a_clock_that_is_wrong_for_days_pushes_no_month_out() {
    let mut root = Root::with(calendar(0, 0, 3, 0));
    for night in 0..120 {
        root.backup(start() + TimeDelta::days(night), TimeDelta::zero());
    }
    let months = |root: &Root| -> BTreeSet<String> {
        let old = root.bundles.iter().filter(|b| b.taken < start() + TimeDelta::days(85));
        old.map(|b| b.name.clone()).collect()
    };
    let before = months(&root);
    assert_eq!(before.len(), 1);
    // Two runs in each of four months to come, by a clock that was set wrong repeatedly.
    for (night, ahead) in (120..128).zip([40, 40, 80, 80, 120, 120, 160, 160]) {
        root.backup(start() + TimeDelta::days(night), TimeDelta::days(ahead));
    }
    assert_eq!(months(&root), before);
}

fn calendars() -> impl Strategy<Value = Calendar> {
    (0u32..40, 0u32..8, 0u32..5, 0u32..3)
        .prop_map(|(daily, weekly, monthly, yearly)| calendar(daily, weekly, monthly, yearly))
}

/// A gap between two runs: mostly a day, at times a few.
fn gaps() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![9 => DAY / 12..DAY + 3600, 1 => DAY..2 * DAY], 90..140)
}

fn is_wrong(faults: &[Fault], run: usize) -> bool {
    ahead(faults, run) != TimeDelta::zero()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_calendar_keeps_under_a_right_clock_no_wrong_one_removes(
        gaps in gaps(), faults in faults(), calendar in calendars(),
    ) {
        let (mut root, mut right) = (Root::with(calendar), Root::with(calendar));
        let (mut truth, mut lost, mut wrong) = (start(), BTreeSet::new(), BTreeSet::new());
        for (run, gap) in gaps.iter().enumerate() {
            truth += TimeDelta::seconds(*gap);
            right.backup(truth, TimeDelta::zero());
            if is_wrong(&faults, run) {
                wrong.insert(truth);
            }
            let (gone, _) = root.backup(truth, ahead(&faults, run));
            lost.extend(gone.iter().map(|name| root.made[name]));
            prop_assert!(!lost.contains(&truth), "run {run} removed its own bundle");
            let kept = right.kept();
            let more: Vec<_> = lost.intersection(&kept).filter(|b| !wrong.contains(b)).collect();
            prop_assert!(more.is_empty(), "run {run}: {more:?}");
            prop_assert!(root.bundles.len() >= kept.len(), "run {run}: {} of {}", root.bundles.len(), kept.len());
        }
    }

    #[test]
    fn with_the_calendar_too_deployments_that_share_a_root_fare_as_if_each_were_alone(
        nights in 40..60usize, faults in [faults(), faults()], calendars in [calendars(), calendars()],
    ) {
        let domains = ["a.example.org", "b.example.org"];
        let mut shared = Vec::new();
        let mut alone = calendars.map(Root::with);
        let mut lasts = [None, None];
        let mut used = BTreeSet::new();
        for run in 0..nights * 2 {
            let (which, night) = (run % 2, run / 2);
            let mut now = start() + TimeDelta::hours(i64::try_from(run).unwrap() * 12) + ahead(&faults[which], night);
            while !used.insert(now) {
                now += TimeDelta::seconds(1);
            }
            let mut new = bundle(now);
            new.domain = Some(domains[which].to_owned());
            shared.push(new.clone());
            alone[which].bundles.push(new);
            let (expected, _) = alone[which].prune(now);

            let (own, others) = policy::own(shared, Some(domains[which]));
            let mut root = Root { bundles: own, last: lasts[which].take(), ..Root::with(calendars[which]) };
            let (gone, _) = root.prune(now);
            prop_assert_eq!(gone, expected);
            prop_assert!(root.bundles.iter().any(|b| b.taken == now));
            lasts[which] = root.last;
            shared = root.bundles;
            shared.extend(others);
        }
    }

    #[test]
    fn the_calendar_only_ever_keeps_more(gaps in gaps(), now in 0..200 * DAY, calendar in calendars()) {
        let mut taken = start();
        let mut root = Root { keep_days: 7, ..Root::with(calendar) };
        for gap in gaps {
            taken += TimeDelta::seconds(gap);
            root.bundles.push(bundle(taken));
        }
        let clock = Reading::by_names(&root.bundles, start() + TimeDelta::seconds(now));
        let gone = |root: &Root| -> BTreeSet<String> {
            let decided = root.decide(&clock).into_iter();
            decided.filter(|d| d.verdict == Verdict::Remove).map(|d| d.bundle.name).collect()
        };
        let with = gone(&root);
        root.calendar = Calendar::default();
        prop_assert!(with.is_subset(&gone(&root)));
        root.calendar = calendar;
        root.bundles.retain(|b| !with.contains(&b.name));
        prop_assert!(gone(&root).is_empty(), "a second run removes more");
    }
}
