//! What the load of a restore has recorded before it replaced the database: `DEPLOY/.restore/loaded.json`. The restore
//! itself may be killed, or lose its server, before it learns of the replacement.

use anyhow::{Context, Result};
use bundle_format::report::LoadRecord;
use pipe_kit::atomic::{directory_of, sync_directory};
use std::io::ErrorKind;
use std::path::Path;

/// Reads it; none where no load has come as far as the swap.
pub fn read(path: &Path) -> Result<Option<LoadRecord>> {
    let what = || format!("reading {}, which the load of a restore has written", path.display());
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(what),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(what),
    }
}

/// Removes it, durably, before a load begins: an earlier load's would be taken for its own.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_directory(directory_of(path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e).with_context(|| format!("removing {}", path.display())),
    }
}
