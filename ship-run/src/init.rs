//! `ship-run init`: creates the restic repositories that do not exist.

use crate::place::Place;
use crate::settings::Settings;
use anyhow::Result;
use pipe_kit::{Exit, Stop, info, warning};

/// Creates them.
///
/// # Errors
/// [`Stop::incomplete`] if some could not be created.
pub fn run(settings: &Settings) -> Result<Exit> {
    let (mut failed, mut found) = (0, 0);
    for destination in settings.destinations()? {
        let Place::Restic(repository) = &destination.place else { continue };
        found += 1;
        match repository.create() {
            Ok(true) => info!("created {destination}; without its password, nobody can read it"),
            Ok(false) => info!("{destination} is there"),
            Err(error) => {
                warning!("{destination} is not created: {error:#}");
                failed += 1;
            }
        }
    }
    match (found, failed) {
        (0, _) => {
            info!("no destination is a restic repository, so there is nothing to create");
            Ok(Exit::Done)
        }
        (_, 0) => Ok(Exit::Done),
        (_, n) => Err(Stop::incomplete(format!("{n} not created, each named above")).into()),
    }
}
