//! Removing a bundle so that no part of it ever has a finished name.

use anyhow::{Context, Result, ensure};
use bundle_format::name::{Beside, BundleName};
use pipe_kit::atomic::{rename_new, sync_directory};
use rustix::fs::CWD;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What lies beside a bundle of that name.
fn beside(root: &Path, name: &str, kind: Beside) -> Result<PathBuf> {
    let parsed = BundleName::parse(OsStr::new(name));
    let parsed = parsed.with_context(|| format!("{name} is not named as a bundle"))?;
    Ok(root.join(parsed.beside(kind)))
}

/// What became of a bundle that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// Another program reads it, so it is still there.
    InUse,
}

/// Removes a bundle: renames it first, durably, then deletes its files, following no link. A bundle whose directory
/// another program has locked, as a drill does, is left alone.
///
/// # Errors
/// If it is not a real directory, or not all of it could be removed; the error names what is left.
pub fn remove(root: &Path, name: &str) -> Result<Removal> {
    let path = root.join(name);
    let kind =
        fs::symlink_metadata(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(kind.is_dir(), "{} is not a directory", path.display());
    // Held until it is renamed: a reader that comes later finds no bundle of that name.
    let Some(_lock) = lock(&path)? else { return Ok(Removal::InUse) };
    let removing = beside(root, name, Beside::Removing)?;
    rename_new(CWD, &path, &removing).with_context(|| format!("renaming {}", path.display()))?;
    sync_directory(root)?;
    finish(root, name).map(|()| Removal::Removed)
}

/// Whether another program reads the bundle.
pub fn is_in_use(root: &Path, name: &str) -> bool {
    lock(&root.join(name)).is_ok_and(|lock| lock.is_none())
}

/// Locks a bundle's directory; none if another program has it locked.
fn lock(path: &Path) -> Result<Option<File>> {
    let dir = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    match dir.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // A filesystem that has no such locks, as NFS for a directory: retention must work there too.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(dir)),
    }
}

/// Removes what an interrupted removal of this bundle left, and the bundle's marks.
pub fn finish(root: &Path, name: &str) -> Result<()> {
    let removing = beside(root, name, Beside::Removing)?;
    fs::remove_dir_all(&removing)
        .with_context(|| format!("removing {}; the next run continues", removing.display()))?;
    // A new bundle of that name has its own marks.
    if fs::symlink_metadata(root.join(name)).is_err() {
        for kind in [Beside::Damaged, Beside::Shrunk] {
            let mark = beside(root, name, kind)?;
            match fs::remove_file(&mark) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(e).with_context(|| format!("removing {}", mark.display()));
                }
                _ => {}
            }
        }
    }
    sync_directory(root)
}

/// The bundles whose removal was interrupted, sorted.
pub fn leftovers(root: &Path) -> Result<Vec<String>> {
    let failed = || format!("reading {}", root.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(root).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.file_type().with_context(failed)?.is_dir()
            && let Some(name) = BundleName::parse_beside(&entry.file_name(), Beside::Removing)
        {
            names.push(name.as_str().to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const NAME: &str = "piprio_20260421T020000Z";

    #[test]
    fn a_bundle_goes_with_its_marks_and_nothing_that_it_links_to() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join(NAME).join("minio/a")).unwrap();
        fs::create_dir(root.join("precious")).unwrap();
        fs::write(root.join("precious/file"), "x").unwrap();
        symlink(root.join("precious"), root.join(NAME).join("minio/link")).unwrap();
        for kind in ["damaged", "shrunk"] {
            fs::write(root.join(format!(".{NAME}.{kind}")), "x").unwrap();
        }
        assert_eq!(remove(root, NAME).unwrap(), Removal::Removed);
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
        assert!(root.join("precious/file").exists());
    }

    #[test]
    fn a_bundle_that_is_read_is_left_alone_until_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join(NAME);
        fs::create_dir(&bundle).unwrap();
        let reader = File::open(&bundle).unwrap();
        reader.try_lock_shared().unwrap();
        assert!(is_in_use(dir.path(), NAME));
        assert_eq!(remove(dir.path(), NAME).unwrap(), Removal::InUse);
        assert!(bundle.is_dir());
        drop(reader);
        assert!(!is_in_use(dir.path(), NAME));
        assert_eq!(remove(dir.path(), NAME).unwrap(), Removal::Removed);
        assert!(!bundle.exists());
    }

    #[test]
    fn only_a_real_directory_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("elsewhere")).unwrap();
        symlink("elsewhere", root.join(NAME)).unwrap();
        assert!(remove(root, NAME).is_err());
        assert!(root.join(NAME).exists() && root.join("elsewhere").exists());
    }
}
