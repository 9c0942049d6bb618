//! Files that runs of several kinds replace, perhaps at the same time: records, tallies, metrics.

use anyhow::{Context, Result};
use pipe_kit::atomic::{PREFIX, directory_of, sync_directory};
use pipe_kit::cleanup;
use pipe_kit::lock::{self, Lock};
use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// How long another run is waited for that changes the state. It reads and writes small files.
pub const LIMIT: Duration = Duration::from_secs(5);
/// How often a file is written: the holder of the deployment's lock removes temporary files, also those of a run that
/// does not need that lock.
const TRIES: u32 = 5;

/// The lock under which files are read, changed and replaced.
pub struct Exclusive {
    _lock: Lock,
}

impl Exclusive {
    /// For the files of a directory of state.
    ///
    /// # Errors
    /// As [`Exclusive::take`].
    pub fn of_state(state_dir: &Path) -> Result<Self> {
        Self::take(&state_dir.join("events.lock"), LIMIT)
    }

    /// With this lock, whose directory (0700) is created if it is missing.
    ///
    /// # Errors
    /// If another run holds it for longer than `limit`.
    pub fn take(path: &Path, limit: Duration) -> Result<Self> {
        let dir = directory_of(path);
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("creating {}", dir.display()));
            }
            _ => {}
        }
        Ok(Self { _lock: lock::take_within(path, limit)? })
    }

    /// Replaces a file as a whole, and makes that durable. What a killed run has left of it goes. Once a signal ends the
    /// run, only what cleans up after it writes: the process may end at any moment, and would leave a half.
    ///
    /// # Errors
    /// If it cannot be written; it is then as it was.
    pub fn replace(&self, file: &Path, text: &[u8], mode: u32) -> Result<()> {
        if cleanup::is_ending() {
            return Ok(());
        }
        let what = || format!("writing {}", file.display());
        let mut name = OsString::from(PREFIX);
        name.push(file.file_name().unwrap_or_default());
        // Whoever reads all files with a certain ending reads no half of one.
        name.push(".new");
        let new = file.with_file_name(name);
        let mut tries = 1..TRIES;
        loop {
            match write(&new, text, mode).and_then(|()| std::fs::rename(&new, file)) {
                Ok(()) => return sync_directory(directory_of(file)),
                Err(error) if error.kind() == ErrorKind::NotFound && tries.next().is_some() => {}
                Err(error) => {
                    let _ = std::fs::remove_file(&new);
                    return Err(error).with_context(what);
                }
            }
        }
    }
}

fn write(new: &Path, text: &[u8], mode: u32) -> std::io::Result<()> {
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Never through a link that somebody else has made meanwhile.
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    out.write_all(text)?;
    out.set_permissions(Permissions::from_mode(mode))?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_also_where_another_run_removes_what_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let (file, new) = (dir.path().join("a"), dir.path().join(format!("{PREFIX}a.new")));
        let mut written = 0;
        std::thread::scope(|scope| {
            let removed = |_: &u32| std::fs::remove_file(&new).is_ok();
            let removing = scope.spawn(move || (0..).filter(removed).take(3).count());
            while !removing.is_finished() {
                written += 1;
                let exclusive = Exclusive::of_state(dir.path()).unwrap();
                exclusive.replace(&file, written.to_string().as_bytes(), 0o640).unwrap();
            }
        });
        assert_eq!(std::fs::read_to_string(&file).unwrap(), written.to_string());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_a_killed_run_left_is_replaced_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let exclusive = Exclusive::of_state(&state).unwrap();
        let (file, other) = (state.join("a"), dir.path().join("other"));
        std::fs::write(&other, "other").unwrap();
        let new = state.join(format!("{PREFIX}a.new"));
        std::os::unix::fs::symlink(&other, &new).unwrap();
        exclusive.replace(&file, b"a", 0o600).unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "other");
        assert_eq!(std::fs::read(&file).unwrap(), b"a");
        std::fs::create_dir(state.join("directory")).unwrap();
        assert!(exclusive.replace(&state.join("directory"), b"a", 0o600).is_err());
        let mut names: Vec<_> =
            std::fs::read_dir(&state).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "directory", "events.lock"]);
    }
}
