//! What was decided and what was done.

use bundle_format::retention::Calendar;
use bundle_format::retention::policy::{Decision, Policy, Verdict};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// What was done after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is still there, as decided.
    Kept,
    /// It was removed, as decided.
    Removed,
    /// It could not be removed, or not all of it.
    Failed,
    /// Nothing was done: a dry run.
    None,
}

/// The whole report.
#[derive(Serialize)]
pub struct Report {
    root: String,
    now: String,
    keep_days: u32,
    keep_last: usize,
    keep: Calendar,
    dry_run: bool,
    bundles: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    verdict: &'static str,
    reason: String,
    outcome: Outcome,
}

impl Report {
    /// A report without a bundle yet.
    pub fn new(root: &Path, now: DateTime<Utc>, policy: Policy, dry_run: bool) -> Self {
        Self {
            root: root.to_string_lossy().into_owned(),
            now: now.to_rfc3339_opts(SecondsFormat::Secs, true),
            keep_days: policy.keep_days,
            keep_last: policy.keep_last,
            keep: policy.calendar,
            dry_run,
            bundles: Vec::new(),
        }
    }

    /// Adds a bundle.
    pub fn add(&mut self, decision: &Decision, policy: Policy, outcome: Outcome) {
        self.bundles.push(Line {
            name: decision.bundle.name.clone(),
            verdict: match decision.verdict {
                Verdict::Keep => "keep",
                Verdict::Remove => "remove",
            },
            reason: decision.reason.phrase(policy),
            outcome,
        });
    }

    /// A line for each bundle: `keep NAME REASON`, and in a dry run `remove NAME REASON`, else `removed` or `failed`.
    pub fn text(&self) -> String {
        self.bundles.iter().fold(String::new(), |mut text, line| {
            let word = match line.outcome {
                Outcome::Kept | Outcome::None => line.verdict,
                Outcome::Removed => "removed",
                Outcome::Failed => "failed",
            };
            let _ = writeln!(text, "{word} {} {}", line.name, line.reason);
            text
        })
    }
}
