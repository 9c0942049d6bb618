//! Files that appear whole or not at all.

use crate::cleanup::{self, Guard};
use crate::mutex::lock;
use anyhow::{Context, Result, anyhow};
use rustix::fs::{AtFlags, RenameFlags, renameat, renameat_with, statat};
use rustix::io::Errno;
use rustix::path::Arg;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::NamedTempFile;

/// A file being written under a temporary name beside its own. Dropped uncommitted, or ended by a
/// signal, it leaves nothing.
pub struct AtomicFile {
    temp: NamedTempFile,
    target: PathBuf,
    guard: Guard,
}

/// The beginning of every temporary file's name, by which leftovers of killed processes are found.
pub const PREFIX: &str = ".pipe-kit-";

/// Removes the temporary files that killed processes have left in a directory. The caller holds the lock of
/// everything that writes there.
///
/// # Errors
/// If the directory cannot be read, or such a file cannot be removed.
pub fn remove_leftovers(dir: &Path) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            let path = entry.path();
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

impl AtomicFile {
    /// Starts a file (mode 0600) that will be `target`.
    ///
    /// # Errors
    /// If the directory is missing or cannot be written to.
    pub fn create(target: &Path) -> Result<Self> {
        let dir = directory_of(target);
        let made = Arc::new(Mutex::new(None::<PathBuf>));
        let undone = Arc::clone(&made);
        let guard = cleanup::on_failure(move || {
            let mut made = lock(&undone);
            if let Some(path) = made.take() {
                let _ = std::fs::remove_file(path);
            }
            // Locked for good: after a signal's clean-up no file is made any more.
            std::mem::forget(made);
        });
        // Created and noted under one lock, since a signal may come between the two.
        let mut noted = lock(&made);
        let temp = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempfile_in(dir)
            .with_context(|| format!("creating a file in {}", dir.display()))?;
        *noted = Some(temp.path().to_owned());
        drop(noted);
        Ok(Self { temp, target: target.to_owned(), guard })
    }

    /// The file as it is being written, to set its mode, times or owner.
    #[must_use]
    pub fn file(&self) -> &File {
        self.temp.as_file()
    }

    /// Syncs the file and renames it to its name, replacing what was there. The caller syncs the
    /// directory ([`sync_directory`]) once all its files are in place.
    ///
    /// # Errors
    /// If syncing or renaming fails; the target is then as it was.
    pub fn commit(self) -> Result<()> {
        let Self { temp, target, guard } = self;
        temp.as_file().sync_all().with_context(|| format!("syncing {}", target.display()))?;
        temp.persist(&target)
            .map_err(|e| anyhow!(e.error).context(format!("renaming to {}", target.display())))?;
        guard.disarm();
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

/// Renames a file or directory of `dir` to a name that must be free: [`Errno::EXIST`] where it is not.
///
/// On a filesystem that cannot check and rename in one step, the caller's lock must keep others from taking the
/// name between the two.
///
/// # Errors
/// If the new name exists, or the system cannot rename.
pub fn rename_new(
    dir: impl AsFd,
    from: impl Arg + Copy,
    to: impl Arg + Copy,
) -> rustix::io::Result<()> {
    match renameat_with(&dir, from, &dir, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            match statat(&dir, to, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => renameat(&dir, from, &dir, to),
                Err(error) => Err(error),
                Ok(_) => Err(Errno::EXIST),
            }
        }
        result => result,
    }
}

/// Makes the names in a directory durable.
///
/// # Errors
/// If the directory cannot be opened or synced.
pub fn sync_directory(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).with_context(|| format!("syncing {}", dir.display()))
}

/// The directory a path lies in: `.` for a bare name.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_only_when_committed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a");
        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!target.exists());
        file.commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        let mut half = AtomicFile::create(&target).unwrap();
        half.write_all(b"half").unwrap();
        drop(half);
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_rename_takes_a_free_name_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("a")).unwrap();
        std::fs::create_dir(path("b")).unwrap();
        let rename = |to: &Path| rename_new(rustix::fs::CWD, &path("a"), to);
        assert_eq!(rename(&path("b")), Err(Errno::EXIST));
        assert_eq!(rename(&path("c")), Ok(()));
        assert!(path("c").is_dir() && !path("a").exists());
    }

    #[test]
    fn what_a_killed_process_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut half = AtomicFile::create(&dir.path().join("a")).unwrap();
        half.write_all(b"half").unwrap();
        std::mem::forget(half);
        std::fs::write(dir.path().join("b"), "whole").unwrap();
        remove_leftovers(dir.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap()).collect();
        assert_eq!(left.iter().map(|e| e.file_name()).collect::<Vec<_>>(), ["b"]);
    }
}
