//! What this host has copied where: for destinations whose keys can only upload.

use crate::place::Destination;
use crate::send::bundle::Bundle;
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use pipe_kit::atomic::{self, AtomicFile};
use pipe_kit::warning;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// The most copies that are remembered of a destination.
const REMEMBERED: usize = 1000;

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// The SHA-256 of the bundle's seal, hex.
    pub seal: Option<String>,
    /// Of the sealed file, hex.
    pub sha256: String,
    /// Of the sealed file, in bytes.
    pub size: u64,
    pub at: DateTime<Utc>,
}

type Copies = BTreeMap<String, BTreeMap<String, Shipped>>;

/// The copies by destination and bundle.
pub struct Record {
    file: PathBuf,
    copies: Copies,
}

impl Record {
    /// Reads the record. One that is missing or cannot be read is empty: then bundles are sent again.
    pub fn read(file: PathBuf) -> Self {
        let text = std::fs::read(&file).unwrap_or_default();
        Self { copies: serde_json::from_slice(&text).unwrap_or_default(), file }
    }

    pub fn has(&self, destination: &Destination, bundle: &Bundle) -> bool {
        let copies = self.copies.get(&destination.place_text());
        copies
            .and_then(|copies| copies.get(bundle.name.as_str()))
            .is_some_and(|copy| copy.seal == bundle.seal)
    }

    /// Notes a copy.
    pub fn add(&mut self, destination: &Destination, bundle: &Bundle, shipped: Shipped) {
        let copies = self.copies.entry(destination.place_text()).or_default();
        copies.insert(bundle.name.as_str().to_owned(), shipped);
        while copies.len() > REMEMBERED {
            copies.pop_first();
        }
    }

    /// A record that cannot be written costs only that a bundle is sent again.
    pub fn write(&self) {
        let write = || -> Result<()> {
            let text = serde_json::to_string(&self.copies)?;
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
