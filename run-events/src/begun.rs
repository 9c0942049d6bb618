//! The runs that have begun and not yet reported how they ended: `DEPLOY/.restore/begun-KIND-TIME-PID`, a file that its
//! run keeps locked. One that nobody has locked is that of a run that was killed, or ended with its host.
//!
//! The file is empty until the run has ended; then it has a line of JSON, a [`Note`]. Lines are only appended, since a
//! file that replaces it would not be locked. The last one that is complete counts.

use crate::exclusive::Exclusive;
use anyhow::{Context, Result};
use bundle_format::report::{RunKind, RunRecord};
use chrono::{DateTime, NaiveDateTime, Utc};
use pipe_kit::atomic::sync_directory;
use pipe_kit::warning;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const PREFIX: &str = "begun-";
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// What is known of a run whose end is not reported yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Its exit status; none before its end.
    pub status: Option<u8>,
    /// What it had recorded. Its record itself is replaced by that of the next run.
    pub record: Option<RunRecord>,
    /// How many runs have reported it in vain.
    #[serde(default)]
    pub tries: u32,
}

/// A run that has not reported its end, with its lock.
#[derive(Debug)]
pub struct Begun {
    /// When it began, to the second.
    pub started: DateTime<Utc>,
    path: PathBuf,
    /// Unlocked when it is closed.
    file: File,
}

impl Begun {
    /// This run begins. Also returns the runs of its kind that were killed, the oldest first: they are this run's to
    /// report, and no other one finds them meanwhile.
    ///
    /// # Errors
    /// If the directory of the state cannot be written.
    pub fn begin(
        state_dir: &Path,
        kind: RunKind,
        started: DateTime<Utc>,
    ) -> Result<(Self, Vec<Self>)> {
        // A file that is not yet locked must not pass for one of a killed run.
        let _exclusive = Exclusive::of_state(state_dir)?;
        let killed = killed(state_dir, kind).unwrap_or_else(|error| {
            warning!("runs that were killed are not reported: {error:#}");
            Vec::new()
        });
        let name = format!("{}{}-{}", prefix(kind), started.format(TIME), std::process::id());
        let path = state_dir.join(name);
        let file = writable().create(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("creating {}", path.display()))?;
        file.try_lock().with_context(|| format!("locking {}", path.display()))?;
        sync_directory(state_dir)?;
        Ok((Self { started, path, file }, killed))
    }

    /// Its name among the runs of this deployment: that of its file.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What it has noted.
    pub fn noted(&self) -> Note {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let notes = text.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
        notes.into_iter().next().unwrap_or_default()
    }

    /// Notes this in the place of what was noted before.
    ///
    /// # Errors
    /// If it cannot be written; what was noted before then counts.
    pub fn note(&mut self, note: &Note) -> Result<()> {
        // What a full disk left of an earlier line must not spoil this one.
        let line = format!("\n{}\n", serde_json::to_string(note)?);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("writing {}", self.path.display()))
    }

    /// Its end is reported.
    pub fn end(self) {
        // Left behind, it is taken for a killed run's, and reported once more: better than never.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn prefix(kind: RunKind) -> String {
    format!("{PREFIX}{}-", kind.word())
}

/// NFS locks a file exclusively only through a descriptor that may write.
fn writable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    options
}

/// Whether a run is killed: it no longer holds its lock.
///
/// # Errors
/// If that cannot be determined.
fn is_killed(locked: Result<(), TryLockError>) -> std::io::Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Those of a kind. One that cannot be examined hides no other.
///
/// # Errors
/// If the directory cannot be read.
fn killed(state_dir: &Path, kind: RunKind) -> Result<Vec<Begun>> {
    let reading = || format!("reading {}", state_dir.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(state_dir).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let Some(started) = started(&path, kind) else { continue };
        match take_killed(&path) {
            Ok(Some(file)) => found.push(Begun { started, path, file }),
            Ok(None) => {}
            Err(error) => warning!(
                "{0}: {error}; if that run was killed, it is not reported; once no {1} is running, as root: rm {0}",
                path.display(),
                kind.word()
            ),
        }
    }
    found.sort_by_key(|begun| begun.started);
    Ok(found)
}

