//! Seals bundles and writes them to the destinations that lack them.

mod bundle;
mod record;
mod sink;
mod tee;

use crate::cli::Send;
use crate::copies;
use crate::place::Destination;
use crate::send::bundle::Bundle;
use crate::send::record::{Record, Shipped};
use crate::send::sink::{Piece, Sink};
use crate::send::tee::Passed;
use crate::settings::{Recipients, Settings};
use anyhow::{Context, Result, bail};
use bundle_format::shipped::{AGE, GPG, SUFFIX, ShippedManifest};
use chrono::Utc;
use pipe_kit::child::{self, Running};
use pipe_kit::{Exit, Stop, info, lock, warning};
use serde::Serialize;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What became of one bundle at one destination.
#[derive(Clone, Debug, Serialize)]
struct Outcome {
    bundle: String,
    destination: String,
    /// `sent`, `present` or `failed`
    outcome: &'static str,
    /// Of the sealed file, in bytes.
    bytes: Option<u64>,
    error: Option<String>,
}

/// Sends what the command line names.
///
/// # Errors
/// [`Stop::incomplete`] if some destinations failed; [`Stop::refused`] without recipients.
pub fn run(settings: &Settings, args: &Send) -> Result<Exit> {
    let destinations = settings.destinations()?;
    let recipients = settings.recipients.as_ref().ok_or_else(|| {
        Stop::refused(
            "SHIP_RECIPIENTS is not set, and nothing leaves this host unencrypted; make a key elsewhere (age-keygen -o \
             backup.key), copy its public half here (age-keygen -y backup.key > backup.pub), and set SHIP_RECIPIENTS",
        )
    })?;
    let state = settings.state_dir()?;
    let _lock = lock::take_directory(&state, "another run of ship.sh")?;
    let bundles = match &args.bundle {
        Some(path) => vec![Bundle::at(path)?],
        None if args.all => bundle::all(settings)?,
        None => bundle::newest(settings)?,
    };
    let mut record = Record::read(state.join("shipped.json"));
    let (mut outcomes, mut damaged) = (Vec::new(), 0);
    for bundle in &bundles {
        let sent = send(settings, recipients, destinations, bundle, &mut record, &mut outcomes);
        match sent {
            // The others are worth copying all the same.
            Err(error) if args.all && pipe_kit::status::of(&error) == Exit::Damaged => {
                warning!("{}: {error:#}", bundle.name.as_str());
                damaged += 1;
            }
            sent => sent?,
        }
    }
    let reported = report(&outcomes, args.json);
    match damaged {
        0 => reported,
        n => {
            let n = pipe_kit::text::count(n, "bundle");
            Err(Stop::damaged(format!("not copied, because damaged: {n}, named above")).into())
        }
    }
}

