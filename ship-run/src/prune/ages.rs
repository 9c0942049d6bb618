//! The record of the last removal, for each destination: by it, copies grow old with the runs and not with a clock
//! that is wrong.

use crate::place::Destination;
use anyhow::{Context, Result};
use bundle_format::retention::clock::Run;
use pipe_kit::atomic::{self, AtomicFile};
use pipe_kit::warning;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// The record.
pub struct Ages {
    file: PathBuf,
    runs: BTreeMap<String, Run>,
}

impl Ages {
    /// Reads the record. One that cannot be read counts as none.
    pub fn read(file: PathBuf) -> Self {
        let text = std::fs::read(&file).unwrap_or_default();
        let runs = match serde_json::from_slice(&text) {
            Ok(runs) => runs,
            Err(_) if text.is_empty() => BTreeMap::new(),
            Err(error) => {
                let shown = file.display();
                warning!("{shown} is not a record of a run ({error}); ages are taken from names");
                BTreeMap::new()
            }
        };
        Self { file, runs }
    }

    pub fn last(&self, destination: &Destination) -> Option<&Run> {
        self.runs.get(&destination.name)
    }

    pub fn note(&mut self, destination: &Destination, run: Run) {
        self.runs.insert(destination.name.clone(), run);
    }

    pub fn write(&self) -> Result<()> {
        let mut file = AtomicFile::create(&self.file)?;
        file.write_all(serde_json::to_string(&self.runs)?.as_bytes())
            .with_context(|| format!("writing {}", self.file.display()))?;
        file.commit()?;
        atomic::sync_directory(atomic::directory_of(&self.file))
    }
}
