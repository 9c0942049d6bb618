//! `--abandon`: an unfinished restore is abandoned. Nothing is put back by that.

use crate::commands::by_hand;
use crate::database::{self, drop_tool, is_same_server, swap_tool};
use crate::journal::{self, Journal};
use crate::load_record;
use crate::restore::HOLDER;
use crate::settings::Settings;
use crate::step::Step;
use anyhow::Result;
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, info, lock, warning};

/// Removes the journal, and describes the state that the restore has left.
///
/// # Errors
/// [`pipe_kit::Stop::refused`] if the lock is held.
pub fn run(settings: &Settings) -> Result<Exit> {
    let path = settings.journal();
    let _lock = lock::take_directory(&settings.state_dir(), HOLDER)?;
    let read = Journal::read(&path);
    if matches!(read, Ok(None)) {
        info!("there is no unfinished restore here");
        return Ok(Exit::Done);
    }
    journal::remove(&path)?;
    load_record::remove(&settings.load_record())?;
    match read {
        Ok(Some(journal)) => describe(settings, &journal),
        _ => warning!(
            "the journal could not be read, and is removed; it is not known how far the restore got"
        ),
    }
    let status = by_hand(settings, &Tool::new("pg-snap").arg("status"));
    info!("to see which databases there are: {status}");
    let ps = Tool::new("sh").args(["-c", "\"$PIPRIO_DRIVER\" ps"]);
    info!("services may be stopped; to see which: {}", by_hand(settings, &ps));
    Ok(Exit::Done)
}

fn describe(settings: &Settings, journal: &Journal) {
    let bundle = journal.bundle.display();
    info!(
        "the restore of {bundle}, begun {}, finished up to {}, is abandoned",
        journal.since, journal.done
    );
    if journal.adds_objects && !journal.reaches(Step::Objects) {
        info!("objects of the bundle may be in the bucket, which was empty before");
    }
    if journal.reaches(Step::Objects) {
        warning!("the deployment is restored up to that step, and nothing is undone");
    }
    let now = database::status(settings);
    if journal.target != settings.target()
        || now.as_ref().is_ok_and(|now| !is_same_server(journal, now))
    {
        warning!(
            "its target was {}: the databases that it kept are there, not here",
            journal.target
        );
        return;
    }
    let Ok(now) = now else {
        warning!(
            "the database server does not answer, so it is not known whether the old database was replaced"
        );
        return;
    };
    let kept: Vec<u32> = now.beside.iter().map(|beside| beside.oid).collect();
    let kept: Vec<u32> = journal.previous.iter().copied().filter(|o| kept.contains(o)).collect();
    let oldest = journal.previous.first().filter(|oldest| kept.contains(oldest));
    if let (None, Some(oldest)) = (now.oid, oldest) {
        let swap = by_hand(settings, &swap_tool(settings, *oldest));
        warning!(
            "there is no database now; the one from before the restore is kept; to put it back: {swap}"
        );
        return;
    }
    match journal.previous.first() {
        Some(oldest) if now.oid == Some(*oldest) => {
            info!("the database in place is the one from before the restore");
        }
        Some(oldest) if kept.contains(oldest) => info!(
            "the database from before the restore is kept beside the one in place; to swap it back: {}",
            by_hand(settings, &swap_tool(settings, *oldest))
        ),
        _ => {}
    }
    if !kept.is_empty() {
        let drop = by_hand(settings, &drop_tool(settings, &kept));
        info!("to drop the databases that it kept, once they are no longer needed: {drop}");
    }
}
