//! What this host has copied where: for destinations whose keys can only upload, for the list of bundles and the
//! health check, and to find copies that somebody has replaced.

use crate::place::Destination;
use anyhow::{Context, Result};
use bundle_format::BundleName;
use bundle_format::shipments::{Shipment, Shipments};
use pipe_kit::atomic::{self, AtomicFile};
use pipe_kit::warning;
use std::io::Write;
use std::path::PathBuf;

/// The record. Only the holder of the lock of shipments changes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    file: PathBuf,
    shipments: Shipments,
}

impl Record {
    /// Reads the record. One that is missing or cannot be read is empty: then bundles are sent again.
    pub fn read(file: PathBuf) -> Self {
        Self { shipments: Shipments::read(&file), file }
    }

    pub fn get(&self, destination: &Destination, bundle: &BundleName) -> Option<&Shipment> {
        self.shipments.get(&destination.name, bundle.as_str())
    }

    /// Whether what is found there is another file than this host has copied there.
    pub fn contradicts(
        &self,
        destination: &Destination,
        bundle: &BundleName,
        found: &Shipment,
    ) -> bool {
        let is_other = |copied: &Shipment| copied.sha256.is_some() && copied.sha256 != found.sha256;
        self.get(destination, bundle).is_some_and(is_other)
    }

    /// Whether a check has found the copy damaged.
    pub fn is_damaged(&self, destination: &Destination, bundle: &BundleName) -> bool {
        self.get(destination, bundle).is_some_and(|copied| copied.damaged)
    }

    /// Whether a check has found any copy of a destination damaged.
    pub fn has_damage(&self, destination: &Destination) -> bool {
        self.shipments.has_damage(&destination.name)
    }

    /// Notes that this copy is damaged, also one that this host has no record of.
    pub fn found_damaged(
        &mut self,
        destination: &Destination,
        bundle: &BundleName,
        found: &Shipment,
    ) {
        self.shipments.found_damaged(&destination.name, bundle.as_str(), found);
    }

    /// Notes that a check has found this copy intact.
    pub fn found_intact(
        &mut self,
        destination: &Destination,
        bundle: &BundleName,
        found: &Shipment,
    ) {
        self.shipments.found_intact(&destination.name, bundle.as_str(), found);
    }

    /// Notes that nothing at a destination is damaged.
    pub fn forget_damaged(&mut self, destination: &Destination) {
        self.shipments.forget_damaged(&destination.name);
    }

    pub fn add(&mut self, destination: &Destination, bundle: &BundleName, shipment: Shipment) {
        self.shipments.add(&destination.name, bundle.as_str(), shipment);
    }

    pub fn remove(&mut self, destination: &Destination, bundle: &BundleName) {
        self.shipments.remove(&destination.name, bundle.as_str());
    }

    /// A record of copies that cannot be written costs only that a bundle is sent again.
    pub fn write(&self) {
        if let Err(error) = self.try_write() {
            warning!("the copies are not recorded: {error:#}");
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// If it cannot be written: what a check has found is lost then.
    pub fn try_write(&self) -> Result<()> {
        let text = serde_json::to_string(&self.shipments)?;
        let mut file = AtomicFile::create(&self.file)?;
        file.write_all(text.as_bytes())
            .with_context(|| format!("writing {}", self.file.display()))?;
        file.commit()?;
        atomic::sync_directory(atomic::directory_of(&self.file))
    }
}
