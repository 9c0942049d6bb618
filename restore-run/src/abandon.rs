//! `--abandon`: an unfinished restore is given up. Nothing is put back by that.

use crate::journal::{self, Journal};
use crate::lock;
use crate::settings::Settings;
use crate::step::Step;
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
        _ => warning!("the journal could not be read, and is removed"),
    }
    Ok(Exit::Done)
}

fn tell(settings: &Settings, journal: &Journal) {
    let bundle = journal.bundle.display();
    say!(
        "the restore of {bundle}, begun {}, finished up to {}, is given up",
        journal.since,
        journal.done
    );
    let deploy_env = settings.deploy.join("bin/deploy-env");
    let by_hand = |words: &[&str]| Tool::new(&deploy_env).arg("--").args(words).to_shell();
    if journal.reaches(Step::Objects) {
        warning!("the deployment is as far restored as that, and nothing is put back by giving up");
    } else {
        say!(
            "its database was being replaced, or about to be: {}",
            by_hand(&["pg-snap", "status"])
        );
    }
    if !journal.previous.is_empty() {
        say!(
            "if the old database was replaced, it is kept beside the new one; to swap it back: {}; to drop it: {}",
            by_hand(&["pg-snap", "previous", "swap"]),
            by_hand(&["pg-snap", "previous", "drop"])
        );
    }
    say!("services may be stopped: {}", by_hand(&["sh", "-c", "\"$PIPRIO_DRIVER\" ps"]));
}
