//! What a report shows, whether as Markdown or as HTML.

use super::numbers::{duration, grouped, round_duration, time};
use bundle_format::report::{
    DrillCheck, DrillGoals, DrillReport, DrillResult, DrillVerdict, PreviousDrill,
};
use pipe_kit::text;

/// A property and its value.
pub struct Fact {
    /// Its name.
    pub label: &'static str,
    /// Never empty.
    pub value: String,
    /// Whether it is a name, path or hash.
    pub is_code: bool,
}

fn plain(label: &'static str, value: impl Into<String>) -> Fact {
    let value = value.into();
    let value = if value.is_empty() { "unknown".to_owned() } else { value };
    Fact { label, value, is_code: false }
}

fn code(label: &'static str, value: impl Into<String>) -> Fact {
    Fact { is_code: true, ..plain(label, value) }
}

/// The bundle; nothing if none was chosen.
pub fn bundle(report: &DrillReport) -> Vec<Fact> {
    let bundle = &report.bundle;
    if bundle.name.is_empty() {
        return Vec::new();
    }
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), text::size);
    let objects = match bundle.objects {
        Some(n) => format!("{} in {} objects", size(bundle.objects_bytes), grouped(n)),
        None => size(bundle.objects_bytes),
    };
    vec![
        code("Name", &bundle.name),
        code("Path", &bundle.path),
        plain("Taken", bundle.taken.map_or_else(|| "unknown".to_owned(), time)),
        plain("Age at the drill", age(report)),
        plain("Domain", &bundle.domain),
        plain("Version", &bundle.version),
        plain("Database dump", size(bundle.database_bytes)),
        plain("Objects", objects),
        plain("Config archive", size(bundle.config_bytes)),
        seal(report, "Seal (SHA-256)"),
    ]
}

/// The seal of the bundle.
pub fn seal(report: &DrillReport, label: &'static str) -> Fact {
    match &report.bundle.seal {
        Some(seal) => code(label, seal),
        None => plain(label, "none"),
    }
}

fn age(report: &DrillReport) -> String {
    report.bundle.taken.map_or_else(
        || "unknown".to_owned(),
        |taken| text::age((report.started - taken).num_seconds()),
    )
}

/// The private PostgreSQL; nothing if none was started.
pub fn server(report: &DrillReport) -> Vec<Fact> {
    let Some(server) = &report.server else { return Vec::new() };
    let size = server.database_bytes.map_or_else(|| "unknown".to_owned(), text::size);
    vec![
        plain("PostgreSQL", &server.version),
        code("Source", &server.source),
        plain("Restored database", size),
    ]
}

/// The drill itself.
pub fn drill(report: &DrillReport) -> Vec<Fact> {
    vec![
        code("Drill", &report.drill),
        plain("Began", time(report.started)),
        plain("Took", duration(report.seconds)),
        plain("Level", report.level.word()),
        plain("Host", &report.host),
        plain("Toolkit", &report.toolkit),
    ]
}

/// The report before this one.
pub fn previous(report: &DrillReport) -> Vec<Fact> {
    match &report.previous {
        None => vec![plain("Report before this one", "none: this is the first")],
        Some(PreviousDrill { drill, sha256 }) => {
            vec![code("Report before this one", drill), code("SHA-256 of its report.json", sha256)]
        }
    }
}

/// Whether a goal is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoalState {
    Met,
    Missed,
    NotSet,
    NotMeasured,
}

/// A measured time and its goal.
pub struct Goal {
    /// What is measured.
    pub label: &'static str,
    /// Its abbreviation: RTO, RPO.
    pub short: &'static str,
    /// The time, or `not measured`.
    pub measured: String,
    /// Empty if none is set.
    pub goal: String,
    /// Whether it is met.
    pub state: GoalState,
}

