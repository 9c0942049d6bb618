//! The policy's properties, over random histories and clocks.

use super::{DAY, aged, decide, now, policy};
use crate::report::BundleState::{self, Damaged, Intact, Unknown, Unsealed};
use crate::retention::bundle::Bundle;
use crate::retention::policy::Reason::Future;
use crate::retention::policy::{Policy, Verdict};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn states() -> impl Strategy<Value = BundleState> {
    prop_oneof![3 => Just(Intact), 1 => Just(Unsealed), 2 => Just(Damaged), 1 => Just(Unknown)]
}

/// Histories around `now`, of which some bundles lie in its future.
fn histories() -> impl Strategy<Value = Vec<Bundle>> {
    prop::collection::btree_map(-5 * DAY..60 * DAY, states(), 0..25)
        .prop_map(|history| history.into_iter().map(|(age, state)| aged(age, state)).collect())
}

fn is_good(bundle: &Bundle) -> bool {
    matches!(bundle.state, Intact | Unsealed)
}

fn removed(bundles: &[Bundle], at: DateTime<Utc>, policy: Policy) -> BTreeSet<String> {
    let decided = decide(bundles, at, policy).into_iter();
    decided.filter(|d| d.verdict == Verdict::Remove).map(|d| d.bundle.name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_newest_intact_bundle_always_survives(
        history in histories(), skew in -90 * DAY..90 * DAY, days in 1u32..60, last in 0usize..6,
    ) {
        let at = now() + TimeDelta::seconds(skew);
        let gone = removed(&history, at, policy(days, last));
        let newest = history.iter().filter(|b| is_good(b)).max_by_key(|b| b.taken);
        prop_assert!(newest.is_none_or(|b| !gone.contains(&b.name)));
        let present = |b: &&Bundle| is_good(b) && b.taken - at <= TimeDelta::days(1);
        let newest = history.iter().filter(present).max_by_key(|b| b.taken);
        prop_assert!(newest.is_none_or(|b| !gone.contains(&b.name)));
        prop_assert!(newest.is_some() || gone.is_empty());
    }

    #[test]
    fn nothing_younger_than_the_limit_is_removed(
        history in histories(), skew in -90 * DAY..90 * DAY, days in 1u32..60, last in 0usize..6,
    ) {
        let at = now() + TimeDelta::seconds(skew);
        let gone = removed(&history, at, policy(days, last));
        for bundle in history.iter().filter(|b| at - b.taken <= TimeDelta::days(days.into())) {
            prop_assert!(!gone.contains(&bundle.name));
        }
    }

    #[test]
    fn the_last_ones_asked_for_survive(history in histories(), days in 1u32..60, last in 0usize..6) {
        let gone = removed(&history, now(), policy(days, last));
        let good = history.iter().filter(|b| is_good(b) && b.taken <= now() + TimeDelta::days(1));
        let mut good: Vec<_> = good.collect();
        good.sort_by_key(|b| std::cmp::Reverse(b.taken));
        prop_assert!(good.iter().take(last).all(|b| !gone.contains(&b.name)));
    }

    #[test]
    fn the_order_of_the_directory_does_not_matter(
        (history, shuffled) in histories().prop_flat_map(|h| (Just(h.clone()), Just(h).prop_shuffle())),
        skew in -90 * DAY..90 * DAY, days in 1u32..60, last in 0usize..6,
    ) {
        let at = now() + TimeDelta::seconds(skew);
        let policy = policy(days, last);
        prop_assert_eq!(decide(&history, at, policy), decide(&shuffled, at, policy));
    }

    #[test]
    fn a_bundle_of_the_future_is_kept_and_changes_no_other_ones_fate(
        history in histories(), skew in -90 * DAY..90 * DAY, days in 1u32..60, last in 0usize..6,
    ) {
        let at = now() + TimeDelta::seconds(skew);
        let policy = policy(days, last);
        let is_future = |bundle: &Bundle| bundle.taken - at > TimeDelta::days(1);
        let decided = decide(&history, at, policy);
        for decision in decided.iter().filter(|d| is_future(&d.bundle)) {
            prop_assert_eq!((decision.verdict, decision.reason), (Verdict::Keep, Future));
        }
        let present: Vec<_> = history.into_iter().filter(|b| !is_future(b)).collect();
        let rest: Vec<_> = decided.into_iter().filter(|d| !is_future(&d.bundle)).collect();
        prop_assert_eq!(decide(&present, at, policy), rest);
    }

    #[test]
    fn a_damaged_bundle_never_takes_the_place_of_an_intact_one(
        history in histories(), days in 1u32..60, last in 0usize..6,
    ) {
        let policy = policy(days, last);
        let gone = removed(&history, now(), policy);
        let good: Vec<_> = history.into_iter().filter(is_good).collect();
        let gone_of_the_good: BTreeSet<_> =
            gone.into_iter().filter(|name| good.iter().any(|b| b.name == *name)).collect();
        prop_assert_eq!(removed(&good, now(), policy), gone_of_the_good);
    }

    #[test]
    fn what_goes_today_goes_tomorrow(
        history in histories(), later in 0..90 * DAY, days in 1u32..60, last in 0usize..6,
    ) {
        let policy = policy(days, last);
        let today = removed(&history, now(), policy);
        let tomorrow = removed(&history, now() + TimeDelta::seconds(later), policy);
        prop_assert!(today.is_subset(&tomorrow));
    }

    #[test]
    fn a_second_run_removes_nothing_more(history in histories(), days in 1u32..60, last in 0usize..6) {
        let policy = policy(days, last);
        let gone = removed(&history, now(), policy);
        let left: Vec<_> = history.into_iter().filter(|b| !gone.contains(&b.name)).collect();
        prop_assert!(removed(&left, now(), policy).is_empty());
    }
}
