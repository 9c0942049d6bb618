//! Retention under clocks that are wrong.

use crate::report::BundleState;
use crate::retention::bundle::Bundle;
use crate::retention::history::{DAY, KEEP, Root, ahead, bundle, faults, start};
use crate::retention::policy;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn no_single_run_under_a_wrong_clock_removes_a_bundle_and_retention_continues_after_it() {
    for ahead in [3, 10, 40, 400, 20_000, -3, -10, -400, -20_000] {
        let mut root = Root::nights(0, 60);
        assert_eq!(root.bundles.len(), 31);
        let night = |n: i64| start() + TimeDelta::days(n);
        assert_eq!(root.backup(night(60), TimeDelta::days(ahead)), (vec![], true), "{ahead}");
        assert_eq!(root.backup(night(61), TimeDelta::zero()), (vec![], true), "{ahead}");
        let (gone, held) = root.backup(night(62), TimeDelta::zero());
        assert!(!held && gone.iter().all(|name| root.made[name] < night(32)), "{ahead}: {gone:?}");
        for night in 63..130 {
            root.backup(start() + TimeDelta::days(night), TimeDelta::zero());
        }
        let future = usize::from(ahead > 70);
        assert!((31..=34).contains(&(root.bundles.len() - future)), "{ahead}");
    }
}

#[test]
fn a_clock_that_stays_wrong_takes_no_more_than_the_nights_that_passed() {
    let mut root = Root::nights(0, 31);
    for night in 31..45 {
        let truth = start() + TimeDelta::days(night);
        let (gone, _) = root.backup(truth, TimeDelta::days(400));
        assert!(gone.iter().all(|name| truth - root.made[name] > TimeDelta::days(30)), "{gone:?}");
    }
    assert!(root.bundles.len() >= 31);
}

#[test]
fn a_long_pause_makes_nothing_old_and_retention_continues_with_the_run_after() {
    let mut root = Root::nights(0, 40);
    let back = start() + TimeDelta::days(100);
    assert_eq!(root.backup(back, TimeDelta::zero()), (vec![], true));
    let (gone, held) = root.backup(back + TimeDelta::days(1), TimeDelta::zero());
    assert_eq!((gone.len(), held), (1, false));
    for night in 2..40 {
        root.backup(back + TimeDelta::days(night), TimeDelta::zero());
    }
    assert!(
        root.bundles.iter().all(|b| b.taken >= back),
        "all bundles from before the pause are gone"
    );
}

#[test]
fn backups_that_are_usually_far_apart_age_all_the_same() {
    for days in [3, 7, 10, 31] {
        let mut root = Root::default();
        for n in 0..60 {
            let truth = start() + TimeDelta::days(n * days) + TimeDelta::seconds(n % 7 * 100);
            root.backup(truth, TimeDelta::zero());
        }
        // What two runs held back for, before two pauses had made a rule of it, is long gone.
        let most = usize::try_from(30 / days + 2).unwrap();
        assert!(root.bundles.len() <= most, "{days}: {}", root.bundles.len());
    }
}

#[test]
fn without_a_record_the_names_show_how_far_apart_runs_are() {
    let nights = |ages: &[i64]| Root {
        bundles: ages.iter().map(|age| bundle(start() - TimeDelta::days(*age))).collect(),
        ..Root::default()
    };
    let mut ahead = nights(&[20, 18, 15, 10, 5, 2, 1]);
    let later = start() + TimeDelta::days(400);
    ahead.bundles.push(bundle(later));
    assert_eq!(ahead.prune(later), (vec![], true));
    let mut second = nights(&[]);
    (second.bundles, second.last) = (ahead.bundles, ahead.last);
    assert_eq!(second.prune(later + TimeDelta::days(1)), (vec![], false));
    let mut right = nights(&[40, 20, 15, 10, 5, 2, 1, 0]);
    let (gone, held) = right.prune(start());
    assert_eq!((gone.len(), held), (1, false));
    // A few old bundles beside a new one, or no new one, show nothing.
    let mut one = nights(&[40, 0]);
    assert_eq!(one.prune(start()).0.len(), 1);
    let mut few = nights(&[43, 42, 41, 29, 0]);
    assert_eq!(few.prune(start()).0.len(), 3);
    let mut by_hand = nights(&[40, 41, 42, 43]);
    assert_eq!(by_hand.prune(start()).0.len(), 3);
}

#[test]
fn a_bundle_that_came_from_elsewhere_is_as_old_as_its_name() {
    let mut root = Root::nights(0, 5);
    root.bundles.push(bundle(start() - TimeDelta::days(400)));
    let (gone, held) = root.backup(start() + TimeDelta::days(5), TimeDelta::zero());
    assert_eq!((gone.len(), held), (1, false));
}

