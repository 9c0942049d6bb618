//! Room for bundles, and for a database beside the one in use.

use super::line::Line;
use super::place::quoted;
use pipe_kit::mount::existing;
use pipe_kit::text::size;
use std::path::Path;

/// How many bundles of the newest one's size must fit.
const BUNDLES: u64 = 2;

/// Bytes that are free where a directory is, or will be made.
pub fn free(path: &Path) -> Option<u64> {
    let fs = rustix::fs::statvfs(existing(path)).ok()?;
    Some(fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// Whether two more bundles fit. Without a bundle, one is taken to be as large as the database.
pub fn for_bundles(
    root: &Path,
    free: Option<u64>,
    bundle: Option<u64>,
    database: Option<u64>,
) -> Line {
    const NAME: &str = "room bundles";
    let Some(free) = free else {
        return Line::note(NAME, format!("how much is free on {} is not known", root.display()));
    };
    let has = format!("{} free on {}", size(free), root.display());
    let (about, one) = match (bundle, database) {
        (Some(bytes), _) => ("the newest bundle has", bytes),
        (None, Some(bytes)) => ("there is no bundle yet, and the database has", bytes),
        (None, None) => {
            return Line::note(NAME, format!("{has}; there is no bundle to compare it with"));
        }
    };
    let found = format!("{has}; {about} {}", size(one));
    if free < one.saturating_mul(BUNDLES) {
        let command =
            format!("du -xh --max-depth=1 {} | sort -h; df -h {}", quoted(root), quoted(root));
        return Line::finding(NAME, format!("{found}, and {BUNDLES} would not fit"), command);
    }
    Line::ok(NAME, found)
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn two_bundles_must_fit() {
        const MIB: u64 = 1 << 20;
        let of = |free, bundle, database| for_bundles("/b".as_ref(), free, bundle, database);
        for (free, bundle, database, status) in [
            (Some(20 * MIB), Some(10 * MIB), None, Status::Ok),
            (Some(20 * MIB - 1), Some(10 * MIB), None, Status::Finding),
            (Some(20 * MIB), None, Some(11 * MIB), Status::Finding),
            (Some(20 * MIB), None, None, Status::Note),
            (None, Some(1), None, Status::Note),
        ] {
            assert_eq!(
                of(free, bundle, database).status,
                status,
                "{free:?} {bundle:?} {database:?}"
            );
        }
        let line = of(Some(MIB), Some(MIB), None);
        assert_eq!(line.command.as_deref(), Some("du -xh --max-depth=1 /b | sort -h; df -h /b"));
        assert_eq!(
            line.found,
            "1.0 MiB free on /b; the newest bundle has 1.0 MiB, and 2 would not fit"
        );
    }
}