impl Goal {
    /// Whether the goal is met, as text.
    pub fn outcome(&self) -> &'static str {
        match self.state {
            GoalState::Met => "met",
            GoalState::Missed => "missed",
            GoalState::NotSet => "no goal set",
            GoalState::NotMeasured => "not measured",
        }
    }

    /// The goal and whether it is met, as text.
    pub fn note(&self) -> String {
        match self.state {
            _ if self.goal.is_empty() => "no goal set".to_owned(),
            GoalState::Met | GoalState::Missed => format!("goal {}: {}", self.goal, self.outcome()),
            GoalState::NotSet | GoalState::NotMeasured => format!("goal {}", self.goal),
        }
    }
}

/// The recovery time and the age of the data.
pub fn goals(goals: &DrillGoals) -> [Goal; 2] {
    let goal = |short, label, measured: Option<f64>, goal: Option<f64>| Goal {
        label,
        short,
        measured: measured.map_or_else(|| "not measured".to_owned(), duration),
        goal: goal.map_or_else(String::new, round_duration),
        state: match (measured, goal) {
            (None, _) => GoalState::NotMeasured,
            (Some(_), None) => GoalState::NotSet,
            (Some(measured), Some(goal)) if measured <= goal => GoalState::Met,
            (Some(_), Some(_)) => GoalState::Missed,
        },
    };
    [
        goal("RTO", "Recovery time", goals.rto_seconds, goals.rto_goal_seconds),
        goal("RPO", "Age of the data", goals.rpo_seconds, goals.rpo_goal_seconds),
    ]
}

/// The checks, with those first that found something.
pub fn checks(report: &DrillReport) -> Vec<&DrillCheck> {
    let mut checks: Vec<&DrillCheck> = report.checks.iter().collect();
    checks.sort_by_key(|check| match check.verdict {
        DrillVerdict::Finding => 0,
        DrillVerdict::Failed => 1,
        DrillVerdict::Note => 2,
        DrillVerdict::Skipped => 3,
        DrillVerdict::Pass => 4,
    });
    checks
}

/// How many checks have this verdict.
pub fn number(report: &DrillReport, verdict: DrillVerdict) -> usize {
    report.checks.iter().filter(|check| check.verdict == verdict).count()
}

/// How many checks have each verdict: `2 findings, 1 note, 211 passed`.
pub fn tally(report: &DrillReport) -> String {
    let counts = [
        (DrillVerdict::Finding, "finding"),
        (DrillVerdict::Failed, ""),
        (DrillVerdict::Note, "note"),
        (DrillVerdict::Skipped, ""),
        (DrillVerdict::Pass, ""),
    ];
    let part = |(verdict, noun): (DrillVerdict, &str)| match number(report, verdict) {
        0 => None,
        n if noun.is_empty() => Some(format!("{n} {}", past(verdict))),
        n => Some(text::count(n, noun)),
    };
    let parts: Vec<String> = counts.into_iter().filter_map(part).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn past(verdict: DrillVerdict) -> &'static str {
    match verdict {
        DrillVerdict::Pass => "passed",
        other => other.word(),
    }
}

/// The result, in a few words.
pub fn headline(report: &DrillReport) -> String {
    let found = number(report, DrillVerdict::Finding);
    match report.result {
        DrillResult::Passed => "Passed".to_owned(),
        DrillResult::Finding if found > 0 => text::count(found, "finding"),
        DrillResult::Finding => "Finding".to_owned(),
        DrillResult::Failed => "Failed".to_owned(),
        DrillResult::Damaged => "Bundle damaged".to_owned(),
        DrillResult::Refused => "Refused".to_owned(),
        DrillResult::Interrupted => "Interrupted".to_owned(),
    }
}

