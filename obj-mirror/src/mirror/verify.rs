//! Verification: every object is hashed and compared with the index.

use crate::mirror::contents::Contents;
use crate::mirror::files;
use crate::mirror::index::{self, Entry};
use crate::mirror::placement::OWN;
use crate::mirror::tree::Tree;
use crate::object::hash::hex;
use anyhow::Result;
use indicatif::ProgressBar;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a verification found.
#[derive(Debug, Default, Serialize)]
pub struct VerifyReport {
    pub objects: usize,
    pub bytes: u64,
    pub problems: Vec<Problem>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Relative to the mirror.
    pub path: String,
    /// The object's key, if the index lists it.
    pub key: Option<String>,
    pub problem: String,
}

impl Problem {
    fn of(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), key: None, problem: problem.into() }
    }

    fn of_object(entry: &Entry, problem: impl Into<String>) -> Self {
        Self { key: Some(entry.key.clone()), ..Self::of(&entry.path, problem) }
    }
}

/// Verifies a mirror with `jobs` threads; the problems are sorted by path.
pub fn verify(dir: &Path, jobs: usize) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    if files::journal_path(dir).symlink_metadata().is_ok() {
        let problem = "the mirror is incomplete: mirror the bucket into it again";
        report.problems.push(Problem::of(&format!("{OWN}/journal.jsonl"), problem));
    }
    let index_name = format!("{OWN}/index.jsonl");
    let entries = match index::load(dir) {
        Ok(Some(entries)) => entries,
        Ok(None) => {
            report.problems.push(Problem::of(&index_name, "missing: nothing to verify against"));
            return Ok(report);
        }
        Err(error) => {
            report.problems.push(Problem::of(&index_name, format!("cannot be read: {error:#}")));
            return Ok(report);
        }
    };
    if !index::sums_agree(dir, &entries) {
        let problem = "missing, or does not match the index";
        report.problems.push(Problem::of(&format!("{OWN}/SHA256SUMS"), problem));
    }
    let tree = Tree::open(dir)?;
    let disk = tree.contents()?;
    report.problems.extend(unlisted(&disk, &entries));
    report.objects = entries.len();
    report.bytes = entries.iter().map(|e| e.size).sum();
    let bar = pipe_kit::progress::bytes(Some(report.bytes), "verify");
    report.problems.extend(check_all(&tree, &entries, jobs, &bar));
    bar.finish_and_clear();
    report.problems.sort();
    Ok(report)
}

fn unlisted(disk: &Contents, entries: &[Entry]) -> Vec<Problem> {
    let extra = leftovers(disk, entries.iter().map(|e| e.path.as_str()));
    let listed = |path: &str| entries.iter().any(|e| e.path == path);
    // An object replaced by something foreign is reported once, as an object.
    let foreign = disk.foreign.iter().map(|p| p.to_string_lossy()).filter(|p| !listed(p));
    extra
        .iter()
        .map(|path| Problem::of(path, "not in the index"))
        .chain(foreign.map(|path| Problem::of(&path, "not in the index and not a regular file")))
        .collect()
}

fn check_all(tree: &Tree, entries: &[Entry], jobs: usize, bar: &ProgressBar) -> Vec<Problem> {
    let next = AtomicUsize::new(0);
    let problems = Mutex::new(Vec::new());
    let work = || {
        let mut buffer = vec![0; 256 * 1024];
        while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(problem) = check(tree, entry, &mut buffer, bar) {
                problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(entries.len()) {
            scope.spawn(work);
        }
    });
    problems.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn check(tree: &Tree, entry: &Entry, buffer: &mut [u8], bar: &ProgressBar) -> Option<Problem> {
    let mut file = match tree.open_file(&entry.path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Some(Problem::of_object(entry, "missing"));
        }
        Err(e) => return Some(Problem::of_object(entry, format!("cannot be opened: {e}"))),
    };
    let (mut sha256, mut size) = (Sha256::new(), 0);
    loop {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(n) => {
                sha256.update(&buffer[..n]);
                size += n as u64;
                bar.inc(n as u64);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Some(Problem::of_object(entry, format!("cannot be read: {e}"))),
        }
    }
    if size != entry.size {
        let problem = format!("changed: {size} bytes, {} in the index", entry.size);
        return Some(Problem::of_object(entry, problem));
    }
    let same = hex(&sha256.finalize()).eq_ignore_ascii_case(&entry.sha256);
    (!same).then(|| Problem::of_object(entry, "changed: its SHA-256 does not match the index"))
}

/// Files on disk that are not objects.
fn leftovers<'a>(disk: &Contents, objects: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let objects: HashSet<&str> = objects.into_iter().collect();
    disk.files.keys().filter(|path| !objects.contains(path.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::paths::Paths;
    use crate::mirror::tree::Stat;

    #[test]
    fn leftovers_are_the_files_that_are_no_objects() {
        let mut disk = Contents::default();
        for file in ["a", "b/c"] {
            disk.files.insert(file.to_owned(), Stat { size: 1, modified: None });
        }
        assert_eq!(leftovers(&disk, ["a"]), ["b/c"]);
        let mut paths = Paths::default();
        paths.insert("a");
        assert!(paths.contains("a") && !paths.contains("b/c"));
    }
}
