//! Where large temporary files lie.

use std::path::PathBuf;

/// The directory for large temporary files. /tmp may be in memory.
pub fn directory() -> PathBuf {
    let set = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty());
    set.map_or_else(|| "/var/tmp".into(), Into::into)
}
