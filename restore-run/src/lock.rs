//! One backup or restore at a time: for a deployment, and for a bundle root.

use anyhow::{Context, Result};
use pipe_kit::{Stop, say};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Held for as long as it lives. Children do not inherit it.
pub struct Locks {
    /// Never read: they are unlocked when they are closed.
    held: Vec<File>,
}

/// Takes the deployment's lock and that of the bundle's root.
///
/// # Errors
/// [`Stop::refused`] if either is held.
pub fn take(state_dir: &Path, root: &Path) -> Result<Locks> {
    let mut locks = take_deployment(state_dir)?;
    match lock(&root.join(".lock")) {
        Ok(file) => locks.held.push(file),
        Err(error) if is_read_only(&error) => {
            // No backup prunes there either.
            say!("{} is read-only; it is not locked", root.display());
        }
        Err(error) => return Err(error),
    }
    Ok(locks)
}

/// Takes the deployment's lock alone.
///
/// # Errors
/// [`Stop::refused`] if it is held.
pub fn take_deployment(state_dir: &Path) -> Result<Locks> {
    match DirBuilder::new().mode(0o700).create(state_dir) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(e).with_context(|| format!("creating {}", state_dir.display()));
        }
        _ => {}
    }
    let held = vec![lock(&state_dir.join("lock"))?];
    // Whoever wrote a half journal there is dead.
    pipe_kit::atomic::remove_leftovers(state_dir)?;
    Ok(Locks { held })
}

fn is_read_only(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| {
        matches!(
            e.kind(),
            std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied
        )
    })
}

fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("opening the lock {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Stop::refused(format!(
            "another backup or restore is running (it holds {}); nothing was changed; wait for it, then run this again",
            path.display()
        ))
        .into()),
        Err(TryLockError::Error(e)) => {
            Err(e).with_context(|| format!("locking {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_the_lock_ends_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join(".restore");
        let first = take(&state, dir.path()).unwrap();
        let error = take(&state, dir.path()).err().unwrap();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
        drop(first);
        let half = state.join(format!("{}half a journal", pipe_kit::atomic::PREFIX));
        std::fs::write(&half, "").unwrap();
        take(&state, dir.path()).unwrap();
        assert!(!half.exists());
    }
}
