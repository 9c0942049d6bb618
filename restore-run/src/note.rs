//! What a restore notes of itself under `DEPLOY/.restore/`, so that a later run that goes on from it
//! drops only the database that this one has put aside, and only once every step was finished; and
//! so that it does not go on against another server.

use crate::settings::Settings;
use crate::step::Step;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The note of the newest restore that is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Where it restores to: database, bucket and cache, without secrets.
    pub target: String,
    /// The database as it was before: kept as `…_previous` once names are swapped.
    pub previous_oid: Option<u32>,
    /// The last step up to which every one was finished.
    pub done: String,
}

/// Where the note lies.
pub fn path(settings: &Settings) -> PathBuf {
    settings.state_dir().join("unfinished.json")
}

/// Where a restore goes to.
pub fn target(settings: &Settings) -> String {
    format!(
        "database {} at {}, bucket {} at {}, cache {}",
        settings.database,
        settings.database_at,
        settings.bucket.as_deref().unwrap_or("none"),
        settings.s3_endpoint,
        settings.redis_for_people()
    )
}

impl Note {
    /// A restore that is about to load the database.
    pub fn begin(settings: &Settings, previous_oid: Option<u32>) -> Self {
        Self { target: target(settings), previous_oid, done: Step::Stop.name().to_owned() }
    }

    /// Reads it; none where there is none.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("reading {}", path.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut file = pipe_kit::atomic::AtomicFile::create(path)?;
        file.write_all(&serde_json::to_vec(self)?)
            .with_context(|| format!("writing {}", path.display()))?;
        file.commit()?;
        pipe_kit::atomic::sync_directory(pipe_kit::atomic::directory_of(path))
    }

    /// Whether every step before `step` was finished.
    pub fn reaches(&self, step: Step) -> bool {
        self.done.parse::<Step>().is_ok_and(|done| done.number() + 1 >= step.number())
    }

    /// With a step finished: counts only where none before it is missing.
    pub fn with(mut self, step: Step) -> Self {
        if self.reaches(step) {
            self.done =
                self.done.parse::<Step>().map_or(step, |done| done.max(step)).name().to_owned();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_counts_only_where_none_before_it_is_missing() {
        let note = Note { target: "t".into(), previous_oid: Some(7), done: "stop".into() };
        assert!(note.reaches(Step::Database) && !note.reaches(Step::Objects));
        let skipped = note.clone().with(Step::Start);
        assert_eq!(skipped.done, "stop");
        let all = [Step::Database, Step::Objects, Step::Config, Step::Cache, Step::Start];
        let done = all.into_iter().fold(note, Note::with);
        assert!(done.reaches(Step::Health));
        assert_eq!(done.clone().with(Step::Config), done);
    }

    #[test]
    fn is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        assert_eq!(Note::read(&path).unwrap(), None);
        let note = Note { target: "t".into(), previous_oid: None, done: "config".into() };
        note.write(&path).unwrap();
        assert_eq!(Note::read(&path).unwrap(), Some(note));
        std::fs::write(&path, "{").unwrap();
        assert!(Note::read(&path).is_err());
    }
}
