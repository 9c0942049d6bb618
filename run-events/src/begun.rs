//! The runs that have begun and not yet reported how they ended: `DEPLOY/.restore/begun-KIND-TIME-PID`, an empty file
//! that its run keeps locked. One that nobody has locked is that of a run that was killed, or ended with its host.

use crate::exclusive::Exclusive;
use anyhow::{Context, Result};
use bundle_format::report::RunKind;
use chrono::{DateTime, NaiveDateTime, Utc};
use pipe_kit::atomic::sync_directory;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const PREFIX: &str = "begun-";
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A run that has not reported its end, with its lock.
#[derive(Debug)]
pub struct Begun {
    /// When it began, to the second.
    pub started: DateTime<Utc>,
    path: PathBuf,
    /// Never read: it is unlocked when it is closed.
    _lock: File,
}

impl Begun {
    /// This run begins. Also returns the runs of its kind that were killed, the oldest first: they are this run's to
    /// report, and no other one finds them meanwhile.
    ///
    /// # Errors
    /// If the directory of the state cannot be read or written.
    pub fn begin(
        state_dir: &Path,
        kind: RunKind,
        started: DateTime<Utc>,
    ) -> Result<(Self, Vec<Self>)> {
        // A file that is not yet locked must not pass for one of a killed run.
        let _exclusive = Exclusive::of_state(state_dir)?;
        let killed = killed(state_dir, kind)?;
        let name = format!("{}{}-{}", prefix(kind), started.format(TIME), std::process::id());
        let path = state_dir.join(name);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("creating {}", path.display()))?;
        file.try_lock().with_context(|| format!("locking {}", path.display()))?;
        sync_directory(state_dir)?;
        Ok((Self { started, path, _lock: file }, killed))
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

fn killed(state_dir: &Path, kind: RunKind) -> Result<Vec<Begun>> {
    let reading = || format!("reading {}", state_dir.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(state_dir).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let Some(started) = started(&path, kind) else { continue };
        let file = match File::open(&path) {
            // That run has just reported its end.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            file => file.with_context(|| format!("opening {}", path.display()))?,
        };
        let is_killed = file.try_lock().is_ok() && file.metadata().is_ok_and(|m| m.nlink() > 0);
        if is_killed {
            found.push(Begun { started, path, _lock: file });
        }
    }
    found.sort_by_key(|begun| begun.started);
    Ok(found)
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
    fn other_files_are_no_runs() {
        for name in ["begun-backup-", "begun-backup-yesterday-1", "begun-backup-20260421T020000Z"] {
            assert_eq!(started(Path::new(name), Backup), None, "{name}");
        }
        let path = Path::new("/d/.restore/begun-backup-20260421T020000Z-17");
        assert_eq!(started(path, Backup), Some(at("2026-04-21T02:00:00Z")));
        assert_eq!(started(path, Restore), None);
    }
}
