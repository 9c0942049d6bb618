//! Failures over several runs, in `DEPLOY/.restore/events.json`.

use crate::exclusive::Exclusive;
use anyhow::Result;
use bundle_format::report::RunKind;
use chrono::{DateTime, SubsecRound, Utc};
use pipe_kit::atomic::directory_of;
use pipe_kit::warning;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is known of one kind of run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// When the first of the failures was noticed that no success has followed, as far as was reported.
    pub failing_since: Option<DateTime<Utc>>,
    /// How many runs have failed, ever.
    pub failures: u64,
}

/// The tallies of all kinds.
pub struct Tallies {
    file: PathBuf,
    by_kind: ByKind,
}

type ByKind = BTreeMap<RunKind, Tally>;

impl Tallies {
    /// Reads them; what cannot be read is new.
    pub fn read(state_dir: &Path) -> Self {
        let file = state_dir.join("events.json");
        let text = std::fs::read(&file).unwrap_or_default();
        Self { file, by_kind: serde_json::from_slice(&text).unwrap_or_default() }
    }

    /// That of a kind.
    pub fn of(&self, kind: RunKind) -> Tally {
        self.by_kind.get(&kind).copied().unwrap_or_default()
    }

    /// A run has failed.
    pub fn failed(&mut self, kind: RunKind) {
        self.change(|by_kind| {
            let tally = by_kind.entry(kind).or_default();
            tally.failures += 1;
            tally.failing_since.get_or_insert_with(|| Utc::now().trunc_subsecs(0));
        });
    }

    /// A run has succeeded, and that was reported.
    pub fn recovered(&mut self, kind: RunKind) {
        if self.of(kind).failing_since.is_some() {
            self.change(|by_kind| by_kind.entry(kind).or_default().failing_since = None);
        }
    }

    /// Changes them as they are now: a run of another kind may have changed its own meanwhile.
    fn change(&mut self, change: impl FnOnce(&mut ByKind)) {
        let state_dir = directory_of(&self.file).to_owned();
        let write = || -> Result<()> {
            let exclusive = Exclusive::of_state(&state_dir)?;
            *self = Self::read(&state_dir);
            change(&mut self.by_kind);
            exclusive.replace(&self.file, &serde_json::to_vec(&self.by_kind)?, 0o600)
        };
        if let Err(error) = write() {
            warning!("the failure is not recorded: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::RunKind::{Backup, Restore};

    #[test]
    fn failures_are_counted_by_kind_and_end_with_a_reported_success() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Tallies::read(dir.path());
        read().recovered(Backup);
        assert!(!dir.path().join("events.json").exists());
        read().failed(Backup);
        let first = read().of(Backup);
        assert_eq!(first.failures, 1);
        read().failed(Backup);
        assert_eq!(read().of(Backup), Tally { failures: 2, ..first });
        read().recovered(Backup);
        assert_eq!(read().of(Backup), Tally { failing_since: None, failures: 2 });
        assert_eq!(read().of(Restore), Tally::default());
    }
    #[test]
    fn runs_that_end_at_the_same_time_lose_nothing_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut early = Tallies::read(dir.path());
        std::thread::scope(|scope| {
            for at in 0..8 {
                let kind = RunKind::ALL[at % RunKind::ALL.len()];
                let state_dir = dir.path();
                scope.spawn(move || (0..5).for_each(|_| Tallies::read(state_dir).failed(kind)));
            }
        });
        early.failed(Backup);
        let read = Tallies::read(dir.path());
        let failures = RunKind::ALL.map(|kind| read.of(kind).failures);
        assert_eq!(failures, [11, 10, 10, 10]);
    }
}
