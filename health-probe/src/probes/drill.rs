//! The last drill, by the reports in `DEPLOY/.drills`.

use super::bundle::AHEAD;
use crate::probe::{Facts, Probe};
use bundle_format::drills::drills;
use bundle_format::report::{DrillReport, DrillResult, ProbeKind, ProbeVerdict};
use chrono::{DateTime, Utc};
use pipe_kit::text::age;
use std::path::Path;
use std::time::Duration;

/// The name of the line, whichever drill it is about.
pub const NAME: &str = "newest";

/// Whether there has been a drill.
pub fn is_any(dir: &Path) -> bool {
    drills(dir).next().is_some()
}

/// How the last drill ended, and how long ago one passed. What is wrong with that is a warning where drills are
/// expected, since the deployment itself works.
pub fn probe(dir: &Path, max_age: Option<Duration>) -> Probe {
    let now = Utc::now();
    judged(&Found::read(dir, now), dir, max_age, now)
}

/// The reports that there are.
struct Found {
    /// The newest first, as far back as to one that passed.
    reports: Vec<DrillReport>,
    /// How many are dated in the future.
    ahead: usize,
}

impl Found {
    fn read(dir: &Path, now: DateTime<Utc>) -> Self {
        let (mut reports, mut ahead) = (Vec::new(), 0);
        for drill in drills(dir) {
            // A report that cannot be read is of a drill that did not pass, as far as is known.
            let report = drill.report.unwrap_or_else(|| DrillReport {
                drill: drill.name.to_string_lossy().into_owned(),
                started: drill.started,
                result: DrillResult::Failed,
                ..DrillReport::default()
            });
            // One that ran under a wrong clock would hide for long that none takes place any more.
            if seconds_of(&report, now) < -AHEAD {
                ahead += 1;
                continue;
            }
            let is_passed = report.result == DrillResult::Passed;
            reports.push(report);
            if is_passed {
                break;
            }
        }
        Self { reports, ahead }
    }
}

fn seconds_of(report: &DrillReport, now: DateTime<Utc>) -> i64 {
    (now - report.started).num_seconds()
}

