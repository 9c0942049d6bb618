//! What a drill has found so far: the collector of its checks, shared between the sequence and the signal thread.

use crate::secrets::Secrets;
use crate::step::Step;
use bundle_format::report::{
    DRILL_FORMAT, DrillCheck, DrillReport, DrillResult, DrillStep, DrillVerdict,
};
use chrono::Utc;
use pipe_kit::mutex::lock;
use pipe_kit::text::one_line;
use pipe_kit::{info, warning};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many findings of one kind are named; the others are counted.
pub const NAMED: usize = 20;
/// A longer text of a check is cut.
const LONGEST: usize = 2000;

/// A check with its verdict, before it belongs to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub check: String,
    pub verdict: DrillVerdict,
    pub expected: String,
    pub found: String,
}

impl Judged {
    /// A check with this verdict.
    pub fn new(
        verdict: DrillVerdict,
        check: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { check: check.into(), verdict, expected: expected.into(), found: found.into() }
    }
}

struct State {
    report: DrillReport,
    secrets: Secrets,
    step: Option<Step>,
}

/// The one writer of the report.
pub struct Results {
    began: Instant,
    state: Mutex<State>,
}

impl Results {
    /// A drill that begins. `report` has what is known of it.
    pub fn begin(report: DrillReport) -> Self {
        let report = DrillReport {
            format: DRILL_FORMAT,
            toolkit: env!("CARGO_PKG_VERSION").to_owned(),
            host: host(),
            started: Utc::now(),
            ..report
        };
        let state = State { report, secrets: Secrets::default(), step: None };
        Self { began: Instant::now(), state: Mutex::new(state) }
    }

    /// A step begins; the checks that follow are its.
    pub fn begin_step(&self, step: Step) {
        let begins = rounded(self.began.elapsed());
        let mut state = lock(&self.state);
        state.step = Some(step);
        // Until it has ended it was not carried out.
        let verdict = DrillVerdict::Skipped;
        let step =
            DrillStep { step: step.name().to_owned(), verdict, begins, ..DrillStep::default() };
        state.report.steps.push(step);
    }

    /// The step has ended: its verdict is the worst of its checks, or that it failed. Returns the verdict.
    pub fn end_step(&self, took: Duration, failure: Option<String>) -> DrillVerdict {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let name = state.step.take().map(Step::name).unwrap_or_default();
        let own = state.report.checks.iter().filter(|check| check.step == name);
        let worst = own.map(|check| check.verdict).max_by_key(|verdict| rank(*verdict));
        let Some(step) = state.report.steps.last_mut() else { return DrillVerdict::Skipped };
        step.seconds = rounded(took);
        step.verdict = worst.unwrap_or(DrillVerdict::Pass);
        if let Some(failure) = failure {
            step.detail = Some(state.secrets.masked(&one_line(&failure)));
            step.verdict = DrillVerdict::Failed;
        }
        step.verdict
    }

    /// A step is left out, for this reason.
    pub fn skip_step(&self, step: Step, why: &str) {
        info!("{}: skipped, {why}", step.heading());
        let begins = rounded(self.began.elapsed());
        lock(&self.state).report.steps.push(DrillStep {
            step: step.name().to_owned(),
            verdict: DrillVerdict::Skipped,
            begins,
            seconds: 0.0,
            detail: Some(why.to_owned()),
        });
    }

    /// Adds a check to the step that runs. What is not as expected is logged.
    pub fn add(&self, judged: Judged) {
        let mut state = lock(&self.state);
        let Judged { check, verdict, expected, found } = judged;
        let clean = |text: &str| cut(&state.secrets.masked(&one_line(text)));
        let step = state.step.map(Step::name).unwrap_or_default().to_owned();
        let check = DrillCheck {
            step,
            check: clean(&check),
            verdict,
            expected: clean(&expected),
            found: clean(&found),
        };
        let line = format!("{}: {} (expected: {})", check.check, check.found, check.expected);
        match verdict {
            DrillVerdict::Finding => warning!("finding: {line}"),
            DrillVerdict::Failed => warning!("failed: {line}"),
            DrillVerdict::Note => info!("note: {line}"),
            DrillVerdict::Pass | DrillVerdict::Skipped => {}
        }
        state.report.checks.push(check);
    }

    /// Adds checks; of more than [`NAMED`] with one verdict, only so many, and how many more there are. What `what`
    /// names is counted.
    pub fn add_all(&self, what: &str, judged: Vec<Judged>) {
        let mut counts = std::collections::BTreeMap::new();
        for one in judged {
            let count = counts.entry(rank(one.verdict)).or_insert((0, one.verdict));
            count.0 += 1;
            if count.0 <= NAMED {
                self.add(one);
            }
        }
        for (count, verdict) in counts.into_values().filter(|(count, _)| *count > NAMED) {
            let found = format!("{} more", count - NAMED);
            self.add(Judged::new(verdict, what, "none", found));
        }
    }

    /// As expected.
    pub fn pass(
        &self,
        check: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.add(Judged::new(DrillVerdict::Pass, check, expected, found));
    }

    /// Not as before, but no sign of a loss.
    pub fn note(
        &self,
        check: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.add(Judged::new(DrillVerdict::Note, check, expected, found));
    }

    /// Not as expected.
    pub fn finding(
        &self,
        check: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.add(Judged::new(DrillVerdict::Finding, check, expected, found));
    }

