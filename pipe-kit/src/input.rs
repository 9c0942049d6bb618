//! Input from a file, or from standard input where the path is `-`.

use crate::status::Stop;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;

/// Opens a file, or standard input for `-`. Unbuffered: callers wrap it.
///
/// # Errors
/// [`Stop::usage`] if standard input is a terminal; if the file cannot be opened or is a directory.
pub fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    if path.as_os_str() == "-" {
        return stdin();
    }
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    if file.metadata().with_context(|| format!("reading {}", path.display()))?.is_dir() {
        return Err(Stop::usage(format!("{} is a directory, not a file", path.display())).into());
    }
    Ok(Box::new(file))
}

/// Standard input, for data.
///
/// # Errors
/// [`Stop::usage`] if it is a terminal.
pub fn stdin() -> Result<Box<dyn Read + Send>> {
    if io::stdin().is_terminal() {
        return Err(Stop::usage("standard input is a terminal; name a FILE or redirect one").into());
    }
    let fd = io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
    Ok(Box::new(File::from(fd)))
}
