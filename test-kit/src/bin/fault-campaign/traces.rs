//! What runs leave behind, and what they must not.

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// A directory's files and directories with what is in them.
pub type Contents = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// How the names of our tools' temporary files begin.
const TEMPORARY: &str = pipe_kit::atomic::PREFIX;
/// What stays in `.restore/` between runs.
const KEPT: [&str; 8] = [
    "events.json",
    "events.lock",
    "last-backup.json",
    "last-restore.json",
    "lock",
    "metrics.lock",
    "retention.json",
    "roots.json",
];

pub fn contents(dir: &Path) -> Result<Contents> {
    let mut all = Contents::new();
    for entry in WalkDir::new(dir) {
        let entry = entry.context("reading a directory")?;
        let path = entry.path().strip_prefix(dir).context("a path below")?.to_owned();
        let bytes = match entry.file_type().is_file() {
            true => Some(std::fs::read(entry.path()).context("reading a file")?),
            false => None,
        };
        all.insert(path, bytes);
    }
    Ok(all)
}

/// The names in a directory, in order; none where there is no such directory.
pub fn names(dir: &Path) -> Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        names
            .push(entry.context("reading a directory")?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// A deployment holds no temporary file, no journal, and no lock that is held.
pub fn of_runs(deployment: &Path) -> Result<()> {
    for entry in WalkDir::new(deployment) {
        // Services come and go meanwhile, and their files with them.
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy();
        ensure!(!name.starts_with(TEMPORARY), "left: {}", entry.path().display());
    }
    let state = deployment.join(".restore");
    let left: Vec<_> =
        names(&state)?.into_iter().filter(|name| !KEPT.contains(&name.as_str())).collect();
    ensure!(left.is_empty(), "left in .restore: {left:?}");
    is_free(&state.join("lock"))
}

/// A root holds finished bundles and its lock, which nobody holds.
pub fn of_backups(root: &Path) -> Result<()> {
    let left: Vec<_> = names(root)?
        .into_iter()
        .filter(|name| name != ".lock" && !name.starts_with("piprio_"))
        .collect();
    ensure!(left.is_empty(), "left in {}: {left:?}", root.display());
    is_free(&root.join(".lock"))
}

fn is_free(lock: &Path) -> Result<()> {
    let Ok(file) = File::open(lock) else { return Ok(()) };
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("{} is held", lock.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_leaves_is_found() {
        let dir = tempfile::tempdir().unwrap();
        of_runs(dir.path()).unwrap();
        std::fs::create_dir_all(dir.path().join("secrets")).unwrap();
        let stray = dir.path().join("secrets").join(format!("{TEMPORARY}1"));
        std::fs::write(&stray, "").unwrap();
        assert!(of_runs(dir.path()).is_err());
        std::fs::remove_file(&stray).unwrap();
        std::fs::create_dir(dir.path().join(".restore")).unwrap();
        std::fs::write(dir.path().join(".restore/unfinished.json"), "").unwrap();
        assert!(of_runs(dir.path()).is_err());
    }

    #[test]
    fn a_partial_and_a_held_lock_are_found() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("piprio_20260421T020000Z")).unwrap();
        let lock = File::create(root.path().join(".lock")).unwrap();
        of_backups(root.path()).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(of_backups(root.path()).is_err());
        flock(&lock, FlockOperation::Unlock).unwrap();
        std::fs::create_dir(root.path().join(".piprio_20260421T020001Z.partial")).unwrap();
        assert!(of_backups(root.path()).is_err());
    }
}