/// The file of a run, locked, if it was killed.
fn take_killed(path: &Path) -> std::io::Result<Option<File>> {
    let file = match writable().open(path) {
        // That run has just reported its end.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let is_killed = is_killed(file.try_lock())? && file.metadata()?.nlink() > 0;
    Ok(is_killed.then_some(file))
}

/// When the run of a file began; none for another file.
fn started(path: &Path, kind: RunKind) -> Option<DateTime<Utc>> {
    let name = path.file_name()?.to_str()?.strip_prefix(&prefix(kind))?;
    let (time, _) = name.split_once('-')?;
    Some(NaiveDateTime::parse_from_str(time, TIME).ok()?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::RunKind::{Backup, Restore};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The killed runs, once there are so many: a child that another test has just forked holds their locks until it
    /// becomes its program.
    fn wait_for_killed(state_dir: &Path, count: usize) -> Vec<Begun> {
        for _ in 0..100 {
            let found = killed(state_dir, Backup).unwrap();
            if found.len() == count {
                return found;
            }
            drop(found);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("there are not {count} killed runs in {}", state_dir.display());
    }

    #[test]
    fn a_killed_run_is_found_once_and_by_its_own_kind() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join(".restore");
        let begin = |kind, time| Begun::begin(&state, kind, at(time)).unwrap();
        let (running, none) = begin(Backup, "2026-04-21T02:00:00Z");
        assert!(none.is_empty());
        // As the system does when a process is killed.
        drop(begin(Backup, "2026-04-22T02:00:00Z"));
        let (other, none) = begin(Restore, "2026-04-22T03:00:00Z");
        assert!(none.is_empty());
        let killed = wait_for_killed(&state, 1);
        assert_eq!(killed[0].started, at("2026-04-22T02:00:00Z"));
        // While one run reports it, no other does.
        let (first, none) = begin(Backup, "2026-04-22T04:00:00Z");
        assert!(none.is_empty());
        killed.into_iter().for_each(Begun::end);
        let (second, none) = begin(Backup, "2026-04-22T05:00:00Z");
        assert!(none.is_empty());
        for begun in [running, other, first, second] {
            begun.end();
        }
        let left: Vec<_> =
            std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["events.lock"]);
    }

    #[test]
    fn a_killed_run_whose_reporter_is_killed_is_reported_by_the_one_after() {
        let dir = tempfile::tempdir().unwrap();
        let begin = |time| drop(Begun::begin(dir.path(), Backup, at(time)).unwrap());
        begin("2026-04-22T02:00:00Z");
        begin("2026-04-21T02:00:00Z");
        drop(wait_for_killed(dir.path(), 2));
        let killed = wait_for_killed(dir.path(), 2);
        let started: Vec<_> = killed.iter().map(|begun| begun.started).collect();
        assert_eq!(started, [at("2026-04-21T02:00:00Z"), at("2026-04-22T02:00:00Z")]);
    }

    #[test]
    fn what_a_run_noted_last_is_known_after_it_was_killed_whatever_a_full_disk_left_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut run, _) = Begun::begin(dir.path(), Backup, at("2026-04-21T02:00:00Z")).unwrap();
        assert_eq!(run.noted(), Note::default());
        let record = RunRecord::begin(run.started, "/b".into(), None);
        run.file.write_all(b"{\"status\":3,").unwrap();
        run.note(&Note { status: Some(1), ..Note::default() }).unwrap();
        let note = Note { status: Some(4), record: Some(record), tries: 2 };
        run.note(&note).unwrap();
        run.file.write_all(b"{\"status\":5,").unwrap();
        drop(run);
        assert_eq!(wait_for_killed(dir.path(), 1)[0].noted(), note);
    }

    #[test]
    fn only_a_lock_that_is_held_is_that_of_a_running_run_and_nfs_can_take_it() {
        assert!(is_killed(Ok(())).unwrap());
        assert!(!is_killed(Err(TryLockError::WouldBlock)).unwrap());
        let error = std::io::Error::from_raw_os_error(9);
        assert_eq!(is_killed(Err(TryLockError::Error(error))).unwrap_err().raw_os_error(), Some(9));
        let dir = tempfile::tempdir().unwrap();
        drop(Begun::begin(dir.path(), Backup, at("2026-04-22T02:00:00Z")).unwrap());
        let killed = wait_for_killed(dir.path(), 1);
        let mode = rustix::fs::fcntl_getfl(&killed[0].file).unwrap() & rustix::fs::OFlags::ACCMODE;
        assert_eq!(mode, rustix::fs::OFlags::RDWR);
    }

    #[test]
    fn one_that_cannot_be_opened_hides_neither_the_others_nor_the_run_that_begins() {
        let dir = tempfile::tempdir().unwrap();
        let broken = dir.path().join("begun-backup-20260420T020000Z-1");
        // Nobody can open it, not even root.
        std::os::unix::fs::symlink(&broken, &broken).unwrap();
        drop(Begun::begin(dir.path(), Backup, at("2026-04-21T02:00:00Z")).unwrap());
        let (running, _) = Begun::begin(dir.path(), Backup, at("2026-04-22T02:00:00Z")).unwrap();
        let killed = wait_for_killed(dir.path(), 1);
        assert_eq!(killed[0].started, at("2026-04-21T02:00:00Z"));
        assert!(running.path.exists());
    }

    #[test]
    fn other_files_are_no_runs() {
        for name in ["begun-backup-", "begun-backup-yesterday-1", "begun-backup-20260421T020000Z"] {
            assert_eq!(started(Path::new(name), Backup), None, "{name}");
        }
        let path = Path::new("/d/.restore/begun-backup-20260421T020000Z-17");
        assert_eq!(started(path, Backup), Some(at("2026-04-21T02:00:00Z")));
        assert_eq!(started(path, Restore), None);
    }
}
