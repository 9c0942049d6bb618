//! Free space of filesystems.

use super::bytes;
use crate::probe::{Kind, Probe};
use std::path::Path;

/// How much is free where a directory lies, or would lie. Only a full filesystem fails.
pub fn probe(name: &str, path: &Path) -> Probe {
    let existing = path.ancestors().find(|dir| dir.exists()).unwrap_or(path);
    match rustix::fs::statvfs(existing) {
        Ok(fs) => {
            let free = fs.f_bavail.saturating_mul(fs.f_frsize);
            judged(name, path, free, fs.f_blocks.saturating_mul(fs.f_frsize))
        }
        Err(error) => Probe::fail(Kind::Disk, name, format!("{}: {error}", path.display())),
    }
}

/// `free` is what is left for us, in bytes, of `total`.
fn judged(name: &str, path: &Path, free: u64, total: u64) -> Probe {
    let detail = format!("{} free of {} on {}", bytes(free), bytes(total), path.display());
    match free {
        0 => Probe::fail(Kind::Disk, name, detail),
        _ => Probe::pass(Kind::Disk, name, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_filesystem_fails_and_a_directory_to_come_is_where_it_would_be() {
        assert!(!judged("backups", Path::new("/b"), 0, 1024).pass);
        let dir = tempfile::tempdir().unwrap();
        let probe = probe("backups", &dir.path().join("not/yet"));
        assert!(probe.pass && probe.detail.contains("not/yet"), "{probe:?}");
    }
}
