//! Advisory locks: one run at a time.

use crate::Stop;
use anyhow::{Context, Result};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Held for as long as it lives. Children do not inherit it.
#[derive(Debug)]
#[must_use = "dropped at once, it is released at once"]
pub struct Lock {
    /// Never read: it is unlocked when it is closed.
    _file: File,
}

/// Locks a file, which is created if it is missing. `holder` names who may hold it.
///
/// # Errors
/// [`Stop::refused`] if another process holds it.
pub fn take(path: &Path, holder: &str) -> Result<Lock> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("opening the lock {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(Stop::refused(format!(
            "{holder} is running (it holds {}); nothing was changed; wait for it, then run this again",
            path.display()
        ))
        .into()),
        Err(TryLockError::Error(e)) => {
            Err(e).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// Takes the lock of a directory, `DIR/lock`; the directory (0700) is created if it is missing. Temporary
/// files that killed processes have left there are removed.
///
/// # Errors
/// [`Stop::refused`] if another process holds it.
pub fn take_directory(dir: &Path, holder: &str) -> Result<Lock> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(e).with_context(|| format!("creating {}", dir.display()));
        }
        _ => {}
    }
    let lock = take(&dir.join("lock"), holder)?;
    crate::atomic::remove_leftovers(dir)?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_the_lock_ends_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = take_directory(&state, "another run").unwrap();
        let error = take_directory(&state, "another run").unwrap_err();
        assert_eq!(crate::status::of(&error), crate::Exit::Refused);
        assert!(error.to_string().starts_with("another run is running (it holds "), "{error}");
        drop(first);
        let half = state.join(format!("{}half a file", crate::atomic::PREFIX));
        std::fs::write(&half, "").unwrap();
        // A child that another test has just forked holds it until it becomes its program.
        let again = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            take_directory(&state, "another run").ok()
        });
        assert!(again.is_some());
        assert!(!half.exists());
    }
}
