//! `ship-run verify`: compares the copies with their descriptions, whole or in samples, and checks repositories.

mod findings;

use crate::cli::Verify;
use crate::copies::{self, Copy, Form, State};
use crate::place::restic::Repository;
use crate::place::restic::snapshot::Snapshot;
use crate::place::{Destination, Files, Place};
use crate::recipients::{FOR_OTHERS, Recipients};
use crate::record::Record;
use crate::settings::Settings;
use crate::verify::findings::Findings;
use anyhow::Result;
use bundle_format::shipped::ShippedManifest;
use pipe_kit::progress::{self, Bar};
use pipe_kit::{Exit, Stop, info, status, text, warning};
use serde::Serialize;
use std::time::Duration;

/// How long the record of what was found waits for a run that is changing copies.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What was found of one copy.
#[derive(Debug, Serialize)]
struct Verified {
    destination: String,
    file: String,
    /// Bytes that were read.
    read: u64,
    /// What is wrong with it.
    problem: Option<String>,
    /// It is not complete yet, and not old enough to be damaged.
    unfinished: bool,
}

/// What could be read of the destinations.
#[derive(Debug, Default, Serialize)]
struct Report {
    copies: Vec<Verified>,
    /// Repositories that are damaged, each with what was found.
    repositories: Vec<String>,
    /// Destinations and copies that could not be read, and what could not be recorded.
    failed: Vec<String>,
    #[serde(skip)]
    findings: Findings,
}

/// The parts of a sealed file that are read; all of it without any.
struct Sample(Option<Vec<usize>>);

/// Verifies the copies.
///
/// # Errors
/// [`Stop::damaged`] if one is not as it was written; [`Stop::incomplete`] if some could not be read.
pub fn run(settings: &Settings, args: &Verify) -> Result<Exit> {
    let destinations = settings.destinations()?;
    let shipped = Record::read(settings.record_file());
    let mut report = Report::default();
    let mut found = Vec::new();
    for destination in destinations {
        match copies::of(destination, &shipped) {
            Ok(copies) => found.push((destination, copies)),
            Err(error) => report.fail(destination, &error),
        }
    }
    note_recipients(settings, &found);
    let planned = planned(&found, args.sample);
    let bar = progress::bytes(Some(planned.iter().map(|(.., bytes)| bytes).sum()), "verifying");
    for (destination, copy, sample, _) in &planned {
        report.add(destination, copy, sample, &bar);
    }
    bar.finish_and_clear();
    for (destination, copies) in &found {
        if let Place::Restic(repository) = &destination.place {
            report.check(destination, repository, copies, args.sample);
        }
    }
    if let Err(error) = report.findings.record(settings, PATIENCE) {
        let what = "what was found is not recorded, and prune does not count with it; run ship.sh verify again";
        report.fail(&what, &error);
    }
    report.conclude(args.json)
}

/// A copy may be for keys that were replaced since, or for somebody else's.
fn note_recipients(settings: &Settings, found: &[(&Destination, Vec<Copy>)]) {
    let Some(today) = settings.recipients.as_ref().and_then(Recipients::digest) else { return };
    for (destination, copies) in found {
        for copy in copies.iter().filter(|copy| copy.is_for_others(Some(&today))) {
            info!("{destination}: {} is {FOR_OTHERS}", copy.file);
        }
    }
}

/// What is read of each copy, and how many bytes that is.
fn planned<'a>(
    found: &'a [(&'a Destination, Vec<Copy>)],
    percent: Option<u32>,
) -> Vec<(&'a Destination, &'a Copy, Sample, u64)> {
    let all = found
        .iter()
        .flat_map(|(destination, copies)| copies.iter().map(move |copy| (*destination, copy)));
    all.map(|(destination, copy)| {
        let is_whole = matches!(copy.state, State::Complete | State::Suspect);
        let manifest = copy.manifest().filter(|_| is_whole);
        let chosen = manifest.and_then(|m| Some(chosen(m.parts.len(), percent?)));
        let bytes = match (manifest, &chosen) {
            (None, _) => 0,
            (Some(manifest), None) => manifest.size,
            (Some(manifest), Some(parts)) => {
                let ranges = parts.iter().filter_map(|number| manifest.range(*number));
                ranges.map(|range| range.end - range.start).sum()
            }
        };
        (destination, copy, Sample(chosen), bytes)
    })
    .collect()
}

impl Report {
    fn fail(&mut self, what: &dyn std::fmt::Display, error: &anyhow::Error) {
        let text = format!("{what}: {}", status::one_line(error));
        warning!("{text}");
        self.failed.push(text);
    }

