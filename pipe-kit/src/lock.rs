//! Advisory locks: one run at a time.

use crate::Stop;
use anyhow::{Context, Result, bail};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// The pause between two tries of [`take_within`].
const PAUSE: Duration = Duration::from_millis(10);

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
    let refused = || {
        Stop::refused(format!(
            "{holder} is running (it holds {}); nothing was changed; wait for it, then run this again",
            path.display()
        ))
    };
    try_take(open(path)?, path)?.map_err(|_| refused().into())
}

/// Locks a file as [`take`] does, but waits for whoever holds it, for at most `limit`.
///
/// # Errors
/// If it is still held then.
pub fn take_within(path: &Path, limit: Duration) -> Result<Lock> {
    let begun = Instant::now();
    let mut file = open(path)?;
    loop {
        match try_take(file, path)? {
            Ok(lock) => return Ok(lock),
            Err(held) => file = held,
        }
        if begun.elapsed() >= limit {
            bail!("another process has held {} for {} s", path.display(), limit.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.with_context(|| format!("opening the lock {}", path.display()))
}

/// The lock, or the file if another process holds it.
fn try_take(file: File, path: &Path) -> Result<Result<Lock, File>> {
    match file.try_lock() {
        Ok(()) => Ok(Ok(Lock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(Err(file)),
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
    #[test]
    fn a_lock_that_is_waited_for_comes_when_it_is_free_and_not_before_nor_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = take(&path, "another run").unwrap();
        let error = take_within(&path, Duration::from_millis(30)).unwrap_err();
        assert!(error.to_string().starts_with("another process has held "), "{error}");
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || take_within(&path, Duration::from_secs(60)))
        };
        drop(held);
        let lock = waiting.join().unwrap().unwrap();
        assert!(take_within(&path, Duration::ZERO).is_err());
        drop(lock);
    }
}
