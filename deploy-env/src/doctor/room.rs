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

/// What is known of the room that a bundle needs.
pub struct Need {
    /// The size of the newest bundle.
    pub bundle: Option<u64>,
    /// The size of the database and the objects.
    pub data: Option<u64>,
    /// Whether a bundle's unchanged objects are links into the one before it (`BACKUP_LINK`).
    pub links: bool,
}

/// Whether two more bundles fit. Without a bundle, one is taken to be as large as the data.
pub fn for_bundles(root: &Path, free: Option<u64>, need: &Need) -> Line {
    const NAME: &str = "room bundles";
    let Some(free) = free else {
        return Line::note(NAME, format!("how much is free on {} is not known", root.display()));
    };
    let has = format!("{} free on {}", size(free), root.display());
    let (about, one) = match (need.bundle, need.data) {
        (Some(bytes), _) => ("the newest bundle has", bytes),
        (None, Some(bytes)) => ("there is no bundle yet, and database and objects have", bytes),
        (None, None) => {
            return Line::note(NAME, format!("{has}; there is no bundle to compare it with"));
        }
    };
    let found = format!("{has}; {about} {}", size(one));
    if free >= one.saturating_mul(BUNDLES) {
        return Line::ok(NAME, found);
    }
    let command =
        format!("du -xh --max-depth=1 {} | sort -h; df -h {}", quoted(root), quoted(root));
    if need.links && need.bundle.is_some() {
        let found = format!("{found}; how much of it the next one links to is not known");
        return Line::note(NAME, found).with_command(command);
    }
    Line::finding(NAME, format!("{found}, and {BUNDLES} would not fit"), command)
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn two_bundles_must_fit() {
        const MIB: u64 = 1 << 20;
        let of = |free, bundle, data, links| {
            for_bundles("/b".as_ref(), free, &Need { bundle, data, links })
        };
        for (free, bundle, data, links, status) in [
            (Some(20 * MIB), Some(10 * MIB), None, false, Status::Ok),
            (Some(20 * MIB - 1), Some(10 * MIB), None, false, Status::Finding),
            (Some(20 * MIB - 1), Some(10 * MIB), None, true, Status::Note),
            (Some(20 * MIB), Some(10 * MIB), None, true, Status::Ok),
            (Some(20 * MIB), None, Some(11 * MIB), false, Status::Finding),
            // There is nothing to link to yet.
            (Some(20 * MIB), None, Some(11 * MIB), true, Status::Finding),
            (Some(20 * MIB), None, None, false, Status::Note),
            (None, Some(1), None, false, Status::Note),
        ] {
            let line = of(free, bundle, data, links);
            assert_eq!(line.status, status, "{free:?} {bundle:?} {data:?} {links}");
        }
        let line = of(Some(MIB), Some(MIB), None, false);
        assert_eq!(line.command.as_deref(), Some("du -xh --max-depth=1 /b | sort -h; df -h /b"));
        assert_eq!(
            line.found,
            "1.0 MiB free on /b; the newest bundle has 1.0 MiB, and 2 would not fit"
        );
    }
}
