//! `--abandon`: an unfinished restore is given up. Nothing is put back by that.

use crate::journal::{self, Journal};
use crate::lock;
use crate::restore::health::{drop_tool, swap_tool};
use crate::restore::swap::same_server;
use crate::settings::Settings;
use crate::step::Step;
use crate::summary::database_status;
use crate::tool::Tool;
use anyhow::Result;
use pipe_kit::{Exit, say, warning};

/// Forgets the journal, and tells what state the restore has left.
///
/// # Errors
/// If the lock is held, or the journal cannot be removed.
pub fn run(settings: &Settings) -> Result<Exit> {
    let path = journal::path(settings);
    let _lock = lock::take_deployment(&settings.state_dir())?;
    let read = Journal::read(&path);
    if matches!(read, Ok(None)) {
        say!("there is no unfinished restore here");
        return Ok(Exit::Done);
    }
    journal::forget(&path)?;
    match read {
        Ok(Some(journal)) => tell(settings, &journal),
        _ => warning!(
            "the journal could not be read, and is removed; how far its restore came is not known"
        ),
    }
    let status = Tool::new("pg-snap").arg("status").by_hand(settings);
    say!("what databases there are: {status}");
    let ps = Tool::new("sh").args(["-c", "\"$PIPRIO_DRIVER\" ps"]).by_hand(settings);
    say!("services may be stopped: {ps}");
    Ok(Exit::Done)
}

fn tell(settings: &Settings, journal: &Journal) {
    let bundle = journal.bundle.display();
    say!(
        "the restore of {bundle}, begun {}, finished up to {}, is given up",
        journal.since,
        journal.done
    );
    if journal.reaches(Step::Objects) {
        warning!("the deployment is as far restored as that, and nothing is put back by giving up");
    }
    let now = database_status();
    if journal.target != journal::target(settings)
        || now.as_ref().is_ok_and(|now| !same_server(journal, now))
    {
        warning!("it went to {}: what it has put aside is there, not here", journal.target);
        return;
    }
    let Ok(now) = now else {
        warning!(
            "the database's server does not answer: whether the old database was replaced is not known"
        );
        return;
    };
    let kept: Vec<u32> = now.beside.iter().map(|beside| beside.oid).collect();
    let kept: Vec<u32> = journal.previous.iter().copied().filter(|o| kept.contains(o)).collect();
    let oldest = journal.previous.first().filter(|oldest| kept.contains(oldest));
    if let (None, Some(oldest)) = (now.oid, oldest) {
        let swap = swap_tool(*oldest).by_hand(settings);
        warning!("there is no database now; the one from before is kept; to put it back: {swap}");
        return;
    }
    match journal.previous.first() {
        Some(oldest) if now.oid == Some(*oldest) => {
            say!("the database in place is the one from before the restore");
        }
        Some(oldest) if kept.contains(oldest) => say!(
            "the database from before the restore is kept beside the one in place; to swap it back: {}",
            swap_tool(*oldest).by_hand(settings)
        ),
        _ => {}
    }
    if !kept.is_empty() {
        let drop = drop_tool(&kept).by_hand(settings);
        say!("to drop what it has put aside, once it is not needed any more: {drop}");
    }
}
