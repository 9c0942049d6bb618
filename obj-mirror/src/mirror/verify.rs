//! Verification: every object is hashed and compared with the index.

use crate::mirror::checked_index::{CheckedIndex, Entries};
use crate::mirror::contents::Item;
use crate::mirror::files;
use crate::mirror::index::Entry;
use crate::mirror::paths::Paths;
use crate::mirror::placement::OWN;
use crate::mirror::tree::Tree;
use crate::spool::TempFileFailed;
use anyhow::Result;
use bundle_format::report::{MirrorCheck, MirrorProblem};
use indicatif::ProgressBar;
use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
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
    let mut index = match CheckedIndex::open(dir) {
        Ok(Some(index)) => index,
        Ok(None) => {
            report.problems.push(path_problem(&index_name, "missing: nothing to verify against"));
            return Ok(report);
        }
        Err(error) if error.is::<TempFileFailed>() => return Err(error),
        Err(error) => {
            report.problems.push(path_problem(&index_name, format!("cannot be read: {error:#}")));
            return Ok(report);
        }
    };
    if !index.sums_agree {
        let problem = "missing, or does not match the index";
        report.problems.push(path_problem(&format!("{OWN}/SHA256SUMS"), problem));
    }
    let tree = Tree::open(dir)?;
    report.problems.extend(unlisted(&tree, &mut index.paths)?);
    (report.objects, report.bytes) = (index.len, index.bytes);
    let bar = pipe_kit::progress::bytes(Some(report.bytes), "verify");
    report.problems.extend(check_all(&tree, index.entries()?, jobs, &bar)?);
    bar.finish_and_clear();
    report.problems.sort();
    Ok(report)
}

/// What lies in the mirror and is no object of it. An object replaced by something else is reported once, as an
/// object.
fn unlisted(tree: &Tree, listed: &mut Paths) -> Result<Vec<MirrorProblem>> {
    let mut problems = Vec::new();
    tree.walk(|item| {
        let (path, problem) = match item {
            Item::Directory(_) => return Ok(()),
            Item::File(path) => (path.into(), "not in the index"),
            Item::Foreign(path) => {
                (path.to_string_lossy(), "not in the index and not a regular file")
            }
        };
        if !listed.contains(&path) {
            problems.push(path_problem(&path, problem));
        }
        Ok(())
    })?;
    Ok(problems)
}

/// Checks every entry by `jobs` threads, which share the reader of the index.
fn check_all(
    tree: &Tree,
    entries: Entries,
    jobs: usize,
    bar: &ProgressBar,
) -> Result<Vec<MirrorProblem>> {
    let entries = Mutex::new(entries);
    let next = || entries.lock().unwrap_or_else(PoisonError::into_inner).next().transpose();
    let work = || {
        let (mut problems, mut buffer) = (Vec::new(), vec![0; 256 * 1024]);
        while let Some(entry) = next()? {
            problems.extend(check(tree, &entry, &mut buffer, bar));
        }
        Ok(problems)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let found = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        found.collect::<Result<Vec<_>>>().map(|problems| problems.concat())
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_belongs_to_a_mirror() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for file in ["a", "b/c", "b/d"] {
            std::fs::write(dir.path().join(file), "x").unwrap();
        }
        for link in ["l", "m"] {
            std::os::unix::fs::symlink("a", dir.path().join(link)).unwrap();
        }
        let mut listed = Paths::default();
        ["a", "b/c", "l"].iter().for_each(|path| listed.insert(path));
        let tree = Tree::open(dir.path()).unwrap();
        let mut paths: Vec<_> =
            unlisted(&tree, &mut listed).unwrap().into_iter().map(|problem| problem.path).collect();
        paths.sort();
        assert_eq!(paths, ["b/d", "m"]);
    }
}
