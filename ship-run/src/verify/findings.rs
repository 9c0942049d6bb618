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
        // Damage last: another copy of the same bundle, which is intact, must not hide it.
        let (damaged, intact): (Vec<_>, Vec<_>) =
            self.copies.iter().partition(|one| one.is_damaged);
        for Finding { number, bundle, found, is_damaged } in intact.into_iter().chain(damaged) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::shipments::Shipments;
    use std::ffi::OsStr;

    #[test]
    fn damage_that_cannot_be_recorded_in_time_is_an_error_and_what_is_known_needs_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let variable = |name: &str| match name {
            "PIPRIO_DEPLOY" | "BACKUP_ROOT" | "SHIP_1" => Some(dir.path().display().to_string()),
            _ => None,
        };
        let settings = Settings::read(&variable).unwrap();
        let bundle = BundleName::parse(OsStr::new("piprio_20260421T020000Z")).unwrap();
        let at = bundle.taken();
        let found = Shipment { seal: None, sha256: Some("a".into()), size: 1, at, damaged: false };
        let findings = |is_damaged| Findings {
            copies: vec![Finding {
                number: 1,
                bundle: bundle.clone(),
                found: found.clone(),
                is_damaged,
            }],
            sound: vec![1],
        };
        let patience = Duration::from_millis(30);
        let held = settings.lock().unwrap();
        findings(false).record(&settings, patience).unwrap();
        let mut damaged = findings(true);
        damaged.sound.clear();
        damaged.record(&settings, patience).unwrap_err();
        drop(held);
        damaged.record(&settings, Duration::from_secs(60)).unwrap();
        let recorded = || Shipments::read(&settings.record_file());
        assert!(recorded().has_damage(&settings.destinations[0].name));
        let _held = settings.lock_within(Duration::from_secs(60)).unwrap();
        damaged.record(&settings, patience).unwrap();
        findings(false).record(&settings, patience).unwrap_err();
    }
}
