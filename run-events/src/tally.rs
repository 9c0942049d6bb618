//! Failures over several runs, in `DEPLOY/.restore/events.json`.

use anyhow::{Context, Result};
use bundle_format::report::RunKind;
use chrono::{DateTime, SubsecRound, Utc};
use pipe_kit::atomic::{AtomicFile, directory_of, sync_directory};
use pipe_kit::warning;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
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
    by_kind: BTreeMap<RunKind, Tally>,
}

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
        let tally = self.by_kind.entry(kind).or_default();
        tally.failures += 1;
        tally.failing_since.get_or_insert_with(|| Utc::now().trunc_subsecs(0));
        self.write();
    }

    /// A run has succeeded, and that was reported.
    pub fn recovered(&mut self, kind: RunKind) {
        if self.of(kind).failing_since.is_some() {
            self.by_kind.entry(kind).or_default().failing_since = None;
            self.write();
        }
    }

    fn write(&self) {
        let write = || -> Result<()> {
            let text = serde_json::to_vec(&self.by_kind)?;
            let mut file = AtomicFile::create(&self.file)?;
            file.write_all(&text).with_context(|| format!("writing {}", self.file.display()))?;
            file.commit()?;
            sync_directory(directory_of(&self.file))
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
}
