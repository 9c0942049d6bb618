//! A name or password for one run.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;

/// A token that nobody can guess, of hexadecimal digits.
pub fn random_token() -> Result<String> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("reading /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
