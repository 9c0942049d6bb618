//! What a check has found of each copy, for those who ask whether a copy is there, and for retention.

use crate::copies::Copy;
use crate::place::Destination;
use crate::record::Record;
use crate::settings::Settings;
use anyhow::Result;
use bundle_format::BundleName;
use bundle_format::shipments::Shipment;
use std::time::Duration;

/// All findings of a check.
#[derive(Debug, Default)]
pub struct Findings {
    copies: Vec<Finding>,
    /// The numbers of repositories in which everything is intact.
    sound: Vec<u8>,
}

/// What is known of a copy now.
#[derive(Debug)]
struct Finding {
    /// That of the destination.
    number: u8,
    bundle: BundleName,
    found: Shipment,
    is_damaged: bool,
}

impl Findings {
    pub fn add(&mut self, destination: &Destination, copy: &Copy, is_damaged: bool) {
        let Some(found) = copy.shipment() else { return };
        let (number, bundle) = (destination.number, copy.name.clone());
        self.copies.push(Finding { number, bundle, found, is_damaged });
    }

    /// Everything in a repository is intact: what was damaged in it is repaired or gone.
    pub fn add_sound(&mut self, destination: &Destination) {
        self.sound.push(destination.number);
    }

    /// Records them. A run that is changing copies has its own record, and is waited for, for at most `patience`.
    ///
    /// # Errors
    /// If it has not ended then, or the record cannot be written.
    pub fn record(&self, settings: &Settings, patience: Duration) -> Result<()> {
        let read = || Record::read(settings.record_file());
        let is_known = |shipped: &Record| {
            let mut other = shipped.clone();
            self.apply(settings, &mut other);
            other == *shipped
        };
        if is_known(&read()) {
            return Ok(());
        }
        let _lock = settings.lock_within(patience)?;
        let mut shipped = read();
        self.apply(settings, &mut shipped);
        shipped.try_write()
    }

    fn apply(&self, settings: &Settings, shipped: &mut Record) {
        let of_number = |number: u8| settings.destinations.iter().find(|one| one.number == number);
        for Finding { number, bundle, found, is_damaged } in &self.copies {
            let Some(destination) = of_number(*number) else { continue };
            match is_damaged {
                true => shipped.found_damaged(destination, bundle, found),
                false => shipped.found_intact(destination, bundle, found),
            }
        }
        for destination in self.sound.iter().filter_map(|number| of_number(*number)) {
            shipped.forget_damaged(destination);
        }
    }
}
