//! Seals bundles and writes them to the destinations that lack them.

mod bundle;
mod outcomes;
mod sealing;
mod shipment;
mod sink;
mod tee;

use crate::cli::Send;
use crate::place::Destination;
use crate::prune;
use crate::record::Record;
use crate::send::bundle::Bundle;
use crate::send::outcomes::Outcomes;
use crate::send::shipment::Shipments;
use crate::settings::Settings;
use anyhow::Result;
use bundle_format::report::RunKind;
use pipe_kit::lock::Lock;
use pipe_kit::{Exit, Stop, status};
use run_events::Events;
use std::sync::Arc;
use std::time::Instant;

/// Sends what the command line names.
///
/// # Errors
/// [`Stop::incomplete`] if some destinations failed; [`Stop::refused`] without recipients.
pub fn run(settings: &Settings, args: &Send) -> Result<Exit> {
    let events = Events::begin(RunKind::Ship);
    let mut lock = None;
    let result = ship(settings, args, &events, &mut lock);
    events.end(&result);
    result
}

/// Sends. The lock is the caller's to release.
fn ship(
    settings: &Settings,
    args: &Send,
    events: &Events,
    lock: &mut Option<Lock>,
) -> Result<Exit> {
    let destinations = settings.destinations()?;
    let recipients = settings.recipients.as_ref().ok_or_else(|| {
        Stop::refused(
            "SHIP_RECIPIENTS is not set, and nothing leaves this host unencrypted; make a key elsewhere (age-keygen -o \
             backup.key), copy its public half here (age-keygen -y backup.key > backup.pub), and set SHIP_RECIPIENTS",
        )
    })?;
    *lock = Some(settings.lock()?);
    let bundles = match &args.bundle {
        Some(path) => vec![Bundle::at(path)?],
        None if args.all => bundle::all(settings)?,
        None => bundle::newest(settings)?,
    };
    let state_dir = settings.state_dir();
    let previous = run_events::Record::read(&state_dir, RunKind::Ship);
    let about = if let [bundle] = &bundles[..] { Some(bundle.path.as_path()) } else { None };
    let run = events.open(&state_dir, &settings.root, about);
    let mut outcomes = Outcomes::begin(Arc::clone(&run), previous.as_ref(), destinations);
    let mut shipped = Record::read(settings.record_file());
    // They may mount the disk of a destination.
    let sent = events.before().and_then(|()| {
        stage(&run, "send", || {
            let shipments = Shipments { settings, recipients, destinations };
            shipments.send(&bundles, args.all, &mut shipped, &mut outcomes)
        })
    });
    outcomes.end(&sent);
    let pruned = match args.prune {
        true => stage(&run, "prune", || prune_reached(settings, &outcomes, &mut shipped)),
        false => Ok(Exit::Done),
    };
    let printed = if args.json { outcomes.print() } else { Ok(()) };
    sent.and(pruned).and_then(|exit| printed.map(|()| exit))
}

/// Removes old copies where all that was to be sent is. A destination that is never reached keeps no other from being
/// pruned.
fn prune_reached(settings: &Settings, outcomes: &Outcomes, shipped: &mut Record) -> Result<Exit> {
    let is_reached = |destination: &&Destination| outcomes.is_complete(destination);
    let reached: Vec<&Destination> = settings.destinations.iter().filter(is_reached).collect();
    let pruned = prune::prune(settings, &reached, settings.policy, false, shipped)?;
    pruned.log();
    pruned.verdict()
}

/// Runs a stage, and records how it ended.
fn stage(
    run: &run_events::Record,
    name: &str,
    work: impl FnOnce() -> Result<Exit>,
) -> Result<Exit> {
    run.begin_stage(name);
    let begun = Instant::now();
    let ended = work();
    let exit = ended.as_ref().map_or_else(status::of, |exit| *exit);
    run.end_stage(begun.elapsed(), exit.code());
    ended
}
