//! 400 nights in six zones whose clocks change twice a year: what is kept is what the policy promises, and what the
//! documentation shows.

use crate::retention::calendar::{Calendar, Period};
use crate::retention::clock::Reading;
use crate::retention::history::Root;
use crate::retention::policy::{Reason, Verdict};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

const NIGHTS: i64 = 400;
const KEEP_DAYS: u32 = 7;
const CALENDAR: Calendar = Calendar { daily: 10, weekly: 5, monthly: 12, yearly: 3 };
const PAGE: &str = include_str!("../../../docs/RETENTION.md");

/// A zone: its offset from UTC in minutes, and the changes of it.
struct Zone {
    name: &'static str,
    offset: i64,
    changes: [(&'static str, i64); 2],
}

const ZONES: [Zone; 6] = [
    Zone {
        name: "Europe/London",
        offset: 0,
        changes: [("2026-03-29T01:00:00Z", 60), ("2026-10-25T01:00:00Z", 0)],
    },
    Zone {
        name: "Europe/Berlin",
        offset: 60,
        changes: [("2026-03-29T01:00:00Z", 120), ("2026-10-25T01:00:00Z", 60)],
    },
    Zone {
        name: "America/New_York",
        offset: -300,
        changes: [("2026-03-08T07:00:00Z", -240), ("2026-11-01T06:00:00Z", -300)],
    },
    Zone {
        name: "America/Santiago",
        offset: -180,
        changes: [("2026-04-05T03:00:00Z", -240), ("2026-09-06T04:00:00Z", -180)],
    },
    Zone {
        name: "Australia/Lord_Howe",
        offset: 660,
        changes: [("2026-04-04T15:00:00Z", 630), ("2026-10-03T15:30:00Z", 660)],
    },
    Zone {
        name: "Pacific/Auckland",
        offset: 780,
        changes: [("2026-04-04T14:00:00Z", 720), ("2026-09-26T14:00:00Z", 780)],
    },
];

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

impl Zone {
    fn offset_at(&self, moment: DateTime<Utc>) -> i64 {
        let passed = self.changes.iter().rev().find(|(change, _)| utc(change) <= moment);
        passed.map_or(self.offset, |(_, offset)| *offset)
    }

    /// The first moment at which the clocks of the zone read that.
    fn moment(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let offsets = self.changes.iter().map(|(_, offset)| *offset).chain([self.offset]);
        let moments = offsets.map(|o| (o, (local - TimeDelta::minutes(o)).and_utc()));
        moments.filter(|(o, moment)| self.offset_at(*moment) == *o).map(|(_, m)| m).min().unwrap()
    }

    /// The moments of a run at that hour of every night.
    fn nights(&self, hour: u32) -> Vec<DateTime<Utc>> {
        let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_hms_opt(hour, 0, 0).unwrap();
        (0..NIGHTS).map(|night| self.moment(first + TimeDelta::days(night))).collect()
    }
}

/// Names the period that a moment is in.
type Label = fn(DateTime<Utc>) -> String;

/// What a policy promises of all bundles that were ever made, oldest first: those of the last days, and the last one of
/// each of the last periods.
fn promised(made: &[DateTime<Utc>]) -> BTreeSet<DateTime<Utc>> {
    let now = *made.last().unwrap();
    let young = |m: &&DateTime<Utc>| now - **m <= TimeDelta::days(KEEP_DAYS.into());
    let mut kept: BTreeSet<_> = made.iter().filter(young).copied().collect();
    let labels: [(Label, u32); 4] = [
        (|m| m.format("%Y-%m-%d").to_string(), CALENDAR.daily),
        (|m| m.format("%G-%V").to_string(), CALENDAR.weekly),
        (|m| m.format("%Y-%m").to_string(), CALENDAR.monthly),
        (|m| m.year().to_string(), CALENDAR.yearly),
    ];
    for (label, count) in labels {
        let last: BTreeMap<String, DateTime<Utc>> = made.iter().map(|m| (label(*m), *m)).collect();
        kept.extend(last.values().rev().take(count.try_into().unwrap()));
    }
    kept
}

#[test]
fn four_hundred_nights_in_six_zones_keep_exactly_what_the_policy_promises() {
    for zone in &ZONES {
        // Hours at which a change of the clock puts two nights into one day, or none.
        for hour in [4, 11, 19, 23] {
            let made = zone.nights(hour);
            let mut root = Root { keep_days: KEEP_DAYS, ..Root::with(CALENDAR) };
            for (night, moment) in made.iter().enumerate() {
                let (_, held) = root.backup(*moment, TimeDelta::zero());
                assert!(!held, "{} {moment}", zone.name);
                assert_eq!(root.kept(), promised(&made[..=night]), "{} {hour} {moment}", zone.name);
            }
        }
    }
}

/// The row of the documentation's table for a zone, after the last night.
fn row(zone: &Zone) -> String {
    let made = zone.nights(4);
    let mut root = Root { keep_days: KEEP_DAYS, ..Root::with(CALENDAR) };
    for moment in &made {
        root.backup(*moment, TimeDelta::zero());
    }
    let now = *made.last().unwrap();
    let clock = Reading::new(&root.bundles, now, root.last.as_ref());
    let decided = root.decide(&clock);
    assert!(decided.iter().all(|d| d.verdict == Verdict::Keep));
    let count = |reason: Reason| decided.iter().filter(|d| d.reason == reason).count();
    let times: BTreeSet<_> = made.iter().map(|m| m.format("%H:%M").to_string()).collect();
    let mut row = format!("| `{}` | {} |", zone.name, Vec::from_iter(times).join(", "));
    let by_calendar =
        [Period::Day, Period::Week, Period::Month, Period::Year].map(Reason::NewestOf);
    for reason in [Reason::Young].into_iter().chain(by_calendar) {
        let _ = write!(row, " {} |", count(reason));
    }
    let oldest = root.kept().first().unwrap().format("%Y-%m-%d %H:%M");
    row + &format!(" {} | {oldest} |", root.bundles.len())
}

#[test]
fn the_documentation_shows_what_is_left_after_400_nights() {
    for row in ZONES.iter().map(row) {
        assert!(PAGE.contains(&row), "docs/RETENTION.md lacks\n{row}");
    }
    let Calendar { daily, weekly, monthly, yearly } = CALENDAR;
    for (setting, value) in [
        ("DAYS", KEEP_DAYS),
        ("DAILY", daily),
        ("WEEKLY", weekly),
        ("MONTHLY", monthly),
        ("YEARLY", yearly),
    ] {
        let line = format!("BACKUP_KEEP_{setting}={value}\n");
        assert!(PAGE.contains(&line), "docs/RETENTION.md lacks {line}");
    }
}

#[test]
fn the_zones_are_those_of_this_host() {
    for zone in &ZONES {
        if !Path::new("/usr/share/zoneinfo").join(zone.name).exists() {
            eprintln!("skipped: the zone {} is not installed", zone.name);
            continue;
        }
        for moment in zone.changes.iter().map(|(change, _)| utc(change)) {
            for moment in [moment - TimeDelta::seconds(1), moment] {
                let at = format!("@{}", moment.timestamp());
                let out =
                    Command::new("date").env("TZ", zone.name).args(["-d", &at, "+%z"]).output();
                let (offset, text) = (zone.offset_at(moment), out.unwrap().stdout);
                let sign = if offset < 0 { '-' } else { '+' };
                let expected = format!("{sign}{:02}{:02}\n", offset.abs() / 60, offset.abs() % 60);
                assert_eq!(String::from_utf8_lossy(&text), expected, "{} {moment}", zone.name);
            }
        }
    }
}
