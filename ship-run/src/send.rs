//! Seals bundles and writes them to the destinations that lack them.

mod block;
mod bundle;
mod deadline;
mod describing;
mod outcomes;
mod presence;
mod sealing;
mod shipment;
mod sink;
mod tee;

use crate::cli::Send;
use crate::mounts::Mounts;
use crate::place::{Destination, Place};
use crate::prune::Pruning;
use crate::prune::alarm::Alarm;
use crate::record::Record;
use crate::send::bundle::Bundle;
use crate::send::outcomes::Outcomes;
use crate::send::shipment::Shipments;
use crate::settings::Settings;
use anyhow::Result;
use bundle_format::report::RunKind;
use pipe_kit::lock::Lock;
use pipe_kit::{Exit, status, warning};
use run_events::Events;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sends what the command line names.
///
/// # Errors
/// [`pipe_kit::Stop::incomplete`] if some destinations failed; [`pipe_kit::Stop::refused`] without recipients.
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
    let is_sealed = |destination: &Destination| matches!(destination.place, Place::Files(_));
    if settings.recipients.is_none() && destinations.iter().any(is_sealed) {
        return Err(sealing::no_recipients());
    }
    *lock = Some(settings.lock()?);
    let bundles = match &args.bundle {
        Some(path) => vec![Bundle::at(path)?.path],
        None if args.all => bundle::all(settings)?,
        None => bundle::newest(settings)?,
    };
    let state_dir = settings.state_dir();
    let previous = run_events::Record::read(&state_dir, RunKind::Ship);
    let about = if let [bundle] = &bundles[..] { Some(bundle.as_path()) } else { None };
    let run = events.open(&state_dir, &settings.root, about);
    let outcomes = Outcomes::begin(Arc::clone(&run), previous.as_ref(), destinations, &bundles);
    let outcomes = Arc::new(outcomes);
    let deadline = limit(settings.limit()?, args.json, events, &outcomes)?;
    let mut shipped = Record::read(settings.record_file());
    // They may mount the disk of a destination.
    let sent = events.before().and_then(|()| {
        stage(&run, "send", || {
            let shipments = Shipments { settings, destinations, may_lose_bundles: args.all };
            shipments.send(&bundles, &mut shipped, &outcomes)
        })
    });
    outcomes.end(&sent);
    let reached: Vec<_> = destinations.iter().filter(|d| outcomes.is_complete(d)).collect();
    Mounts::read(&settings.deploy).note(reached.iter().filter_map(|one| one.directory()));
    let pruned = match args.prune {
        true => stage(&run, "prune", || {
            prune_reached(settings, &bundles, &reached, &mut shipped, &outcomes)
        }),
        false => Ok(Exit::Done),
    };
    if let Some(deadline) = deadline {
        deadline.stop();
    }
    let printed = if args.json { outcomes.print() } else { Ok(()) };
    sent.and(pruned).and_then(|exit| printed.map(|()| exit))
}

/// The end of a shipment that takes too long, from now on.
fn limit(
    limit: Option<Duration>,
    json: bool,
    events: &Events,
    outcomes: &Arc<Outcomes>,
) -> Result<Option<deadline::Running>> {
    let own = Arc::clone(outcomes);
    events.on_signal(move || own.overdue());
    let own = Arc::clone(outcomes);
    deadline::start(limit, move |limit| {
        let exit = own.end_overdue(limit);
        if json && let Err(error) = own.print() {
            warning!("{error:#}");
        }
        exit
    })
}

/// Removes old copies where all that was to be sent is. A destination that is never reached keeps no other from being
/// pruned.
fn prune_reached(
    settings: &Settings,
    bundles: &[PathBuf],
    reached: &[&Destination],
    shipped: &mut Record,
    outcomes: &Outcomes,
) -> Result<Exit> {
    let waits = |destination: &Destination| outcomes.waits(destination);
    let (policy, alarm) = (settings.policy()?, Alarm::of(settings, bundles)?);
    let pruning = Pruning { settings, policy, alarm: &alarm, is_dry: false };
    let pruned = pruning.prune(reached, shipped, waits)?;
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