fn judged(found: &Found, dir: &Path, max_age: Option<Duration>, now: DateTime<Utc>) -> Probe {
    let verdict = if max_age.is_some() { ProbeVerdict::Warn } else { ProbeVerdict::Pass };
    let warn = |detail: String| Probe::new(ProbeKind::Drill, NAME, verdict, detail);
    let max_age = max_age.unwrap_or(Duration::MAX);
    let Found { reports, ahead } = found;
    let Some(last) = reports.first() else {
        let what = if *ahead == 0 { "none" } else { "only what is dated in the future" };
        return warn(format!("{what} in {}; bash scripts/drill.sh", dir.display()));
    };
    let seconds = |report: &DrillReport| seconds_of(report, now);
    let days = max_age.as_secs() / 86_400;
    let is_old = |report: &DrillReport| {
        seconds(report) > i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX)
    };
    let passed = reports.iter().find(|report| report.result == DrillResult::Passed);
    let mut detail =
        format!("{}, {} {} ago", last.drill, last.result.word(), age(seconds(last).max(0)));
    if let Some(rto) = last.goals.rto_seconds {
        detail += &format!(", loaded in {rto:.1} s");
    }
    match passed {
        Some(passed) if is_old(passed) => {
            detail += &format!(
                "; the last that passed is {} old (more than {days} d)",
                age(seconds(passed))
            );
        }
        Some(_) => {}
        None => detail += "; none has passed",
    }
    if *ahead > 0 {
        detail += &format!("; {ahead} dated in the future, not counted");
    }
    let is_good = last.result == DrillResult::Passed && !is_old(last);
    let probe = match is_good {
        true => Probe::pass(ProbeKind::Drill, NAME, detail),
        false => warn(detail),
    };
    let mut facts = Facts::from([
        ("drill", last.drill.as_str().into()),
        ("bundle", last.bundle.name.as_str().into()),
        ("result", last.result.word().into()),
        ("age_seconds", seconds(last).into()),
    ]);
    if let Some(passed) = passed {
        facts.insert("passed_age_seconds", seconds(passed).into());
    }
    if let Some(rto) = last.goals.rto_seconds {
        facts.insert("rto_seconds", rto.into());
    }
    probe.with_facts(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::DrillGoals;
    use chrono::TimeDelta;

    fn report(now: DateTime<Utc>, days: i64, result: DrillResult) -> DrillReport {
        let goals = DrillGoals { rto_seconds: Some(41.96), ..DrillGoals::default() };
        let started = now - TimeDelta::days(days);
        DrillReport { drill: format!("d{days}"), started, result, goals, ..DrillReport::default() }
    }

    #[test]
    fn a_drill_that_did_not_pass_or_is_old_is_a_warning() {
        use DrillResult::{Finding, Passed};
        let now = Utc::now();
        let outcome = |drills: &[(i64, DrillResult)]| {
            let reports = drills.iter().map(|(days, r)| report(now, *days, *r)).collect();
            let found = Found { reports, ahead: 0 };
            let judge = |max_age| judged(&found, Path::new("/d"), max_age, now);
            // Where none is expected, the line is the same, and no warning.
            assert_eq!(judge(None).verdict, ProbeVerdict::Pass);
            let probe = judge(Some(Duration::from_secs(8 * 86_400)));
            (probe.verdict, probe.detail)
        };
        for (drills, verdict, detail) in [
            (&[(3, Passed)][..], ProbeVerdict::Pass, "d3, passed 3 d ago, loaded in 42.0 s"),
            (
                &[(9, Passed)],
                ProbeVerdict::Warn,
                "d9, passed 9 d ago, loaded in 42.0 s; the last that passed is 9 d old (more than 8 d)",
            ),
            (
                &[(3, Finding), (5, Passed)],
                ProbeVerdict::Warn,
                "d3, finding 3 d ago, loaded in 42.0 s",
            ),
            (
                &[(3, Finding)],
                ProbeVerdict::Warn,
                "d3, finding 3 d ago, loaded in 42.0 s; none has passed",
            ),
            (&[], ProbeVerdict::Warn, "none in /d; bash scripts/drill.sh"),
        ] {
            assert_eq!(outcome(drills), (verdict, detail.to_owned()));
        }
    }

    #[test]
    fn reports_are_read_back_to_one_that_passed_and_an_unreadable_one_did_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("report.json"), text).unwrap();
        };
        let passed = report(Utc::now(), 1, DrillResult::Passed);
        write("drill_20260401T020000Z", &serde_json::to_string(&passed).unwrap());
        write("drill_20260402T020000Z", &serde_json::to_string(&passed).unwrap());
        write("drill_20260403T020000Z", "{");
        write(".drill_20260404T020000Z.partial", "{");
        let found = Found::read(dir.path(), Utc::now());
        let read: Vec<_> = found.reports.into_iter().map(|r| (r.drill, r.result)).collect();
        let unreadable = ("drill_20260403T020000Z".to_owned(), DrillResult::Failed);
        assert_eq!(read, [unreadable, ("d1".to_owned(), DrillResult::Passed)]);
    }

    #[test]
    fn a_drill_dated_in_the_future_does_not_hide_that_none_takes_place_any_more() {
        use DrillResult::{Failed, Passed};
        let now: DateTime<Utc> = "2026-04-21T02:00:00Z".parse().unwrap();
        let outcome = |drills: &[(i64, DrillResult)]| {
            let dir = tempfile::tempdir().unwrap();
            for (hours, result) in drills {
                let started = now - TimeDelta::hours(*hours);
                let drill = started.format("drill_%Y%m%dT%H%M%SZ").to_string();
                let own = dir.path().join(&drill);
                std::fs::create_dir(&own).unwrap();
                let report =
                    DrillReport { drill, started, result: *result, ..DrillReport::default() };
                let text = serde_json::to_string(&report).unwrap();
                std::fs::write(own.join("report.json"), text).unwrap();
            }
            let found = Found::read(dir.path(), now);
            let week = Some(Duration::from_secs(7 * 86_400));
            let probe = judged(&found, dir.path(), week, now);
            (probe.verdict, probe.detail.replace(&dir.path().display().to_string(), "/d"))
        };
        for (drills, verdict, detail) in [
            (&[(-24, Passed)][..], ProbeVerdict::Pass, "drill_20260422T020000Z, passed 0 s ago"),
            (
                &[(-25, Passed), (26, Failed), (240, Passed), (480, Passed)],
                ProbeVerdict::Warn,
                "drill_20260420T000000Z, failed 26 h ago; the last that passed is 10 d old (more than 7 d); 1 dated in the future, not counted",
            ),
            (
                &[(-8760, Failed), (-8759, Passed), (3, Passed)],
                ProbeVerdict::Pass,
                "drill_20260420T230000Z, passed 3 h ago; 2 dated in the future, not counted",
            ),
            (
                &[(-25, Passed)],
                ProbeVerdict::Warn,
                "only what is dated in the future in /d; bash scripts/drill.sh",
            ),
        ] {
            assert_eq!(outcome(drills), (verdict, detail.to_owned()));
        }
    }
}
