//! The journal as this run keeps it: in memory, and on disk before each step counts as finished.

use crate::journal::{self, Journal};
use anyhow::Result;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The journal of the running restore, if it keeps one.
pub struct Ledger {
    path: PathBuf,
    journal: RefCell<Option<Journal>>,
}

impl Ledger {
    /// With the journal that the run goes on with, if there is one.
    pub fn new(path: PathBuf, journal: Option<Journal>) -> Self {
        Self { path, journal: RefCell::new(journal) }
    }

    /// Where it lies, while there is one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As it stands.
    pub fn journal(&self) -> Option<Journal> {
        self.journal.borrow().clone()
    }

    /// Begins one, unless the run goes on with one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(&self, new: impl FnOnce() -> Result<Journal>) -> Result<()> {
        if self.journal.borrow().is_some() {
            return Ok(());
        }
        let journal = new()?;
        journal.write(&self.path)?;
        *self.journal.borrow_mut() = Some(journal);
        Ok(())
    }

    /// Changes it, where the run keeps one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, change: impl FnOnce(&mut Journal)) -> Result<()> {
        let mut journal = self.journal.borrow_mut();
        let Some(journal) = journal.as_mut() else { return Ok(()) };
        let mut changed = journal.clone();
        change(&mut changed);
        if changed != *journal {
            changed.write(&self.path)?;
            *journal = changed;
        }
        Ok(())
    }

    /// The restore is complete.
    ///
    /// # Errors
    /// If the journal cannot be removed.
    pub fn close(&self) -> Result<()> {
        journal::forget(&self.path)?;
        *self.journal.borrow_mut() = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::journal;
    use crate::step::Step;

    #[test]
    fn what_is_noted_lies_on_the_disk_until_the_restore_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let ledger = Ledger::new(path.clone(), None);
        ledger.note(|j| j.finish(Step::Stop)).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), None);
        ledger.begin(|| Ok(journal(Step::Preflight))).unwrap();
        ledger.note(|j| j.finish(Step::Stop)).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), ledger.journal());
        assert_eq!(ledger.journal().unwrap().done, Step::Stop);
        ledger.begin(|| panic!("begun twice")).unwrap();
        ledger.close().unwrap();
        assert_eq!(Journal::read(&path).unwrap(), None);
    }
}