#[test]
fn a_bundle_dated_far_back_by_a_wrong_clock_is_as_old_as_the_nights_since() {
    let mut root = Root::nights(0, 40);
    root.backup(start() + TimeDelta::days(40), TimeDelta::days(-20_000));
    let odd = root.bundles.iter().find(|b| b.taken < start()).unwrap().name.clone();
    for night in 41..70 {
        root.backup(start() + TimeDelta::days(night), TimeDelta::zero());
        assert!(root.bundles.iter().any(|b| b.name == odd), "{night}");
    }
    for night in 70..76 {
        root.backup(start() + TimeDelta::days(night), TimeDelta::zero());
    }
    assert!(root.bundles.iter().all(|b| b.name != odd));
}

#[test]
fn the_last_good_bundle_outlives_damaged_ones_whatever_the_clock_made_its_name() {
    for ahead in [-20_000, -400, -3, 3, 400] {
        let mut root = Root::nights(0, 40);
        let truth = start() + TimeDelta::days(40);
        root.backup(truth, TimeDelta::days(ahead));
        let last = root.made.iter().find(|(_, made)| **made == truth).unwrap().0.clone();
        for night in 41..120 {
            let now = start() + TimeDelta::days(night);
            root.bundles.push(Bundle { state: BundleState::Damaged, ..bundle(now) });
            root.prune(now);
            assert!(root.bundles.iter().any(|b| b.name == last), "{ahead}: {night}");
        }
        let good: Vec<_> = root.bundles.iter().filter(|b| b.state.is_good()).collect();
        assert!(good.len() <= 2, "{ahead}: {good:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_the_clock_no_run_removes_more_than_under_a_right_one_nor_the_newest(
        gaps in prop::collection::vec(DAY / 12..DAY + 3600, 90..140), faults in faults(),
    ) {
        let (mut root, mut right) = (Root::default(), Root::default());
        let mut truth = start();
        let mut lost: BTreeSet<DateTime<Utc>> = BTreeSet::new();
        for (run, gap) in gaps.iter().enumerate() {
            truth += TimeDelta::seconds(*gap);
            right.backup(truth, TimeDelta::zero());
            let (gone, _) = root.backup(truth, ahead(&faults, run));
            lost.extend(gone.iter().map(|name| root.made[name]));
            let kept: BTreeSet<_> = right.bundles.iter().map(|b| b.taken).collect();
            prop_assert!(lost.is_disjoint(&kept), "run {run}: {gone:?}");
            prop_assert!(!lost.contains(&truth), "run {run} removed its own bundle");
        }
    }

    #[test]
    fn deployments_that_share_a_root_fare_as_if_each_were_alone(
        nights in 40..60i64, faults in [faults(), faults()],
    ) {
        let domains = ["a.example.org", "b.example.org"];
        let (mut shared, mut lasts) = (Vec::<Bundle>::new(), [None, None]);
        let mut alone = [Root::default(), Root::default()];
        let mut used = BTreeSet::new();
        for run in 0..usize::try_from(nights).unwrap() * 2 {
            let (which, night) = (run % 2, run / 2);
            let truth = start() + TimeDelta::hours(i64::try_from(run).unwrap() * 12);
            let mut now = truth + ahead(&faults[which], night);
            while !used.insert(now) {
                now += TimeDelta::seconds(1);
            }
            let new = Bundle { domain: Some(domains[which].to_owned()), ..bundle(now) };
            shared.push(new.clone());
            alone[which].bundles.push(new);
            let (expected, _) = alone[which].prune(now);

            let (own, others) = policy::own(shared.clone(), Some(domains[which]));
            let mut root = Root { bundles: own, last: lasts[which].take(), ..Root::default() };
            let (gone, _) = root.prune(now);
            prop_assert_eq!(gone, expected);
            prop_assert!(root.bundles.iter().any(|b| b.taken == now));
            lasts[which] = root.last;
            shared = root.bundles;
            shared.extend(others);
        }
        for (which, root) in alone.iter().enumerate() {
            let left = shared.iter().filter(|b| b.domain.as_deref() == Some(domains[which])).count();
            prop_assert_eq!(left, root.bundles.len());
        }
    }

    #[test]
    fn once_the_clock_is_right_retention_catches_up(faults in faults()) {
        let mut root = Root::default();
        for run in 0..200 {
            let truth = start() + TimeDelta::days(i64::try_from(run).unwrap());
            root.backup(truth, ahead(&faults, run));
        }
        let end = start() + TimeDelta::days(199);
        for bundle in root.bundles.iter().filter(|b| b.taken <= end) {
            prop_assert!(end - root.made[&bundle.name] <= TimeDelta::days(36), "{bundle:?}");
        }
    }

    #[test]
    fn under_a_right_clock_nightly_bundles_go_by_their_names(late in prop::collection::vec(0..3600i64, 70..90)) {
        let mut root = Root::default();
        for (night, late) in (0..).zip(late) {
            let now = start() + TimeDelta::days(night) + TimeDelta::seconds(late);
            root.backup(now, TimeDelta::zero());
            let old = |b: &Bundle| now - b.taken > TimeDelta::days(KEEP.into());
            prop_assert!(!root.bundles.iter().any(old));
        }
        prop_assert!(root.bundles.len() >= 30);
    }
}
