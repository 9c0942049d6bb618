//! The programs of this toolkit, and whether a backup would begin.

use super::line::Line;
use super::place::{Place, quoted};
use super::unfinished::Unfinished;
use crate::program::{LIMIT, Tools, ask};
use rustix::fs::Access;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// What a backup and a restore start.
const PROGRAMS: [&str; 9] = [
    "backup-run",
    "bundle-manifest",
    "bundle-prune",
    "cfg-pack",
    "health-probe",
    "obj-mirror",
    "pg-snap",
    "restore-run",
    "ship-run",
];

/// Each program with its version; none if it is not on PATH or prints none.
pub fn versions(tools: &Tools) -> Vec<(&'static str, Option<String>)> {
    let version = |program: &'static str| {
        let answer = ask(tools.command(program).arg("--version"), "", LIMIT);
        let answer = answer.ok().filter(crate::program::Answer::is_good);
        let version =
            answer.and_then(|a| a.text.trim().strip_prefix(program).map(|v| v.trim().to_owned()));
        (program, version)
    };
    PROGRAMS.map(version).into()
}

/// Whether a program is on PATH.
pub fn has(tools: &Tools, program: &str) -> bool {
    std::env::split_paths(&tools.path()).any(|dir| dir.join(program).is_file())
}

/// The line about the programs. `is_there` answers whether one is on PATH.
pub fn line(
    versions: &[(&'static str, Option<String>)],
    own: &str,
    is_there: impl Fn(&str) -> bool,
    place: &Place,
) -> Line {
    const NAME: &str = "programs";
    let names = |wanted: &dyn Fn(&str, Option<&str>) -> bool| -> Vec<&str> {
        let found = versions.iter().filter(|(name, version)| wanted(name, version.as_deref()));
        found.map(|(name, _)| *name).collect()
    };
    let missing = names(&|name, version| version.is_none() && !is_there(name));
    if !missing.is_empty() {
        let found = format!("not installed: {}", missing.join(" "));
        return Line::finding(NAME, found, place.install(&[]));
    }
    // A script of the operator's may stand in a program's place.
    let others = names(&|_, version| version != Some(own));
    if !others.is_empty() {
        let found = format!("not of version {own}: {}", others.join(" "));
        return Line::note(NAME, found).with_command(place.install(&[]));
    }
    Line::ok(NAME, format!("version {own}"))
}

/// The name of the line about a backup.
const NAME: &str = "backup";

/// Whether a backup that began now would be refused.
pub fn backup(tools: &Tools, root: &Path, place: &Place, unfinished: &Unfinished) -> Line {
    if let Some(resume) = unfinished.resume(place) {
        let found = "a restore is unfinished, and no backup is made until it is complete";
        return Line::finding(NAME, found, resume);
    }
    let answer = ask(tools.command("backup-run").args(["--dry-run", "--quiet"]), "", LIMIT);
    let why = match answer {
        Ok(answer) if answer.is_good() => return locks(&lock_paths(root, place)),
        Ok(answer) => answer.why(),
        Err(error) => format!("{error:#}"),
    };
    Line::finding(NAME, why, place.script("backup.sh", &["--dry-run"]))
}

/// What a backup opens: the directory of the first lock, and the locks. A dry run opens none.
fn lock_paths(root: &Path, place: &Place) -> [PathBuf; 3] {
    [place.path(".restore"), place.path(".restore/lock"), root.join(".lock")]
}

/// Whether those that are there can be opened: one run of another user leaves them to that user.
fn locks(paths: &[PathBuf]) -> Line {
    let error = |path: &PathBuf| {
        let more = if path.is_dir() { Access::EXEC_OK } else { Access::empty() };
        let access = rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | more);
        access.err().filter(|error| *error != Errno::NOENT).map(|error| (path.clone(), error))
    };
    match paths.iter().find_map(error) {
        None => Line::ok(NAME, "a backup would begin"),
        Some((path, error)) => {
            let found =
                format!("{}, which a backup locks, cannot be opened: {error}", path.display());
            let command = format!("sudo chown \"$(id -u):$(id -g)\" {}", quoted(&path));
            Line::finding(NAME, found, command)
        }
    }
}

/// Whether a directory of bundles can be written.
pub fn writable(root: &Path, place: &Place) -> Line {
    const NAME: &str = "bundles";
    // A backup makes the directory.
    let dir = pipe_kit::mount::existing(root);
    match rustix::fs::access(&dir, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Line::ok(NAME, format!("{} can be written", root.display())),
        Err(error) => {
            let found = format!("BACKUP_ROOT {}: {error}", root.display());
            Line::finding(NAME, found, place.edit())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn a_missing_program_is_a_finding_and_another_version_a_note() {
        let place = Place::new("/d".as_ref());
        let of = |pg_snap: Option<&str>, is_there: bool| {
            let versions =
                [("obj-mirror", Some("0.1.0".to_owned())), ("pg-snap", pg_snap.map(str::to_owned))];
            line(&versions, "0.1.0", |_| is_there, &place)
        };
        assert_eq!(of(Some("0.1.0"), true).status, Status::Ok);
        let missing = of(None, false);
        assert_eq!(
            (missing.status, missing.found.as_str()),
            (Status::Finding, "not installed: pg-snap")
        );
        assert_eq!(missing.command.as_deref(), Some("scripts/install.sh /d"));
        assert_eq!(of(None, true).status, Status::Note);
        assert_eq!(of(Some("0.0.9"), true).status, Status::Note);
    }

    #[test]
    fn an_unfinished_restore_is_continued_before_a_backup_begins() {
        let place = Place::new("/d".as_ref());
        let of = |unfinished| backup(&Tools::default(), "/b".as_ref(), &place, &unfinished);
        let line = of(Unfinished::Of(Some("/b/x".into())));
        let resume = "bash /d/scripts/restore.sh /b/x --resume";
        assert_eq!((line.status, line.command.as_deref()), (Status::Finding, Some(resume)));
        assert!(!line.found.contains("--abandon"));
        let none = [("PATH".into(), Some("/none".into()))];
        let line = backup(&Tools::new(none), "/b".as_ref(), &place, &Unfinished::No);
        assert_eq!(line.command.as_deref(), Some("bash /d/scripts/backup.sh --dry-run"));
    }

    #[test]
    fn a_lock_that_cannot_be_opened_is_a_finding_and_one_that_is_not_there_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my lock");
        assert_eq!(locks(std::slice::from_ref(&file)).status, Status::Ok);
        std::fs::write(&file, "").unwrap();
        assert_eq!(locks(std::slice::from_ref(&file)).status, Status::Ok);
        // Not even root opens a file below one.
        let line = locks(&[file.clone(), file.join("lock")]);
        let command = format!("sudo chown \"$(id -u):$(id -g)\" '{}/lock'", file.display());
        assert_eq!((line.status, line.command), (Status::Finding, Some(command)));
        let place = Place::new("/d".as_ref());
        let expected = ["/d/.restore", "/d/.restore/lock", "/b/.lock"].map(PathBuf::from);
        assert_eq!(lock_paths("/b".as_ref(), &place), expected);
    }

    #[test]
    fn a_root_below_a_file_is_a_finding_for_everybody() {
        let place = Place::new("/d".as_ref());
        assert_eq!(writable("/tmp/none".as_ref(), &place).status, Status::Ok);
        assert_eq!(writable("/proc/none".as_ref(), &place).name, "bundles");
    }
}
