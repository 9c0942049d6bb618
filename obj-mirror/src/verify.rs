//! `obj-mirror verify`: every object re-hashed against the index.

use crate::cli::Verify;
use crate::contents::Contents;
use crate::index::{self, Entry};
use crate::key::printable;
use crate::placement::{OWN, hex};
use crate::plan;
use crate::report::print_json;
use crate::tree::{Tree, require_directory};
use anyhow::Result;
use bundle_format::report::{MirrorCheck, MirrorProblem};
use indicatif::ProgressBar;
use pipe_kit::{Exit, Stop, say, warning};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

fn problem_of(path: &str, problem: impl Into<String>) -> MirrorProblem {
    MirrorProblem { path: path.to_owned(), key: None, problem: problem.into() }
}

fn problem_of_object(entry: &Entry, problem: impl Into<String>) -> MirrorProblem {
    MirrorProblem { key: Some(entry.key.clone()), ..problem_of(&entry.path, problem) }
}

/// Verifies a mirror.
///
/// # Errors
/// [`Stop::damaged`] if anything is not as the index says.
pub fn run(args: &Verify) -> Result<Exit> {
    require_directory(&args.dir)?;
    if args.dir.join(OWN).symlink_metadata().is_err() {
        warning!("{}: no index: nothing to verify against", args.dir.display());
        if args.json {
            print_json(&MirrorCheck::default())?;
        }
        return Ok(Exit::Done);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut report = verify(&args.dir, args.jobs.unwrap_or(cores))?;
    report.problems.sort();
    tell(&args.dir, report, args.json)
}

fn tell(dir: &Path, report: MirrorCheck, json: bool) -> Result<Exit> {
    for problem in &report.problems {
        let key = problem.key.as_ref().filter(|key| **key != problem.path);
        let key = key.map_or(String::new(), |key| format!(" (key {})", printable(key)));
        pipe_kit::log::line(format_args!("{}{key}: {}", printable(&problem.path), problem.problem));
    }
    if json {
        print_json(&report)?;
    }
    if report.problems.is_empty() {
        say!(
            "{}: {} objects, {} bytes, all as indexed",
            dir.display(),
            report.objects,
            report.bytes
        );
        return Ok(Exit::Done);
    }
    Err(Stop::damaged(format!(
        "{}: verification failed: {} problems, each named above",
        dir.display(),
        report.problems.len()
    ))
    .into())
}

fn verify(dir: &Path, jobs: usize) -> Result<MirrorCheck> {
    let mut report = MirrorCheck::default();
    if index::journal_path(dir).symlink_metadata().is_ok() {
        let problem = "the mirror was never finished: run the mirror again";
        report.problems.push(problem_of(&format!("{OWN}/journal.jsonl"), problem));
    }
    let index_name = format!("{OWN}/index.jsonl");
    let entries = match index::load(dir) {
        Ok(Some(entries)) => entries,
        Ok(None) => {
            report.problems.push(problem_of(&index_name, "missing: nothing to verify against"));
            return Ok(report);
        }
        Err(error) => {
            report.problems.push(problem_of(&index_name, format!("cannot be read: {error:#}")));
            return Ok(report);
        }
    };
    if !index::sums_agree(dir, &entries) {
        let problem = "missing, or does not say what the index says";
        report.problems.push(problem_of(&format!("{OWN}/SHA256SUMS"), problem));
    }
    let tree = Tree::open(dir)?;
    let disk = tree.contents()?;
    report.problems.extend(unlisted(&disk, &entries));
    report.objects = entries.len() as u64;
    report.bytes = entries.iter().map(|e| e.size).sum();
    let bar = pipe_kit::progress::bytes(Some(report.bytes), "verify");
    report.problems.extend(check_all(&tree, &entries, jobs, &bar));
    bar.finish_and_clear();
    Ok(report)
}

fn unlisted(disk: &Contents, entries: &[Entry]) -> Vec<MirrorProblem> {
    let extra = plan::leftovers(disk, entries.iter().map(|e| e.path.as_str()));
    let listed = |path: &str| entries.iter().any(|e| e.path == path);
    // An object in whose place something foreign lies is told once, as an object.
    let foreign = disk.foreign.iter().map(|p| p.to_string_lossy()).filter(|p| !listed(p));
    extra
        .iter()
        .map(|path| problem_of(path, "not in the index"))
        .chain(foreign.map(|path| problem_of(&path, "not in the index, and no regular file")))
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
            return Some(problem_of_object(entry, "missing"));
        }
        Err(e) => return Some(problem_of_object(entry, format!("cannot be opened: {e}"))),
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
            Err(e) => return Some(problem_of_object(entry, format!("cannot be read: {e}"))),
        }
    }
    if size != entry.size {
        let problem = format!("changed: {size} bytes, {} in the index", entry.size);
        return Some(problem_of_object(entry, problem));
    }
    let same = hex(&sha256.finalize()).eq_ignore_ascii_case(&entry.sha256);
    (!same).then(|| problem_of_object(entry, "changed: its SHA-256 is not that of the index"))
}