    /// It could not be carried out.
    pub fn failed(
        &self,
        check: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.add(Judged::new(DrillVerdict::Failed, check, expected, found));
    }

    /// It was not carried out.
    pub fn skipped(
        &self,
        check: impl Into<String>,
        expected: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.add(Judged::new(DrillVerdict::Skipped, check, expected, why));
    }

    /// Whether a check with this beginning of its name has a finding already.
    pub fn has_finding(&self, check: &str) -> bool {
        let is_it = |c: &DrillCheck| c.verdict == DrillVerdict::Finding && c.check == check;
        lock(&self.state).report.checks.iter().any(is_it)
    }

    /// From here on these are masked.
    pub fn hide(&self, secrets: Secrets) {
        lock(&self.state).secrets = secrets;
    }

    /// A text without the secrets that are known.
    pub fn masked(&self, text: &str) -> String {
        lock(&self.state).secrets.masked(text)
    }

    /// Changes what is no check.
    pub fn update(&self, change: impl FnOnce(&mut DrillReport)) {
        change(&mut lock(&self.state).report);
    }

    /// The whole report, as ended now with this result.
    pub fn ended(&self, result: DrillResult) -> DrillReport {
        let mut state = lock(&self.state);
        state.report.seconds = rounded(self.began.elapsed());
        state.report.result = result;
        let mut report = state.report.clone();
        // What was added before they were known.
        for step in &mut report.steps {
            step.detail = step.detail.as_deref().map(|detail| state.secrets.masked(detail));
        }
        for check in &mut report.checks {
            for text in [&mut check.check, &mut check.expected, &mut check.found] {
                *text = state.secrets.masked(text);
            }
        }
        report
    }

    /// The result of the steps so far.
    pub fn result(&self) -> DrillResult {
        let state = lock(&self.state);
        let steps = state.report.steps.iter().map(|step| step.verdict);
        let verdicts = steps.chain(state.report.checks.iter().map(|check| check.verdict));
        match verdicts.max_by_key(|verdict| rank(*verdict)) {
            Some(DrillVerdict::Failed) => DrillResult::Failed,
            Some(DrillVerdict::Finding) => DrillResult::Finding,
            _ => DrillResult::Passed,
        }
    }

    /// How many checks have this verdict.
    pub fn count(&self, verdict: DrillVerdict) -> usize {
        lock(&self.state).report.checks.iter().filter(|check| check.verdict == verdict).count()
    }
}

/// How bad a verdict is.
fn rank(verdict: DrillVerdict) -> u8 {
    match verdict {
        DrillVerdict::Skipped => 0,
        DrillVerdict::Pass => 1,
        DrillVerdict::Note => 2,
        DrillVerdict::Finding => 3,
        DrillVerdict::Failed => 4,
    }
}

/// To milliseconds.
pub fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.to_owned(),
    }
}

fn host() -> String {
    one_line(&rustix::system::uname().nodename().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(verdicts: &[DrillVerdict]) -> Results {
        let results = Results::begin(DrillReport::default());
        results.begin_step(Step::Compare);
        for verdict in verdicts {
            results.add(Judged::new(*verdict, "it", "a", "b"));
        }
        results
    }

    #[test]
    fn a_step_is_as_bad_as_its_worst_check_and_the_drill_as_its_worst_step() {
        use DrillVerdict::{Failed, Finding, Note, Pass, Skipped};
        for (verdicts, step, result) in [
            (&[][..], Pass, DrillResult::Passed),
            (&[Pass, Note, Pass], Note, DrillResult::Passed),
            (&[Skipped], Skipped, DrillResult::Passed),
            (&[Finding, Note], Finding, DrillResult::Finding),
            (&[Finding, Failed, Pass], Failed, DrillResult::Failed),
        ] {
            let results = with(verdicts);
            assert_eq!(results.end_step(Duration::ZERO, None), step, "{verdicts:?}");
            assert_eq!(results.result(), result, "{verdicts:?}");
        }
        let results = with(&[Pass]);
        assert_eq!(results.end_step(Duration::ZERO, Some("no".into())), Failed);
        assert_eq!(results.ended(results.result()).steps[0].detail.as_deref(), Some("no"));
    }

    #[test]
    fn a_step_that_never_ended_was_not_carried_out() {
        let results = with(&[]);
        assert_eq!(results.ended(DrillResult::Interrupted).steps[0].verdict, DrillVerdict::Skipped);
    }

    #[test]
    fn many_findings_are_counted_and_some_are_named() {
        let results = with(&[]);
        let finding = |n: usize| {
            Judged::new(DrillVerdict::Finding, format!("object {n}"), "there", "missing")
        };
        results.add_all("objects", (0..NAMED + 5).map(finding).collect());
        let report = results.ended(results.result());
        assert_eq!(report.checks.len(), NAMED + 1);
        assert_eq!(report.checks.last().unwrap().found, "5 more");
    }

    #[test]
    fn secrets_are_masked_also_in_what_was_added_before() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("secrets")).unwrap();
        std::fs::write(dir.path().join("secrets/x"), "hunter2").unwrap();
        let results = with(&[]);
        results.note("a", "hunter2", "b\nhunter2");
        results.hide(Secrets::of_config(dir.path()).unwrap());
        results.finding("hunter2", "x", "y");
        let text = serde_json::to_string(&results.ended(results.result())).unwrap();
        assert!(!text.contains("hunter2") && text.contains("b\\\\n***"), "{text}");
    }
}
