//! How far the restore has come: in memory, and in the journal on disk. Everything that changes goes through here.

use crate::journal::{self, Journal};
use crate::step::Step;
use anyhow::Result;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The state of a running restore. The sequence alone changes it; the signal thread reads it.
pub struct State {
    /// Where the journal lies. As long as it is there, the restore is unfinished.
    path: PathBuf,
    progress: Mutex<Progress>,
}

/// The state at one moment.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The step that has begun last.
    pub step: Option<Step>,
    /// Whether that step has ended.
    pub has_ended: bool,
    /// The application services that ran before, are stopped by this run or an earlier one, and not begun to start
    /// again.
    pub stopped: Vec<String>,
    /// Whether this run has replaced the database.
    pub has_swapped: bool,
    /// Whether part of the bundle was found to be damaged.
    pub is_damaged: bool,
    /// The journal, while this run keeps one.
    pub journal: Option<Journal>,
}

impl State {
    /// At the start of a run, with the journal of the restore that it continues.
    pub fn new(path: PathBuf, journal: Option<Journal>) -> Self {
        Self { path, progress: Mutex::new(Progress { journal, ..Progress::default() }) }
    }

    /// As it is now.
    pub fn progress(&self) -> Progress {
        self.lock().clone()
    }

    /// The journal of this run.
    pub fn journal(&self) -> Option<Journal> {
        self.lock().journal.clone()
    }

    /// The journal that lies on the disk, of whichever run.
    pub fn journal_on_disk(&self) -> Option<Journal> {
        Journal::read(&self.path).ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, step: Step) {
        let mut progress = self.lock();
        progress.step = Some(step);
        progress.has_ended = false;
    }

    /// A step has ended. The journal has it first: a signal in between only repeats the step.
    pub fn end(&self, step: Step) -> Result<()> {
        if step < Step::Health {
            self.update(|journal| journal.finish(step))?;
        }
        self.lock().has_ended = true;
        Ok(())
    }

    /// Application services that are up are about to be stopped. The journal has them first.
    pub fn stopping(&self, up: &[String]) -> Result<()> {
        self.update(|journal| journal.add_ran(up))?;
        let journal = self.journal();
        let ran = journal.and_then(|journal| journal.ran).unwrap_or_else(|| up.to_vec());
        self.lock().stopped = ran;
        Ok(())
    }

    /// Some of them were started again.
    pub fn started(&self, names: &[String]) {
        self.lock().stopped.retain(|name| !names.contains(name));
    }

    /// The application services are about to be started.
    pub fn starting(&self) {
        self.lock().stopped.clear();
    }

    pub fn swapped(&self) {
        self.lock().has_swapped = true;
    }

    /// Part of the bundle is damaged, so the restore will be incomplete.
    pub fn found_damage(&self) -> Result<()> {
        self.lock().is_damaged = true;
        self.update(|journal| journal.incomplete = true)
    }

    /// From now on the restore is unfinished.
    pub fn open_journal(&self, journal: Journal) -> Result<()> {
        journal.write(&self.path)?;
        self.lock().journal = Some(journal);
        Ok(())
    }

    /// Changes the journal, where this run keeps one.
    pub fn update(&self, change: impl FnOnce(&mut Journal)) -> Result<()> {
        let Some(journal) = self.journal() else { return Ok(()) };
        let mut changed = journal.clone();
        change(&mut changed);
        if changed == journal {
            return Ok(());
        }
        // Not under the lock, which the signal thread takes while files are no longer created.
        self.open_journal(changed)
    }

    /// The restore is complete.
    pub fn close_journal(&self) -> Result<()> {
        journal::remove(&self.path)?;
        self.lock().journal = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::journal;

    #[test]
    fn what_is_noted_lies_on_the_disk_until_the_restore_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::new(dir.path().join("journal"), None);
        state.end(Step::Stop).unwrap();
        assert_eq!(state.journal_on_disk(), None);
        state.open_journal(journal(Step::Preflight)).unwrap();
        state.end(Step::Stop).unwrap();
        state.found_damage().unwrap();
        let noted = state.journal().unwrap();
        assert_eq!(state.journal_on_disk().unwrap(), noted);
        assert!(noted.done == Step::Stop && noted.incomplete);
        state.close_journal().unwrap();
        assert_eq!((state.journal_on_disk(), state.journal()), (None, None));
    }
}
