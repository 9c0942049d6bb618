//! `ship-run verify`: compares the copies with their descriptions, whole or in samples.

use crate::cli::Verify;
use crate::copies::{self, Copy};
use crate::place::Destination;
use crate::settings::Settings;
use anyhow::Result;
use bundle_format::shipped::ShippedManifest;
use pipe_kit::{Exit, Stop, info, warning};
use serde::Serialize;

/// What was found of one copy.
#[derive(Debug, Serialize)]
struct Verified {
    destination: String,
    file: String,
    /// Bytes that were read.
    read: u64,
    /// What is wrong with it.
    problem: Option<String>,
}

/// What could be read of the destinations.
#[derive(Debug, Default, Serialize)]
struct Report {
    copies: Vec<Verified>,
    /// Destinations and copies that could not be read.
    failed: Vec<String>,
}

/// Verifies the copies.
///
/// # Errors
/// [`Stop::damaged`] if one is not as it was written; [`Stop::incomplete`] if some could not be read.
pub fn run(settings: &Settings, args: &Verify) -> Result<Exit> {
    let mut report = Report::default();
    for destination in settings.destinations()? {
        match copies::of(destination) {
            Ok(copies) => {
                for copy in &copies {
                    report.add(destination, copy, args.sample);
                }
            }
            Err(error) => report.failed.push(format!("{destination}: {error:#}")),
        }
    }
    for failed in &report.failed {
        warning!("{failed}");
    }
    if args.json {
        pipe_kit::output::print(&(serde_json::to_string(&report)? + "\n"))?;
    }
    let damaged = report.copies.iter().filter(|copy| copy.problem.is_some()).count();
    let copies = report.copies.len();
    match (damaged, report.failed.len()) {
        (0, 0) => {
            info!("all of the {copies} copies are as they were written");
            Ok(Exit::Done)
        }
        (0, failed) => {
            Err(Stop::incomplete(format!("{failed} could not be read, each named above")).into())
        }
        (damaged, _) => Err(Stop::damaged(format!(
            "{damaged} of {copies} copies are damaged, each named above"
        ))
        .into()),
    }
}

impl Report {
    fn add(&mut self, destination: &Destination, copy: &Copy, sample: Option<u32>) {
        let (mut read, mut problem) = (0, copy.problem());
        if let (None, Ok(manifest)) = (&problem, &copy.manifest) {
            match compare(destination, manifest, sample) {
                Ok(bytes) => read = bytes,
                Err(error) if pipe_kit::status::of(&error) == Exit::Damaged => {
                    problem = Some(format!("{error:#}"));
                }
                Err(error) => {
                    self.failed.push(format!("{destination}: {}: {error:#}", copy.file));
                    return;
                }
            }
        }
        if let Some(problem) = &problem {
            warning!("{destination}: {}: {problem}", copy.file);
        }
        let (destination, file) = (destination.to_string(), copy.file.clone());
        self.copies.push(Verified { destination, file, read, problem });
    }
}

/// Reads a copy, or samples of it; the number of bytes.
fn compare(
    destination: &Destination,
    manifest: &ShippedManifest,
    sample: Option<u32>,
) -> Result<u64> {
    let Some(percent) = sample else {
        destination.place.check(&manifest.file, None, &manifest.sha256)?;
        return Ok(manifest.size);
    };
    let mut read = 0;
    for number in chosen(manifest.parts.len(), percent) {
        let Some(range) = manifest.range(number) else { continue };
        read += range.end - range.start;
        destination.place.check(&manifest.file, Some(range), &manifest.parts[number])?;
    }
    Ok(read)
}

/// Numbers of parts, chosen at random.
fn chosen(parts: usize, percent: u32) -> Vec<usize> {
    let count = (parts * percent as usize).div_ceil(100).min(parts);
    let mut numbers: Vec<usize> = (0..parts).collect();
    fastrand::shuffle(&mut numbers);
    numbers.truncate(count);
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_share_and_at_least_one_part() {
        for (parts, percent, count) in
            [(0, 50, 0), (1, 1, 1), (10, 1, 1), (10, 25, 3), (10, 100, 10)]
        {
            let numbers = chosen(parts, percent);
            assert_eq!(numbers.len(), count, "{parts} {percent}");
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(numbers.iter().all(|number| *number < parts));
        }
    }
}
