//! Verification: every object is hashed and compared with the index.

use crate::mirror::contents::Contents;
use crate::mirror::files;
use crate::mirror::index::{self, Entry};
use crate::mirror::placement::OWN;
use crate::mirror::tree::Tree;
use anyhow::Result;
use bundle_format::report::{MirrorCheck, MirrorProblem};
use indicatif::ProgressBar;
use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

fn path_problem(path: &str, problem: impl Into<String>) -> MirrorProblem {
    MirrorProblem { path: path.to_owned(), key: None, problem: problem.into() }
}

fn object_problem(entry: &Entry, text: impl Into<String>) -> MirrorProblem {
    MirrorProblem { key: Some(entry.key.clone()), ..path_problem(&entry.path, text) }
}

/// Verifies a mirror with `jobs` threads; the problems are sorted by path.
pub fn verify(dir: &Path, jobs: usize) -> Result<MirrorCheck> {
    let mut report = MirrorCheck::default();
    if files::journal_path(dir).symlink_metadata().is_ok() {
        let problem = "the mirror is incomplete: mirror the bucket into it again";
        report.problems.push(path_problem(&format!("{OWN}/journal.jsonl"), problem));
    }
    let index_name = format!("{OWN}/index.jsonl");
    let entries = match index::load(dir) {
        Ok(Some(entries)) => entries,
        Ok(None) => {
            report.problems.push(path_problem(&index_name, "missing: nothing to verify against"));
            return Ok(report);
        }
        Err(error) => {
            report.problems.push(path_problem(&index_name, format!("cannot be read: {error:#}")));
            return Ok(report);
        }
    };
    if !index::sums_agree(dir, &entries) {
        let problem = "missing, or does not match the index";
        report.problems.push(path_problem(&format!("{OWN}/SHA256SUMS"), problem));
    }
    let tree = Tree::open(dir)?;
    let disk = tree.contents()?;
    report.problems.extend(unlisted(&disk, &entries));
    report.objects = entries.len() as u64;
    report.bytes = entries.iter().map(|e| e.size).sum();
    let bar = pipe_kit::progress::bytes(Some(report.bytes), "verify");
    report.problems.extend(check_all(&tree, &entries, jobs, &bar));
    bar.finish_and_clear();
    report.problems.sort();
    Ok(report)
}

fn unlisted(disk: &Contents, entries: &[Entry]) -> Vec<MirrorProblem> {
    let extra = leftovers(disk, entries.iter().map(|e| e.path.as_str()));
    let listed = |path: &str| entries.iter().any(|e| e.path == path);
    // An object replaced by something foreign is reported once, as an object.
    let foreign = disk.foreign.iter().map(|p| p.to_string_lossy()).filter(|p| !listed(p));
    extra
        .iter()
        .map(|path| path_problem(path, "not in the index"))
        .chain(foreign.map(|path| path_problem(&path, "not in the index and not a regular file")))
        .collect()
}

fn check_all(tree: &Tree, entries: &[Entry], jobs: usize, bar: &ProgressBar) -> Vec<MirrorProblem> {
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

fn check(
    tree: &Tree,
    entry: &Entry,
    buffer: &mut [u8],
    bar: &ProgressBar,
) -> Option<MirrorProblem> {
    let mut file = match tree.open_file(&entry.path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Some(object_problem(entry, "missing"));
        }
        Err(e) => return Some(object_problem(entry, format!("cannot be opened: {e}"))),
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
            Err(e) => return Some(object_problem(entry, format!("cannot be read: {e}"))),
        }
    }
    if size != entry.size {
        let problem = format!("changed: {size} bytes, {} in the index", entry.size);
        return Some(object_problem(entry, problem));
    }
    let same = hex(&sha256.finalize()).eq_ignore_ascii_case(&entry.sha256);
    (!same).then(|| object_problem(entry, "changed: its SHA-256 does not match the index"))
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