    fn add(&mut self, destination: &Destination, copy: &Copy, sample: &Sample, bar: &Bar) {
        let (mut read, mut problem) = (0, None);
        match (&copy.state, &copy.form, &destination.place) {
            (State::Damaged(why), ..) => problem = Some(why.clone()),
            (State::Unread(why, _), ..) => {
                return self
                    .fail(&format!("{destination}: {}", copy.file), &anyhow::anyhow!(why.clone()));
            }
            (
                State::Complete | State::Suspect,
                Form::Sealed(Some(manifest)),
                Place::Files(files),
            ) => {
                match compare(files, manifest, sample, bar) {
                    Ok(bytes) => {
                        read = bytes;
                        // A sample proves no copy.
                        if sample.0.is_none() {
                            self.findings.add(destination, copy, false);
                        }
                    }
                    Err(error) if status::of(&error) == Exit::Damaged => {
                        problem = Some(format!("{error:#}"));
                        self.findings.add(destination, copy, true);
                    }
                    Err(error) => {
                        return self.fail(&format!("{destination}: {}", copy.file), &error);
                    }
                }
            }
            _ => {}
        }
        if matches!(copy.form, Form::Snapshot(_)) {
            // Its repository is checked as a whole.
            return;
        }
        let unfinished = copy.state == State::Unfinished;
        if unfinished {
            info!("{destination}: {} is not complete yet", copy.file);
        }
        self.push(destination, copy, read, problem, unfinished);
    }

    fn push(
        &mut self,
        destination: &Destination,
        copy: &Copy,
        read: u64,
        problem: Option<String>,
        unfinished: bool,
    ) {
        if let Some(problem) = &problem {
            warning!("{destination}: {}: {problem}", copy.file);
        }
        self.copies.push(Verified {
            destination: destination.to_string(),
            file: copy.file.clone(),
            read,
            problem,
            unfinished,
        });
    }

    /// Checks a repository, and that each snapshot has the seal that its tags name.
    fn check(
        &mut self,
        destination: &Destination,
        repository: &Repository,
        copies: &[Copy],
        percent: Option<u32>,
    ) {
        info!("checking {destination} …");
        let is_whole = match repository.check(percent) {
            Ok(()) => true,
            Err(error) if status::of(&error) == Exit::Damaged => {
                let problem = status::one_line(&error);
                warning!("{destination} is damaged: {problem}; repair it: {}", repository.repair());
                self.repositories.push(format!("{destination}: {problem}"));
                false
            }
            Err(error) => return self.fail(destination, &error),
        };
        let mut is_sound = is_whole && percent.is_none();
        for copy in copies {
            let Form::Snapshot(snapshot) = &copy.form else { continue };
            let problem = match compare_seal(repository, snapshot, copy.name.as_str()) {
                Ok(()) => None,
                // What cannot be read proves no damage; of a damaged repository, it is part of it.
                Err(error) if is_whole && status::of(&error) != Exit::Damaged => {
                    self.fail(&format!("{destination}: {}", copy.file), &error);
                    is_sound = false;
                    continue;
                }
                Err(error) => Some(format!("{error:#}")),
            };
            self.push(destination, copy, 0, problem.clone(), false);
            if !is_whole || problem.is_some() {
                is_sound = false;
                self.findings.add(destination, copy, true);
            } else if percent.is_none() {
                self.findings.add(destination, copy, false);
            }
        }
        if is_sound {
            self.findings.add_sound(destination);
        }
    }

    fn conclude(&self, json: bool) -> Result<Exit> {
        if json {
            pipe_kit::output::print(&(serde_json::to_string(self)? + "\n"))?;
        }
        let damaged = self.copies.iter().filter(|copy| copy.problem.is_some()).count();
        let copies = self.copies.len();
        match (damaged + self.repositories.len(), self.failed.len()) {
            (0, 0) => {
                info!("all of the {copies} copies are as they were written");
                Ok(Exit::Done)
            }
            (0, failed) => {
                let what = format!("{failed} could not be read or recorded, each named above");
                Err(Stop::incomplete(what).into())
            }
            _ if damaged == 0 => {
                let n = text::count(self.repositories.len(), "destination");
                Err(Stop::damaged(format!("damaged: {n}, named above")).into())
            }
            _ => {
                let what = format!("{damaged} of {copies} copies are damaged, each named above");
                Err(Stop::damaged(what).into())
            }
        }
    }
}

/// Compares the seal of a bundle in a snapshot with that of the snapshot's tags.
///
/// # Errors
/// [`Stop::damaged`] if it is another one, or missing; if it cannot be read.
fn compare_seal(repository: &Repository, snapshot: &Snapshot, bundle: &str) -> Result<()> {
    let Some(seal) = snapshot.seal() else { return Ok(()) };
    let found = repository.seal_of(snapshot, bundle)?;
    match found == seal {
        true => Ok(()),
        false => Err(Stop::damaged("it has another seal than its tags name").into()),
    }
}

/// Compares a copy with its description. Returns how many bytes were read.
fn compare(files: &Files, manifest: &ShippedManifest, sample: &Sample, bar: &Bar) -> Result<u64> {
    let Sample(Some(numbers)) = sample else {
        files.check(&manifest.file, None, &manifest.sha256, bar)?;
        return Ok(manifest.size);
    };
    let mut read = 0;
    for number in numbers {
        let Some(range) = manifest.range(*number) else { continue };
        read += range.end - range.start;
        files.check(&manifest.file, Some(range), &manifest.parts[*number], bar)?;
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