/// Sends one bundle to the destinations that lack it.
fn send(
    settings: &Settings,
    recipients: &Recipients,
    destinations: &[Destination],
    bundle: &Bundle,
    record: &mut Record,
    outcomes: &mut Vec<Outcome>,
) -> Result<()> {
    let name = bundle.name.as_str();
    let suffix = if matches!(recipients, Recipients::Age(_)) { AGE } else { GPG };
    let file = format!("{name}{suffix}");
    let mut note = |destination: &Destination, outcome, bytes, error: Option<anyhow::Error>| {
        let error = error.map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            warning!("{name} was not copied to {destination}: {error}");
        }
        let (bundle, destination) = (name.to_owned(), destination.to_string());
        outcomes.push(Outcome { bundle, destination, outcome, bytes, error });
    };
    let mut open = Vec::new();
    for destination in destinations {
        if is_present(destination, bundle, record) {
            info!("{destination} has {name} already");
            note(destination, "present", None, None);
            continue;
        }
        match Sink::start(destination, &file) {
            Ok(sink) => open.push((destination, sink)),
            Err(error) => note(destination, "failed", None, Some(error)),
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let (lacking, sinks): (Vec<_>, Vec<_>) = open.into_iter().unzip();
    let (passed, ended) = pass(settings, recipients, bundle, sinks)?;
    for (destination, ended) in lacking.into_iter().zip(ended) {
        let described = ended.and_then(|()| describe(destination, bundle, &file, &passed));
        match described {
            Ok(shipped) => {
                info!("copied {name} to {destination}: {}", pipe_kit::text::size(passed.size));
                record.add(destination, bundle, shipped);
                note(destination, "sent", Some(passed.size), None);
            }
            Err(error) => note(destination, "failed", None, Some(error)),
        }
    }
    record.write();
    Ok(())
}

/// Whether a destination has the bundle, as far as its keys can find out.
fn is_present(destination: &Destination, bundle: &Bundle, record: &Record) -> bool {
    match copies::of(destination) {
        Ok(copies) => {
            copies.iter().any(|copy| copy.name == bundle.name && copy.is_of(bundle.seal.as_deref()))
        }
        // Keys that can only upload cannot list. What this host has recorded counts.
        Err(error) if pipe_kit::status::of(&error) == Exit::Refused => {
            record.has(destination, bundle)
        }
        // The attempt to write shows what is wrong.
        Err(_) => false,
    }
}

/// Seals the bundle into the sinks. The results of the sinks are in their order.
///
/// # Errors
/// If the bundle cannot be sealed; nothing is stored anywhere then.
fn pass(
    settings: &Settings,
    recipients: &Recipients,
    bundle: &Bundle,
    mut sinks: Vec<Sink>,
) -> Result<(Passed, Vec<Result<()>>)> {
    let mut sealing = seal(settings, recipients, bundle)?;
    let from = sealing.take_stdout().context("a pipe")?;
    let passed = tee::run(from, &mut sinks);
    let sealed = match &passed {
        Ok(_) => sealing.finish().and_then(sealed),
        Err(_) => {
            // Ends it.
            drop(sealing);
            Ok(())
        }
    };
    if sealed.is_ok() && passed.is_ok() {
        for sink in &mut sinks {
            sink.give(Piece::Finish);
        }
    }
    let ended: Vec<Result<()>> = sinks.into_iter().map(Sink::finish).collect();
    sealed?;
    match passed {
        Ok(passed) => Ok((passed, ended)),
        // Each of them has its own error.
        Err(_) if ended.iter().all(Result::is_err) => Ok((Passed::default(), ended)),
        Err(error) => Err(error),
    }
}

/// Starts `seal.sh`, which checks the recipients and the bundle.
fn seal(settings: &Settings, recipients: &Recipients, bundle: &Bundle) -> Result<Running> {
    let scripts = std::env::var_os("PIPRIO_SCRIPTS").map(PathBuf::from);
    let script = scripts.unwrap_or_else(|| settings.deploy.join("scripts")).join("seal.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg(&bundle.path).stdin(Stdio::null()).stdout(Stdio::piped());
    match recipients {
        Recipients::Age(file) => {
            command.arg("-R").arg(file);
        }
        Recipients::Gpg(keys) => {
            command.arg("--gpg");
            command.args(keys.iter().flat_map(|key| ["-r", key]));
        }
    }
    child::spawn(&mut command, "seal.sh")
}

fn sealed(finished: child::Finished) -> Result<()> {
    let exit = match finished.status.code() {
        Some(0) => return Ok(()),
        Some(4) => Exit::Damaged,
        Some(5) => Exit::Refused,
        _ => Exit::Failed,
    };
    let why = finished.describe(None);
    Err(Stop::with_exit(exit, format!("{why}; nothing was copied")).into())
}

/// Writes the description beside a copy, with which the copy is complete.
fn describe(
    destination: &Destination,
    bundle: &Bundle,
    file: &str,
    passed: &Passed,
) -> Result<Shipped> {
    let now = Utc::now();
    let manifest = ShippedManifest {
        bundle: bundle.name.as_str().to_owned(),
        file: file.to_owned(),
        domain: bundle.domain.clone(),
        size: passed.size,
        sha256: passed.sha256.clone(),
        seal: bundle.seal.clone(),
        shipped: now,
        retain_until: destination.retain_until(now),
        parts: passed.parts.clone(),
    };
    let text = manifest.to_text().context("describing the copy")?;
    let name = format!("{file}{SUFFIX}");
    let written = destination.place.write(&name, text.as_bytes(), destination.retain_days);
    written.context("writing its description")?;
    Ok(Shipped { seal: manifest.seal, sha256: manifest.sha256, size: manifest.size, at: now })
}

fn report(outcomes: &[Outcome], json: bool) -> Result<Exit> {
    if json {
        pipe_kit::output::print(&(serde_json::to_string(outcomes)? + "\n"))?;
    }
    let failed = outcomes.iter().filter(|outcome| outcome.outcome == "failed").count();
    match failed {
        0 => Ok(Exit::Done),
        n if n == outcomes.len() => bail!("nothing was copied; the causes are named above"),
        n => {
            let failed = if n == 1 { "1 copy".to_owned() } else { format!("{n} copies") };
            Err(Stop::incomplete(format!("{failed} failed, named above; the others are complete"))
                .into())
        }
    }
}
