//! `verify`: is a bundle whole, and as it was sealed?

mod components;
pub mod damage_mark;

use crate::bundle::problems::Problems;
use crate::bundle::structure::{self, Structure};
use crate::bundle::{hash, tree};
use anyhow::Result;
use bundle_format::layout::{CONFIG, DATABASE, MIRROR_OWN, SEAL};
use bundle_format::report::{BundleCheck, BundleState};
use components::Verdict;
use pipe_kit::{Exit, Stop, text};
use std::ffi::OsStr;
use std::path::Path;
use std::thread;

/// Sealed files below this size, in bytes, are hashed by a quick check too.
const SMALL: u64 = 1024 * 1024;

/// Checks a bundle and prints what was found.
///
/// # Errors
/// [`Exit::Damaged`] if something is wrong with it; [`Exit::Failed`] if it could not be checked.
pub fn run(dir: &Path, quick_only: bool, json: bool) -> Result<Exit> {
    let dir = tree::resolve(dir)?;
    let mut found = structure::read(&dir)?;
    note_other_name(&dir, &found);
    if tree::is_open(&dir) {
        let dir = dir.display();
        pipe_kit::warning!(
            "{dir} can be read by others, and holds every secret; chmod -R go= {dir}"
        );
    }
    let report = if quick_only { quick(&dir, &mut found) } else { full(&dir, &mut found) };
    if !quick_only {
        match report.state {
            BundleState::Damaged => damage_mark::set(&dir, &report.problems),
            BundleState::Intact | BundleState::Unsealed => damage_mark::clear(&dir),
            BundleState::Unknown => {}
        }
    }
    print(&dir, &report, quick_only, json)
}

/// Age and retention go by the directory's name, so a changed name is reported.
fn note_other_name(dir: &Path, found: &Structure) {
    let Some(made_as) = found.manifest.as_ref().and_then(|m| m.bundle.as_deref()) else { return };
    if tree::name(dir) != made_as {
        let made_as = text::one_line(made_as);
        pipe_kit::info!("{} was made under the name {made_as}", text::path(tree::name(dir)));
    }
}

/// A check of presence, sizes and small files, and of what an earlier full check found.
pub fn quick(dir: &Path, found: &mut Structure) -> BundleCheck {
    let mut unchecked = Vec::new();
    check_seal(dir, found, &mut unchecked, SMALL);
    if let Some(earlier) = damage_mark::read(dir) {
        found.problems.add(".", format!("was found damaged by a full verify: {earlier}"));
    }
    conclude(dir, found, unchecked)
}

fn full(dir: &Path, found: &mut Structure) -> BundleCheck {
    let mut unchecked = Vec::new();
    let has = |path: &str| found.tree.size(path).is_some_and(|size| size > 0);
    let (has_dump, has_config) = (has(DATABASE), has(CONFIG));
    // A mirror that another tool made has no index to check against; the seal alone covers it.
    let has_mirror = found.tree.has_directory(MIRROR_OWN);
    thread::scope(|scope| {
        // While the files are hashed, so that a dump that both read is read from the disk once.
        let dump = has_dump.then(|| scope.spawn(|| components::dump(dir)));
        let objects = has_mirror.then(|| scope.spawn(|| components::objects(dir)));
        let config = has_config.then(|| scope.spawn(|| components::config(dir)));
        check_seal(dir, found, &mut unchecked, u64::MAX);
        let waiting = pipe_kit::progress::bytes(None, "reading the dump and the objects");
        waiting.enable_steady_tick(std::time::Duration::from_millis(250));
        for answer in [dump, objects, config].into_iter().flatten() {
            let answer = answer.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a check panicked")));
            take(answer, &mut found.problems, &mut unchecked);
        }
        waiting.finish_and_clear();
    });
    conclude(dir, found, unchecked)
}

/// Compares sealed files up to a size with their sums.
fn check_seal(dir: &Path, found: &mut Structure, unchecked: &mut Vec<String>, below: u64) {
    let Some(seal) = &found.seal else { return };
    let of_size = |path: &OsStr| found.tree.size(path).filter(|size| *size < below);
    let total = seal.keys().filter_map(|path| of_size(path)).sum();
    let bar = pipe_kit::progress::bytes(Some(total), "verifying");
    for (path, sealed) in seal.iter().filter(|(path, _)| of_size(path).is_some()) {
        match hash::file(&dir.join(path), |n| bar.inc(n)) {
            Ok(digest) if digest == *sealed => {}
            Ok(_) => {
                let why = format!("does not match its checksum in {}", SEAL);
                found.problems.add(path, why);
            }
            Err(error) => unchecked.push(format!("{error:#}")),
        }
    }
    bar.finish_and_clear();
}

fn take(answer: Result<Verdict>, problems: &mut Problems, unchecked: &mut Vec<String>) {
    match answer {
        Ok(Verdict::Whole) => {}
        Ok(Verdict::Damaged(named)) => {
            for (path, why) in named {
                // An object that the lists already found missing is one problem, not two.
                if path == DATABASE || path == CONFIG || !problems.names(&path) {
                    problems.add(path, why);
                }
            }
        }
        Err(error) => unchecked.push(format!("{error:#}")),
    }
}

fn conclude(dir: &Path, found: &mut Structure, unchecked: Vec<String>) -> BundleCheck {
    let name = text::path(tree::name(dir));
    std::mem::take(&mut found.problems).conclude(name, found.sealed, unchecked)
}

fn print(dir: &Path, report: &BundleCheck, quick: bool, json: bool) -> Result<Exit> {
    for problem in &report.problems {
        pipe_kit::log::line(format_args!("{problem}"));
    }
    for unchecked in &report.unchecked {
        pipe_kit::log::line(format_args!("could not check: {}", text::one_line(unchecked)));
    }
    if json {
        pipe_kit::output::print(&format!("{}\n", serde_json::to_string(report)?))?;
    } else {
        pipe_kit::output::print(&format!("{} {}\n", report.bundle, report.state.word()))?;
    }
    match report.state {
        BundleState::Intact => Ok(Exit::Done),
        BundleState::Unsealed => {
            let known = if quick { "are present" } else { "can be read to their end" };
            pipe_kit::info!(
                "{} has no seal (made by an older script): its components {known}; nothing more can be checked",
                report.bundle
            );
            Ok(Exit::Done)
        }
        BundleState::Damaged => Err(Stop::damaged(format!(
            "{} is damaged ({})",
            dir.display(),
            text::count(report.problems.len(), "problem")
        ))
        .into()),
        BundleState::Unknown => anyhow::bail!(
            "{} could not be checked in full; nothing wrong was found in what was checked",
            dir.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_found_missing_twice_is_one_problem() {
        let mut problems = Problems::default();
        let mut unchecked = Vec::new();
        problems.add("minio/a", "is missing");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let named = vec![pair("minio/a", "not there"), pair("minio/b", "differs")];
        take(Ok(Verdict::Damaged(named)), &mut problems, &mut unchecked);
        assert_eq!(problems.clone().conclude(String::new(), true, Vec::new()).problems.len(), 2);
        take(Err(anyhow::anyhow!("pg-snap not found")), &mut problems, &mut unchecked);
        assert_eq!(unchecked, ["pg-snap not found"]);
    }
}
