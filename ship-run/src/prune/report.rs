//! What became of each copy.

use anyhow::Result;
use bundle_format::BundleName;
use pipe_kit::{Exit, Stop, info};
use serde::Serialize;

/// What became of one copy.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub destination: String,
    pub file: String,
    pub outcome: What,
    pub reason: String,
    #[serde(skip)]
    pub bundle: BundleName,
}

/// The word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    Kept,
    Removed,
    Failed,
    /// With `--dry-run`.
    #[serde(rename = "to remove")]
    ToRemove,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Removed => "removed",
            Self::Failed => "failed",
            Self::ToRemove => "to remove",
        }
    }
}

/// The outcomes, and how many destinations failed as a whole.
#[derive(Debug, Default)]
pub struct Report {
    pub outcomes: Vec<Outcome>,
    pub failed: usize,
}

impl Report {
    /// The copies that were removed: destination and bundle.
    pub fn removed(&self) -> impl Iterator<Item = (&str, &BundleName)> {
        let removed = self.outcomes.iter().filter(|outcome| outcome.outcome == What::Removed);
        removed.map(|outcome| (outcome.destination.as_str(), &outcome.bundle))
    }

    /// Prints what became of each copy.
    pub fn print(&self, json: bool) -> Result<()> {
        let line = |o: &Outcome| {
            format!("{}  {}  {}: {}\n", o.destination, o.file, o.outcome.word(), o.reason)
        };
        pipe_kit::output::print(&match json {
            true => serde_json::to_string(&self.outcomes)? + "\n",
            false => self.outcomes.iter().map(line).collect(),
        })
    }

    /// Logs what was removed.
    pub fn log(&self) {
        for outcome in self.outcomes.iter().filter(|outcome| outcome.outcome == What::Removed) {
            info!("removed {} from {}: {}", outcome.file, outcome.destination, outcome.reason);
        }
    }

    /// # Errors
    /// [`Stop::incomplete`] if a destination failed, or a copy was not removed.
    pub fn verdict(&self) -> Result<Exit> {
        let failed = self.outcomes.iter().filter(|outcome| outcome.outcome == What::Failed);
        match self.failed + failed.count() {
            0 => Ok(Exit::Done),
            n => Err(Stop::incomplete(format!("{n} failed, each named above")).into()),
        }
    }
}
