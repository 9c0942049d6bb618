//! What was decided and what came of it.

use crate::policy::{Decision, Policy, Verdict};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is still there, as decided.
    Kept,
    /// It is gone, as decided.
    Removed,
    /// It should be gone and is not, or not wholly.
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
    #[must_use]
    pub fn new(root: &Path, now: DateTime<Utc>, policy: Policy, dry_run: bool) -> Self {
        Self {
            root: root.to_string_lossy().into_owned(),
            now: now.to_rfc3339_opts(SecondsFormat::Secs, true),
            keep_days: policy.keep_days,
            keep_last: policy.keep_last,
            dry_run,
            bundles: Vec::new(),
        }
    }

    /// Adds what became of a bundle.
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

    /// A line a bundle: `keep NAME REASON`, `remove NAME REASON` in a dry run; else `removed` or
    /// `failed` for what was to go.
    #[must_use]
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
