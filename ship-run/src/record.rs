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

    /// Notes what a check has found.
    pub fn set_damaged(&mut self, destination: &Destination, bundle: &BundleName, damaged: bool) {
        self.shipments.set_damaged(&destination.name, bundle.as_str(), damaged);
    }

    pub fn add(&mut self, destination: &Destination, bundle: &BundleName, shipment: Shipment) {
        self.shipments.add(&destination.name, bundle.as_str(), shipment);
    }

    pub fn remove(&mut self, destination: &Destination, bundle: &BundleName) {
        self.shipments.remove(&destination.name, bundle.as_str());
    }

    /// A record that cannot be written costs only that a bundle is sent again.
    pub fn write(&self) {
        let write = || -> Result<()> {
            let text = serde_json::to_string(&self.shipments)?;
            let mut file = AtomicFile::create(&self.file)?;
            file.write_all(text.as_bytes())
                .with_context(|| format!("writing {}", self.file.display()))?;
            file.commit()?;
            atomic::sync_directory(atomic::directory_of(&self.file))
        };
        if let Err(error) = write() {
            warning!("the copies are not recorded: {error:#}");
        }
    }
}