/// The result, in one or two sentences.
pub fn summary(report: &DrillReport) -> String {
    let all = report.checks.len();
    let found = number(report, DrillVerdict::Finding);
    let sentence = match report.result {
        DrillResult::Passed => "What was restored from the bundle is as expected.".to_owned(),
        DrillResult::Finding => {
            format!("{found} of {} found something unexpected.", text::count(all, "check"))
        }
        DrillResult::Failed => "A step failed. The bundle is not proven to restore.".to_owned(),
        DrillResult::Damaged => "The bundle is not intact. Do not rely on it.".to_owned(),
        DrillResult::Refused => "The drill could not begin. The bundle was not tested.".to_owned(),
        DrillResult::Interrupted => {
            "The drill ended before its last step. The bundle is not proven to restore.".to_owned()
        }
    };
    let skipped: Vec<&str> = report
        .steps
        .iter()
        .filter(|step| step.verdict == DrillVerdict::Skipped)
        .map(|step| step.step.as_str())
        .collect();
    if skipped.is_empty() {
        return sentence;
    }
    format!("{sentence} Steps that were skipped: {}.", skipped.join(", "))
}

/// Why steps failed or found something, with their names.
pub fn reasons(report: &DrillReport) -> Vec<(&str, &str)> {
    let is_bad = |v: DrillVerdict| matches!(v, DrillVerdict::Failed | DrillVerdict::Finding);
    let bad = report.steps.iter().filter(|step| is_bad(step.verdict));
    bad.filter_map(|step| Some((step.step.as_str(), step.detail.as_deref()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::DrillStep;

    #[test]
    fn a_goal_is_met_missed_or_not_known() {
        let states = |measured, goal| {
            let both = DrillGoals {
                rto_seconds: measured,
                rto_goal_seconds: goal,
                rpo_seconds: measured,
                rpo_goal_seconds: goal,
            };
            goals(&both).map(|goal| goal.state)
        };
        assert_eq!(states(Some(60.0), Some(60.0)), [GoalState::Met; 2]);
        assert_eq!(states(Some(60.1), Some(60.0)), [GoalState::Missed; 2]);
        assert_eq!(states(Some(60.0), None), [GoalState::NotSet; 2]);
        assert_eq!(states(None, Some(60.0)), [GoalState::NotMeasured; 2]);
    }

    #[test]
    fn findings_come_first_and_the_order_is_else_kept() {
        let check = |name: &str, verdict| DrillCheck {
            check: name.to_owned(),
            verdict,
            ..DrillCheck::default()
        };
        let report = DrillReport {
            checks: vec![
                check("a", DrillVerdict::Pass),
                check("b", DrillVerdict::Finding),
                check("c", DrillVerdict::Note),
                check("d", DrillVerdict::Failed),
                check("e", DrillVerdict::Finding),
                check("f", DrillVerdict::Skipped),
                check("g", DrillVerdict::Pass),
            ],
            result: DrillResult::Finding,
            ..DrillReport::default()
        };
        let names: Vec<&str> = checks(&report).iter().map(|c| c.check.as_str()).collect();
        assert_eq!(names, ["b", "e", "d", "c", "f", "a", "g"]);
        assert_eq!(tally(&report), "2 findings, 1 failed, 1 note, 1 skipped, 2 passed");
        assert_eq!(headline(&report), "2 findings");
        assert_eq!(summary(&report), "2 of 7 checks found something unexpected.");
        assert_eq!(tally(&DrillReport::default()), "none");
    }

    #[test]
    fn skipped_steps_and_the_reason_of_a_failure_are_named() {
        let step = |name: &str, verdict, detail: Option<&str>| DrillStep {
            step: name.to_owned(),
            verdict,
            detail: detail.map(str::to_owned),
            ..DrillStep::default()
        };
        let report = DrillReport {
            steps: vec![
                step("validate", DrillVerdict::Pass, Some("intact")),
                step("load", DrillVerdict::Failed, Some("no room")),
                step("compare", DrillVerdict::Skipped, None),
            ],
            result: DrillResult::Failed,
            ..DrillReport::default()
        };
        assert_eq!(reasons(&report), [("load", "no room")]);
        assert!(summary(&report).ends_with("Steps that were skipped: compare."));
    }
}
