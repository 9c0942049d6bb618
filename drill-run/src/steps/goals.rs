//! The recovery time and the age of the data, against their goals.

use crate::drill::Drill;
use crate::results::Judged;
use bundle_format::report::{DrillGoals, DrillVerdict};

/// Compares them, as far as they are known.
pub fn run(drill: &Drill) {
    let is_newest = is_newest(drill);
    let settings = &drill.settings;
    let mut goals = DrillGoals::default();
    drill.results.update(|report| {
        report.goals.rto_goal_seconds = settings.rto_goal;
        report.goals.rpo_goal_seconds = settings.rpo_goal;
        let age = report.bundle.taken.map(|taken| (report.started - taken).as_seconds_f64());
        report.goals.rpo_seconds = age.map(|age| age.max(0.0));
        goals.clone_from(&report.goals);
    });
    judge(&goals, is_newest).into_iter().for_each(|judged| drill.results.add(judged));
}

/// The age of an older bundle, drilled on purpose, is not the age of what would be restored.
fn is_newest(drill: &Drill) -> bool {
    let newer = |bundle: &bundle_format::report::ListedBundle| {
        bundle.state.is_good() && drill.bundle.taken.is_some_and(|taken| bundle.timestamp > taken)
    };
    !drill.listing.bundles.iter().any(newer)
}

fn judge(goals: &DrillGoals, is_newest: bool) -> Vec<Judged> {
    let one = |name: &str, found: Option<f64>, goal: Option<f64>| {
        let goal = goal?;
        let Some(found) = found else {
            let expected = format!("at most {goal:.1} s");
            return Some(Judged::new(DrillVerdict::Skipped, name, expected, "not known"));
        };
        let verdict = if found > goal { DrillVerdict::Finding } else { DrillVerdict::Pass };
        let seconds = |value: f64| format!("{value:.1} s");
        Some(Judged::new(verdict, name, format!("at most {}", seconds(goal)), seconds(found)))
    };
    let age = if is_newest { goals.rpo_goal_seconds } else { None };
    let rto = one("recovery time (RTO)", goals.rto_seconds, goals.rto_goal_seconds);
    let rpo = one("age of the data (RPO)", goals.rpo_seconds, age);
    rto.into_iter().chain(rpo).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_exceeded_is_a_finding_and_none_is_none() {
        use DrillVerdict::{Finding, Pass};
        let goals = |rto: f64, rpo: f64| DrillGoals {
            rto_seconds: Some(rto),
            rto_goal_seconds: Some(60.0),
            rpo_seconds: Some(rpo),
            rpo_goal_seconds: Some(3600.0),
        };
        let verdicts = |goals: &DrillGoals, is_newest| -> Vec<DrillVerdict> {
            judge(goals, is_newest).into_iter().map(|judged| judged.verdict).collect()
        };
        assert_eq!(verdicts(&goals(60.0, 3600.1), true), [Pass, Finding]);
        assert_eq!(verdicts(&goals(60.1, 1.0), true), [Finding, Pass]);
        assert_eq!(verdicts(&goals(1.0, 9999.0), false), [Pass]);
        assert!(verdicts(&DrillGoals::default(), true).is_empty());
        let unknown = DrillGoals { rto_seconds: None, ..goals(1.0, 1.0) };
        assert_eq!(verdicts(&unknown, true), [DrillVerdict::Skipped, Pass]);
    }
}
