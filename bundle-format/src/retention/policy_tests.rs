//! The policy's table.

mod properties;

use crate::report::BundleState::{self, Damaged, Intact, Unknown, Unsealed};
use crate::retention::bundle::Bundle;
use crate::retention::calendar::Calendar;
use crate::retention::clock::Reading;
use crate::retention::policy::Reason::{AmongLast, Future, NewestIntact, NoneIntact, Old, Young};
use crate::retention::policy::{self, Decision, Hold, Policy, Reason, Verdict};
use chrono::{DateTime, TimeDelta, Utc};

const DAY: i64 = 86_400;

fn now() -> DateTime<Utc> {
    "2026-04-21T02:00:00Z".parse().unwrap()
}

/// A bundle this many seconds old.
fn aged(seconds: i64, state: BundleState) -> Bundle {
    let taken = now() - TimeDelta::seconds(seconds);
    let name = taken.format("piprio_%Y%m%dT%H%M%SZ").to_string();
    Bundle { name, taken, state, domain: None, shrunk: None }
}

/// By the names alone, with nothing that holds removal back.
fn decide(bundles: &[Bundle], now: DateTime<Utc>, policy: Policy) -> Vec<Decision> {
    policy::decide(bundles, &Reading::by_names(bundles, now), None, policy)
}

fn policy(keep_days: u32, keep_last: usize) -> Policy {
    Policy { keep_days, keep_last, calendar: Calendar::default() }
}

