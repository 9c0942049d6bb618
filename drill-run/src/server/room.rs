//! Room for the database.

use super::settings::wal_bytes;
use anyhow::{Context, Result};
use pipe_kit::{Stop, text};
use rustix::fs::statvfs;
use std::path::Path;

/// An empty cluster, in bytes, rounded up.
const CLUSTER: u64 = 64 << 20;

/// The bytes that a server needs for a database of so many: a tenth more, its write-ahead log, and what a cluster
/// has without a database.
pub fn needed(database: u64) -> u64 {
    database.saturating_add((database / 10).max(wal_bytes(database))).saturating_add(CLUSTER)
}

/// The bytes that a drill may take where a directory is, or would be: a twentieth of the filesystem stays for
/// production.
///
/// # Errors
/// If the system does not show it.
pub fn free(dir: &Path) -> Result<u64> {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    let space =
        statvfs(there).with_context(|| format!("looking for room in {}", there.display()))?;
    let reserve = space.f_blocks / 20;
    Ok(space.f_bavail.saturating_sub(reserve).saturating_mul(space.f_frsize))
}

/// The free bytes in the output of `df -Pk`: the word before the percentage in the last line, which may begin with
/// a device's name with blanks in it.
pub fn of_df(df: &str) -> Option<u64> {
    let words: Vec<&str> = df.lines().last()?.split_whitespace().collect();
    let percent = words.iter().position(|word| word.ends_with('%'))?;
    words.get(percent.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// # Errors
/// [`Stop::refused`] if there is too little. `place` names where, and `remedy` what to do.
pub fn require(database: u64, free: u64, place: &str, remedy: &str) -> Result<()> {
    let needed = needed(database);
    if free >= needed {
        return Ok(());
    }
    Err(Stop::refused(format!(
        "the drill needs {} for a database of {}, but only {} is free {place}; {remedy}",
        text::size(needed),
        text::size(database),
        text::size(free)
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_wanted_for_the_database_a_tenth_and_a_cluster() {
        const MIB: u64 = 1 << 20;
        for (database, expected) in [(0, 128), (100, 228), (2000, 2264), (40_000, 44_064)] {
            assert_eq!(needed(database * MIB), expected * MIB);
        }
        assert_eq!(needed(u64::MAX), u64::MAX);
        require(100 * MIB, 228 * MIB, "", "").unwrap();
        let error = require(100 * MIB, 228 * MIB - 1, "in /d", "set DRILL_DIR").unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
        assert_eq!(
            error.to_string(),
            "the drill needs 228.0 MiB for a database of 100.0 MiB, but only 228.0 MiB is free in /d; \
             set DRILL_DIR"
        );
    }

    #[test]
    fn free_room_is_that_of_the_nearest_directory_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free(&dir.path().join("not/there")).unwrap() > 0);
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        assert_eq!(of_df(&format!("{head}/dev/sda 100 60 40 60% /tmp\n")), Some(40 << 10));
        assert_eq!(of_df(&format!("{head}//host/a share 9 5 4 56% /tmp\n")), Some(4 << 10));
        assert_eq!((of_df(head), of_df("")), (None, None));
    }
}
