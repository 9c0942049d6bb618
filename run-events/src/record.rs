//! The record of a run: how far it has come, in memory and in `DEPLOY/.restore/last-backup.json` or its like.

use crate::exclusive::Exclusive;
use anyhow::Result;
use bundle_format::report::{RunKind, RunRecord, StageRecord};
use chrono::{DateTime, SubsecRound, Utc};
use pipe_kit::atomic::directory_of;
use pipe_kit::mutex::lock;
use pipe_kit::warning;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// The one writer of a record, shared between the sequence and the signal thread. The file is complete after each
/// change. A record that cannot be written stops no run.
pub struct Record {
    file: PathBuf,
    run: Mutex<RunRecord>,
}

impl Record {
    /// What the last run of a kind recorded; none where it recorded nothing that can be read.
    #[must_use]
    pub fn read(state_dir: &Path, kind: RunKind) -> Option<RunRecord> {
        let text = std::fs::read(state_dir.join(kind.record_name())).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// A run that has begun. `bundle` is the one that it is about, if it is there already.
    #[must_use]
    pub fn begin(
        state_dir: &Path,
        kind: RunKind,
        started: DateTime<Utc>,
        root: &Path,
        bundle: Option<&Path>,
    ) -> Self {
        let previous = Self::read(state_dir, kind);
        let mut run = RunRecord::begin(started, root.to_owned(), previous.as_ref());
        run.bundle = bundle.map(Path::to_owned);
        let record = Self { file: state_dir.join(kind.record_name()), run: Mutex::new(run) };
        record.change(|_| {});
        record
    }

    /// A stage begins.
    pub fn begin_stage(&self, stage: &str) {
        let stage = StageRecord { stage: stage.to_owned(), seconds: None, status: None };
        self.change(|run| run.stages.push(stage));
    }

    /// The last stage that has begun has ended, with the exit status that it alone would give the run.
    pub fn end_stage(&self, took: Duration, status: u8) {
        self.change(|run| {
            if let Some(stage) = run.stages.last_mut() {
                stage.seconds = Some((took.as_secs_f64() * 1000.0).round() / 1000.0);
                stage.status = Some(status);
            }
        });
    }

    /// Anything else changes.
    pub fn change(&self, change: impl FnOnce(&mut RunRecord)) {
        // First of all, so that what is written last is what is true last.
        let exclusive = Exclusive::of_state(directory_of(&self.file));
        change(&mut self.run());
        let write =
            |exclusive: Exclusive| exclusive.replace(&self.file, self.json()?.as_bytes(), 0o600);
        if let Err(error) = exclusive.and_then(write) {
            warning!("the run is not recorded: {error:#}");
        }
    }

    /// The run has ended. If it is ended again, the last status counts.
    pub fn end(&self, status: u8) {
        self.change(|run| run.end(now(), status));
    }

    /// As it is now.
    #[must_use]
    pub fn get(&self) -> RunRecord {
        self.run().clone()
    }

    /// As text, a line.
    ///
    /// # Errors
    /// If a path in it is not UTF-8.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(&*self.run())? + "\n")
    }

    fn run(&self) -> MutexGuard<'_, RunRecord> {
        lock(&self.run)
    }
}

/// To the second, as names of bundles are.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_on_disk_from_its_begin_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Record::read(dir.path(), RunKind::Restore);
        assert_eq!(read(), None);
        let begin = || Record::begin(dir.path(), RunKind::Restore, now(), Path::new("/b"), None);
        let record = begin();
        record.begin_stage("database");
        let run = read().unwrap();
        assert_eq!((run.status, run.stages[0].status, run.ended), (None, None, None));
        record.end_stage(Duration::from_micros(1_234_567), 3);
        record.end(3);
        let run = read().unwrap();
        let stage = StageRecord { stage: "database".into(), seconds: Some(1.235), status: Some(3) };
        assert_eq!((run.status, &run.stages[..]), (Some(3), &[stage][..]));
        assert!(run.ended.is_some() && run.last_success.is_none());
        record.end(0);
        let success = read().unwrap().last_success;
        assert!(success.is_some());
        begin().end(1);
        assert_eq!(read().unwrap().last_success, success);
        assert_eq!(Record::read(dir.path(), RunKind::Backup), None);
    }

    #[test]
    fn a_record_that_cannot_be_written_stops_nothing() {
        let (dir, root) = (Path::new("/proc/none"), Path::new("/b"));
        let record = Record::begin(dir, RunKind::Backup, now(), root, None);
        record.begin_stage("database");
        record.end(0);
        assert_eq!(record.get().status, Some(0));
    }
}