/// One history: ages in seconds with states, oldest last, and the reason expected for each.
type Case = (&'static str, Policy, Vec<(i64, BundleState, Reason)>);

fn check(cases: Vec<Case>) {
    for (what, policy, history) in cases {
        let bundles: Vec<_> = history.iter().map(|(age, state, _)| aged(*age, *state)).collect();
        for bundles in [bundles.clone(), bundles.into_iter().rev().collect()] {
            let decided = decide(&bundles, now(), policy);
            let reasons: Vec<_> = decided.iter().map(|d| d.reason).collect();
            let expected: Vec<_> = history.iter().map(|(.., reason)| *reason).collect();
            assert_eq!(reasons, expected, "{what}");
            for decision in decided {
                assert_eq!(decision.verdict == Verdict::Remove, decision.reason == Old, "{what}");
            }
        }
    }
}

#[test]
fn the_limit_is_strict_and_counts_whole_days_of_24_hours() {
    check(vec![
        ("nothing there", policy(30, 0), vec![]),
        (
            "exactly at the limit",
            policy(30, 0),
            vec![(0, Intact, Young), (30 * DAY, Intact, Young)],
        ),
        ("a second over", policy(30, 0), vec![(0, Intact, Young), (30 * DAY + 1, Intact, Old)]),
        ("a second under", policy(30, 0), vec![(0, Intact, Young), (30 * DAY - 1, Intact, Young)]),
        (
            "one day",
            policy(1, 0),
            vec![(0, Intact, Young), (DAY, Intact, Young), (DAY + 1, Intact, Old)],
        ),
        (
            "a huge limit",
            policy(u32::MAX, 0),
            vec![(0, Intact, Young), (20_000 * DAY, Intact, Young)],
        ),
        (
            "several old",
            policy(7, 0),
            vec![(DAY, Intact, Young), (8 * DAY, Intact, Old), (9 * DAY, Intact, Old)],
        ),
        (
            "a few hours into the future is only a clock",
            policy(1, 0),
            vec![(-3600, Intact, Young), (2 * DAY, Intact, Old)],
        ),
    ]);
}

#[test]
fn keeps_the_newest_intact_bundle_however_old() {
    check(vec![
        ("alone", policy(30, 0), vec![(400 * DAY, Intact, NewestIntact)]),
        ("alone and unsealed", policy(30, 0), vec![(400 * DAY, Unsealed, NewestIntact)]),
        (
            "of several old ones",
            policy(30, 0),
            vec![(31 * DAY, Intact, NewestIntact), (32 * DAY, Intact, Old)],
        ),
        (
            "below a damaged young one",
            policy(30, 0),
            vec![(DAY, Damaged, Young), (31 * DAY, Intact, NewestIntact), (32 * DAY, Intact, Old)],
        ),
        (
            "below a damaged old one",
            policy(30, 0),
            vec![
                (31 * DAY, Damaged, Old),
                (32 * DAY, Intact, NewestIntact),
                (33 * DAY, Intact, Old),
            ],
        ),
        (
            "below one that cannot be checked",
            policy(30, 0),
            vec![(DAY, Unknown, Young), (31 * DAY, Intact, NewestIntact)],
        ),
        (
            "below many damaged ones",
            policy(1, 0),
            vec![
                (DAY, Damaged, Young),
                (2 * DAY, Damaged, Old),
                (3 * DAY, Damaged, Old),
                (4 * DAY, Unsealed, NewestIntact),
            ],
        ),
        (
            "an unsealed one above an intact one",
            policy(1, 0),
            vec![(2 * DAY, Unsealed, NewestIntact), (3 * DAY, Intact, Old)],
        ),
        (
            "an intact one above an unsealed one",
            policy(1, 0),
            vec![(2 * DAY, Intact, NewestIntact), (3 * DAY, Unsealed, Old)],
        ),
        (
            "not needed where a young one is intact",
            policy(30, 0),
            vec![(DAY, Intact, Young), (31 * DAY, Intact, Old)],
        ),
    ]);
}

#[test]
fn without_an_intact_bundle_nothing_is_removed() {
    check(vec![
        ("one damaged", policy(30, 0), vec![(31 * DAY, Damaged, NoneIntact)]),
        (
            "all damaged",
            policy(30, 0),
            vec![
                (DAY, Damaged, Young),
                (31 * DAY, Damaged, NoneIntact),
                (32 * DAY, Damaged, NoneIntact),
            ],
        ),
        (
            "none can be checked",
            policy(30, 0),
            vec![(31 * DAY, Unknown, NoneIntact), (32 * DAY, Unknown, NoneIntact)],
        ),
        (
            "the only intact one lies in the future",
            policy(30, 0),
            vec![(-2 * DAY, Intact, Future), (31 * DAY, Damaged, NoneIntact)],
        ),
        ("keep-last does not help", policy(30, 5), vec![(31 * DAY, Damaged, NoneIntact)]),
    ]);
}

#[test]
fn a_bundle_of_the_future_is_kept_and_never_counts_as_newest() {
    check(vec![
        (
            "exactly a day ahead still counts",
            policy(1, 0),
            vec![(-DAY, Intact, Young), (2 * DAY, Intact, Old)],
        ),
        (
            "a second more does not",
            policy(1, 0),
            vec![(-DAY - 1, Intact, Future), (2 * DAY, Intact, NewestIntact)],
        ),
        (
            "years ahead",
            policy(30, 0),
            vec![
                (-3650 * DAY, Intact, Future),
                (31 * DAY, Intact, NewestIntact),
                (32 * DAY, Intact, Old),
            ],
        ),
        (
            "a damaged one of the future",
            policy(30, 0),
            vec![(-2 * DAY, Damaged, Future), (DAY, Intact, Young), (31 * DAY, Intact, Old)],
        ),
        (
            "several",
            policy(30, 0),
            vec![
                (-3 * DAY, Intact, Future),
                (-2 * DAY, Intact, Future),
                (31 * DAY, Intact, NewestIntact),
            ],
        ),
        ("alone", policy(30, 0), vec![(-2 * DAY, Intact, Future)]),
        (
            "it takes no place among the last",
            policy(1, 2),
            vec![
                (-2 * DAY, Intact, Future),
                (2 * DAY, Intact, NewestIntact),
                (3 * DAY, Intact, AmongLast),
                (4 * DAY, Intact, Old),
            ],
        ),
    ]);
}

#[test]
fn damaged_bundles_age_like_others_and_are_never_removed_young() {
    check(vec![
        ("young and damaged", policy(30, 0), vec![(0, Intact, Young), (DAY, Damaged, Young)]),
        ("old and damaged", policy(30, 0), vec![(0, Intact, Young), (31 * DAY, Damaged, Old)]),
        (
            "old and never checked",
            policy(30, 0),
            vec![(0, Intact, Young), (31 * DAY, Unknown, Old)],
        ),
        ("old and unsealed", policy(30, 0), vec![(0, Intact, Young), (31 * DAY, Unsealed, Old)]),
        (
            "at the limit and damaged",
            policy(30, 0),
            vec![(0, Intact, Young), (30 * DAY, Damaged, Young)],
        ),
    ]);
}

#[test]
fn keep_last_keeps_intact_ones_beyond_the_limit() {
    check(vec![
        (
            "one is the floor anyhow",
            policy(1, 1),
            vec![(2 * DAY, Intact, NewestIntact), (3 * DAY, Intact, Old)],
        ),
        (
            "two",
            policy(1, 2),
            vec![
                (2 * DAY, Intact, NewestIntact),
                (3 * DAY, Intact, AmongLast),
                (4 * DAY, Intact, Old),
            ],
        ),
        (
            "young ones count",
            policy(1, 2),
            vec![(0, Intact, Young), (2 * DAY, Intact, AmongLast), (3 * DAY, Intact, Old)],
        ),
        (
            "more than there are",
            policy(1, 9),
            vec![(2 * DAY, Intact, NewestIntact), (3 * DAY, Unsealed, AmongLast)],
        ),
        (
            "damaged ones take no place",
            policy(1, 2),
            vec![
                (2 * DAY, Damaged, Old),
                (3 * DAY, Intact, NewestIntact),
                (4 * DAY, Damaged, Old),
                (5 * DAY, Intact, AmongLast),
                (6 * DAY, Intact, Old),
            ],
        ),
        (
            "it never removes what is young",
            policy(30, 1),
            vec![(0, Intact, Young), (DAY, Intact, Young), (2 * DAY, Intact, Young)],
        ),
        (
            "young ones enough",
            policy(2, 2),
            vec![(0, Intact, Young), (DAY, Intact, Young), (3 * DAY, Intact, Old)],
        ),
    ]);
}

#[test]
fn what_holds_removal_back_keeps_what_would_go_and_changes_nothing_else() {
    let bundles = [aged(0, Intact), aged(31 * DAY, Intact), aged(-2 * DAY, Intact)];
    let clock = Reading::by_names(&bundles, now());
    for (hold, reason) in [(Hold::Clock, Reason::ClockInDoubt), (Hold::Shrunk, Reason::Shrunk)] {
        let decided = policy::decide(&bundles, &clock, Some(hold), policy(30, 0));
        let reasons: Vec<_> = decided.iter().map(|d| d.reason).collect();
        assert_eq!(reasons, [Future, Young, reason]);
        assert!(decided.iter().all(|d| d.verdict == Verdict::Keep));
    }
}

#[test]
fn a_deployment_has_its_own_bundles_and_those_of_nobody_where_it_is_alone() {
    let of = |age, domain: &str| Bundle { domain: Some(domain.to_owned()), ..aged(age, Intact) };
    let ages = |bundles: &[Bundle]| -> Vec<_> {
        bundles.iter().map(|b| (now() - b.taken).num_seconds()).collect()
    };
    let (a, b) = ("a.example.org", "b.example.org");
    let table = [
        (Some(a), vec![of(1, a), of(2, "A.Example.org")], vec![1, 2]),
        (Some(a), vec![of(1, a), of(2, "unknown"), aged(3, Intact)], vec![1, 2, 3]),
        (Some(a), vec![of(1, a), of(2, "unknown"), aged(3, Intact), of(4, b)], vec![1]),
        (Some(a), vec![of(1, b)], vec![]),
        (Some("unknown"), vec![of(1, a), of(2, b)], vec![1, 2]),
        (None, vec![of(1, a), of(2, b)], vec![1, 2]),
    ];
    for (domain, bundles, expected) in table {
        let all = bundles.len();
        let (own, others) = policy::own(bundles, domain);
        assert_eq!(ages(&own), expected, "{domain:?}");
        assert_eq!(own.len() + others.len(), all);
    }
}

#[test]
fn every_reason_is_a_phrase_with_its_numbers() {
    let policy = policy(30, 3);
    let phrase = |reason: Reason| reason.phrase(policy);
    assert_eq!(phrase(Old), "older than 30 d");
    assert_eq!(phrase(AmongLast), "among the last 3 intact bundles");
    assert_eq!(phrase(Young), "not older than 30 d");
}
