//! Free space on filesystems.

use crate::probe::{Facts, Probe};
use bundle_format::report::{ProbeKind, ProbeVerdict};
use pipe_kit::text::size;
use rustix::fs::{StatVfs, StatVfsMountFlags};
use std::path::Path;

/// Less than this counts as full: a database that writes needs a segment of its log, which has 16 MiB.
const FULL: u64 = 16 << 20;

/// The space on a filesystem.
#[derive(Clone, Copy)]
struct Space {
    /// In bytes.
    free: u64,
    /// In bytes.
    total: u64,
    /// No file can be created, whatever space is left.
    out_of_inodes: bool,
    read_only: bool,
}

impl From<StatVfs> for Space {
    fn from(fs: StatVfs) -> Self {
        Self {
            free: fs.f_bavail.saturating_mul(fs.f_frsize),
            total: fs.f_blocks.saturating_mul(fs.f_frsize),
            // Filesystems without a fixed number of inodes report none.
            out_of_inodes: fs.f_files > 0 && fs.f_favail == 0,
            read_only: fs.f_flag.contains(StatVfsMountFlags::RDONLY),
        }
    }
}

/// How much is free where a directory is, or would be created. `least` is in bytes.
pub fn probe(name: &str, path: &Path, least: u64) -> Probe {
    let existing = path.ancestors().find(|dir| dir.exists()).unwrap_or(path);
    match rustix::fs::statvfs(existing) {
        Ok(fs) => judged(name, path, fs.into(), least),
        Err(error) => Probe::fail(ProbeKind::Disk, name, format!("{}: {error}", path.display())),
    }
}

/// Fails for a filesystem that cannot be written to, and warns of one with less free than `least`.
fn judged(name: &str, path: &Path, space: Space, least: u64) -> Probe {
    let (verdict, remark) = match space {
        Space { read_only: true, .. } => {
            (ProbeVerdict::Fail, ", and it is mounted read-only".into())
        }
        Space { out_of_inodes: true, .. } => (ProbeVerdict::Fail, ", and no inode".into()),
        Space { free, .. } if free < FULL => (ProbeVerdict::Fail, ": it is full".into()),
        Space { free, .. } if free < least => {
            (ProbeVerdict::Warn, format!(", less than {}", size(least)))
        }
        _ => (ProbeVerdict::Pass, String::new()),
    };
    let (free, total) = (space.free, space.total);
    let detail = format!("{} free of {} on {}{remark}", size(free), size(total), path.display());
    Probe::new(ProbeKind::Disk, name, verdict, detail).with_facts(Facts::from([
        ("path", path.to_string_lossy().into()),
        ("free_bytes", free.into()),
        ("total_bytes", total.into()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const ROOMY: Space =
        Space { free: 5 * GIB, total: 10 * GIB, out_of_inodes: false, read_only: false };

    #[test]
    fn what_cannot_be_written_to_fails_and_what_is_nearly_full_is_warned_of() {
        let table = [
            (ROOMY, 5 * GIB, ProbeVerdict::Pass, "10.0 GiB on /b"),
            (ROOMY, 5 * GIB + 1, ProbeVerdict::Warn, "less than 5.0 GiB"),
            (ROOMY, 0, ProbeVerdict::Pass, ""),
            (Space { free: FULL, ..ROOMY }, 0, ProbeVerdict::Pass, ""),
            (Space { free: FULL - 1, ..ROOMY }, 0, ProbeVerdict::Fail, "it is full"),
            (Space { free: 0, ..ROOMY }, 0, ProbeVerdict::Fail, "it is full"),
            (Space { out_of_inodes: true, ..ROOMY }, 0, ProbeVerdict::Fail, "no inode"),
            (Space { read_only: true, ..ROOMY }, 0, ProbeVerdict::Fail, "read-only"),
        ];
        for (space, least, verdict, words) in table {
            let probe = judged("backups", Path::new("/b"), space, least);
            assert_eq!(probe.verdict, verdict, "{probe:?}");
            assert!(probe.detail.ends_with(words), "{probe:?}");
        }
    }

    #[test]
    fn a_directory_that_does_not_exist_yet_is_measured_where_it_would_be() {
        let dir = tempfile::tempdir().unwrap();
        let probe = probe("backups", &dir.path().join("not/yet"), u64::MAX);
        assert!(probe.detail.contains("not/yet, less than"), "{probe:?}");
    }
}
