//! The removal of a private server, whoever has started it.

use super::record::{self, Record};
use super::{engine, processes, socket};
use anyhow::{Context, Result};
use std::io::ErrorKind;
use std::path::Path;

/// Removes all of a server in a drill's directory: processes, container, volume, the directory with its short name,
/// and its files. The directory itself stays.
///
/// # Errors
/// If something is left; then the record of it is left too.
pub fn remove(dir: &Path) -> Result<()> {
    let dir = match dir.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        real => real.with_context(|| format!("looking for {}", dir.display()))?,
    };
    let record = Record::read(&dir)?;
    if record.container {
        engine::remove(&dir)?;
    }
    processes::end_all(&dir)?;
    if let Some(short) = &record.short {
        socket::remove_short(short)?;
    }
    record::remove_files(&dir)
}
