//! `obj-mirror verify`: compares a mirror with its index.

use crate::cli::Verify;
use crate::mirror::placement::OWN;
use crate::mirror::tree::require_directory;
use crate::mirror::verify::verify;
use crate::object::key::printable;
use crate::report::print_json;
use anyhow::Result;
use bundle_format::report::MirrorCheck;
use pipe_kit::{Exit, Stop, info, warning};
use std::path::Path;

/// Verifies a mirror.
///
/// # Errors
/// [`Stop::damaged`] if anything does not match the index.
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
    let report = verify(&args.dir, args.jobs.unwrap_or(cores))?;
    finish(&args.dir, &report, args.json)
}

fn finish(dir: &Path, report: &MirrorCheck, json: bool) -> Result<Exit> {
    for problem in &report.problems {
        let key = problem.key.as_ref().filter(|key| **key != problem.path);
        let key = key.map_or(String::new(), |key| format!(" (key {})", printable(key)));
        pipe_kit::log::line(format_args!("{}{key}: {}", printable(&problem.path), problem.problem));
    }
    if json {
        print_json(report)?;
    }
    if report.problems.is_empty() {
        info!(
            "{}: {} objects, {} bytes, all match the index",
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
