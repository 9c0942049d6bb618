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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// When the first of the failures was noticed that no success has followed, as far as was reported.
    pub failing_since: Option<DateTime<Utc>>,
    /// How many runs have failed, ever.
    pub failures: u64,
    /// Which of them have not yet reported their end, by the names of their files: whoever reports it does not count
    /// them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<String>,
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
        self.by_kind.get(&kind).cloned().unwrap_or_default()
    }

    /// A run has failed. It is counted once under the name of its file, where it has one.
    pub fn failed(&mut self, kind: RunKind, name: Option<&str>) {
        let state_dir = directory_of(&self.file).to_owned();
        self.change(|by_kind| {
            let tally = by_kind.entry(kind).or_default();
            if name.is_some_and(|name| tally.counted.iter().any(|counted| counted == name)) {
                return;
            }
            tally.counted.retain(|counted| state_dir.join(counted).exists());
            tally.counted.extend(name.map(str::to_owned));
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
        read().failed(Backup, None);
        let first = read().of(Backup);
        assert_eq!(first.failures, 1);
        read().failed(Backup, None);
        assert_eq!(read().of(Backup), Tally { failures: 2, ..first });
        read().recovered(Backup);
        assert_eq!(read().of(Backup), Tally { failures: 2, ..Tally::default() });
        assert_eq!(read().of(Restore), Tally::default());
    }

    #[test]
    fn a_run_that_has_a_file_is_counted_once_for_as_long_as_the_file_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let failed = |name| Tallies::read(dir.path()).failed(Backup, Some(name));
        for name in ["begun-1", "begun-2"] {
            std::fs::write(dir.path().join(name), "").unwrap();
            failed(name);
        }
        failed("begun-1");
        assert_eq!(Tallies::read(dir.path()).of(Backup).counted, ["begun-1", "begun-2"]);
        std::fs::remove_file(dir.path().join("begun-1")).unwrap();
        std::fs::write(dir.path().join("begun-3"), "").unwrap();
        failed("begun-3");
        let Tally { failures, counted, .. } = Tallies::read(dir.path()).of(Backup);
        assert_eq!((failures, counted), (3, vec!["begun-2".to_owned(), "begun-3".to_owned()]));
    }

    #[test]
    fn runs_that_end_at_the_same_time_lose_nothing_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut early = Tallies::read(dir.path());
        std::thread::scope(|scope| {
            for at in 0..8 {
                let kind = RunKind::ALL[at % RunKind::ALL.len()];
                let state_dir = dir.path();
                scope.spawn(move || {
                    (0..5).for_each(|_| Tallies::read(state_dir).failed(kind, None))
                });
            }
        });
        early.failed(Backup, None);
        let read = Tallies::read(dir.path());
        let failures = RunKind::ALL.map(|kind| read.of(kind).failures);
        assert_eq!(failures, [11, 10, 10, 10]);
    }
}
