//! The bundle that is being made: its names, its directory, and what killed runs have left beside it.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use pipe_kit::cleanup;
use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the removal of a partial bundle is tried, and the pause between two tries.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// A bundle before and after it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub root: PathBuf,
    /// Where it will be, complete.
    pub path: PathBuf,
    /// Where it is made.
    pub partial: PathBuf,
}

impl Bundle {
    /// The bundle of that moment.
    pub fn at(root: &Path, now: DateTime<Utc>) -> Self {
        let name = now.format("piprio_%Y%m%dT%H%M%SZ").to_string();
        Self {
            root: root.to_owned(),
            partial: root.join(format!(".{name}.partial")),
            path: root.join(name),
        }
    }

    /// The bundle of this moment, or of the first second after it whose name is free.
    pub fn with_free_name(root: &Path) -> Self {
        loop {
            let bundle = Self::at(root, Utc::now());
            if bundle.path.symlink_metadata().is_err() {
                return bundle;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Makes the empty directory, mode 0700.
    pub fn create(&self) -> Result<()> {
        cleanup::halt_if_ending();
        let made = DirBuilder::new().mode(0o700).create(&self.partial);
        made.with_context(|| format!("creating {}", self.partial.display()))
    }

    /// Whether it has its final name.
    pub fn is_published(&self) -> bool {
        !self.partial.is_dir() && self.path.is_dir()
    }

    /// Removes what was made so far. A stage that is just ending may still create a file.
    pub fn discard(&self) -> Result<()> {
        for _ in 1..TRIES {
            let Ok(found) = self.partial.symlink_metadata() else { return Ok(()) };
            if remove(&self.partial, &found).is_ok() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        let found = self.partial.symlink_metadata();
        found.map_or(Ok(()), |found| remove(&self.partial, &found))
    }
}

/// Removes the partial bundles of killed runs. The caller holds the lock of the root.
pub fn remove_partials(root: &Path) -> Result<()> {
    let what = || format!("reading {}", root.display());
    for entry in std::fs::read_dir(root).with_context(what)? {
        let entry = entry.with_context(what)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".piprio_") && name.ends_with(".partial") {
            remove(&entry.path(), &entry.metadata().with_context(what)?)?;
        }
    }
    Ok(())
}

fn remove(path: &Path, found: &Metadata) -> Result<()> {
    let removed =
        if found.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_not_used_twice() {
        let root = tempfile::tempdir().unwrap();
        let first = Bundle::with_free_name(root.path());
        first.create().unwrap();
        std::fs::rename(&first.partial, &first.path).unwrap();
        assert!(first.is_published());
        let second = Bundle::with_free_name(root.path());
        assert!(second.path > first.path && !second.is_published());
        second.discard().unwrap();
    }

    #[test]
    fn what_killed_runs_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let now = DateTime::from_timestamp(1_776_736_800, 0).unwrap();
        let bundle = Bundle::at(root.path(), now);
        assert_eq!(bundle.partial, root.path().join(".piprio_20260421T020000Z.partial"));
        bundle.create().unwrap();
        std::fs::write(bundle.partial.join("database.sql.gz"), "half").unwrap();
        std::os::unix::fs::symlink("piprio_x", root.path().join(".piprio_a.partial")).unwrap();
        for kept in ["piprio_x", ".piprio_x.shrunk", "other.partial"] {
            std::fs::write(root.path().join(kept), "").unwrap();
        }
        remove_partials(root.path()).unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 3);
    }
}
