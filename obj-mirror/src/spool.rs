//! Where large temporary files lie.

use std::path::PathBuf;

/// The directory for large temporary files. /tmp may be in memory.
pub fn directory() -> PathBuf {
    let set = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    set.map_or_else(|| "/var/tmp".into(), Into::into)
}

/// A temporary file could not be written or read back: of what was being sorted, nothing is known.
#[derive(Debug)]
pub struct TempFileFailed;

impl std::fmt::Display for TempFileFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sorting in {}", directory().display())
    }
}
