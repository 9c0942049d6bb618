//! The reports in a directory of drills, `DEPLOY/.drills`.

use crate::name::drill_time;
use crate::report::DrillReport;
use chrono::{DateTime, Utc};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// A drill of the directory.
#[derive(Debug)]
pub struct KeptDrill {
    /// The name of its directory, `drill_YYYYMMDDTHHMMSSZ`.
    pub name: OsString,
    /// The moment in that name.
    pub started: DateTime<Utc>,
    /// `None` where there is none that can be read.
    pub report: Option<DrillReport>,
}

/// The drills of a directory, the newest first. Empty where the directory cannot be read. Each report is read when
/// its drill is asked for.
pub fn drills(dir: &Path) -> impl Iterator<Item = KeptDrill> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let mut found: Vec<_> =
        names.filter_map(|name| drill_time(&name).map(|time| (time, name))).collect();
    found.sort();
    found.into_iter().rev().map(move |(started, name)| {
        let report = report(dir, &name);
        KeptDrill { name, started, report }
    })
}

fn report(dir: &Path, name: &OsStr) -> Option<DrillReport> {
    let path = dir.join(name).join("report.json");
    // Reading a named pipe in its place would block.
    let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
    let bytes = if is_file { std::fs::read(&path).ok()? } else { return None };
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn drills_are_read_the_newest_first_and_what_is_no_report_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            dir.path().join(name).join("report.json")
        };
        let text = serde_json::to_string(&DrillReport::default()).unwrap();
        std::fs::write(make("drill_20260401T020000Z"), &text).unwrap();
        std::fs::write(make("drill_20260403T020000Z"), "{").unwrap();
        make("drill_20260402T020000Z");
        // A read of it would wait for a writer.
        let pipe = make("drill_20260404T020000Z");
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        std::fs::write(make(".drill_20260405T020000Z.partial"), &text).unwrap();
        std::fs::write(dir.path().join("newest.json"), &text).unwrap();
        let found: Vec<_> = drills(dir.path())
            .map(|drill| (drill.name.into_string().unwrap(), drill.report.is_some()))
            .collect();
        let expected = [("04", false), ("03", false), ("02", false), ("01", true)];
        let expected = expected.map(|(day, read)| (format!("drill_202604{day}T020000Z"), read));
        assert_eq!(found, expected);
        assert_eq!(drills(&dir.path().join("absent")).count(), 0);
    }
}
