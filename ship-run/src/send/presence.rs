//! Whether a destination has a bundle already. A copy is never written over unless it is known to be of no use: a
//! second one whose description then fails would make a good copy one that no restore accepts.

use crate::copies::{self, Copy, Form, Listing, State};
use crate::place::{Destination, Place};
use crate::record::Record;
use crate::send::bundle::Bundle;
use anyhow::Result;
use pipe_kit::{Exit, Stop, status, warning};
use std::rc::Rc;

/// The listing of a destination, made once in a run.
pub type Listed = Rc<Result<Listing, (Exit, String)>>;

/// Lists a destination for the bundles of a run.
pub fn list(destination: &Destination) -> Listed {
    let listed = copies::list(destination);
    Rc::new(listed.map_err(|error| (status::of(&error), status::one_line(&error))))
}

/// Whether a destination has a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there, as far as that is known.
    Present,
    /// Nothing of it is there.
    Absent,
    /// What is there of it is of no use, and is replaced.
    Useless,
}

/// Whether the bundle is there. What is known to be damaged stays recorded as that until a new copy is complete.
///
/// # Errors
/// If that is not known, or another bundle is there under its name.
pub fn look(
    destination: &Destination,
    listed: &Listed,
    bundle: &Bundle,
    shipped: &mut Record,
) -> Result<Presence> {
    refuse_if_damaged(destination, shipped)?;
    let listing = match &**listed {
        Ok(listing) => listing,
        // Keys that can only upload cannot list. What this host has recorded counts.
        Err((Exit::Refused, _)) if matches!(destination.place, Place::Files(_)) => {
            return Ok(recorded(destination, bundle, shipped));
        }
        Err((exit, why)) => return Err(Stop::with_exit(*exit, why.clone()).into()),
    };
    let copies = copies::of_bundle(destination, listing, &bundle.name, shipped);
    let is_same = |copy: &&Copy| copy.is_complete() && copy.seal() == bundle.seal.as_deref();
    if let Some(same) = copies.iter().find(is_same) {
        // Also of a copy that this host has no record of.
        if let Some(shipment) = same.shipment() {
            shipped.add(destination, &bundle.name, shipment);
        }
        return Ok(Presence::Present);
    }
    for copy in &copies {
        match &copy.state {
            State::Unread(_, Exit::Refused)
                if recorded(destination, bundle, shipped) == Presence::Present =>
            {
                return Ok(Presence::Present);
            }
            State::Unread(why, exit) => {
                let why = format!("it is not known whether {} is there: {why}", copy.file);
                return Err(Stop::with_exit(*exit, why).into());
            }
            // A snapshot beside it does no harm.
            State::Complete if matches!(copy.form, Form::Sealed(_)) => {
                let domain = copy.domain().unwrap_or("unknown");
                return Err(Stop::refused(format!(
                    "another bundle of that name is there, of {domain}; two deployments need two prefixes"
                ))
                .into());
            }
            State::Damaged(_) | State::Suspect => {
                let why = copy.state.problem().unwrap_or_default();
                warning!("{destination}: {}: {why}; it is copied again", copy.file);
            }
            State::Complete | State::Unfinished => {}
        }
    }
    let is_useless = copies.iter().any(|copy| matches!(copy.form, Form::Sealed(_)));
    match shipped.get(destination, &bundle.name).cloned() {
        Some(own) if is_useless => shipped.found_damaged(destination, &bundle.name, &own),
        _ => shipped.remove(destination, &bundle.name),
    }
    Ok(if is_useless { Presence::Useless } else { Presence::Absent })
}

/// A repository that is damaged takes nothing: restic would not store again what it takes for stored.
fn refuse_if_damaged(destination: &Destination, shipped: &Record) -> Result<()> {
    match &destination.place {
        Place::Restic(repository) if shipped.has_damage(destination) => {
            let repair = repository.repair();
            Err(Stop::damaged(format!(
                "a check has found the repository damaged; ship.sh verify, without --sample, finds whether it still is, and ends this if it is not; if it is damaged, repair it: {repair}"
            ))
            .into())
        }
        _ => Ok(()),
    }
}

/// What this host's own record has.
fn recorded(destination: &Destination, bundle: &Bundle, shipped: &Record) -> Presence {
    match shipped.get(destination, &bundle.name) {
        Some(copy) if copy.seal == bundle.seal && !copy.damaged => Presence::Present,
        Some(_) => Presence::Useless,
        None => Presence::Absent,
    }
}
