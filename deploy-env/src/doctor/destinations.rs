//! The destinations of copies, by their settings. `ship-run` refuses the same ones, at the end of a night's backup.

use super::file;
use super::place::{Place as Directory, quoted};
use bundle_format::shipments;
use pipe_kit::mount::{existing, is_mount_point, mount_point};
use rustix::fs::Access;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One destination.
pub struct Destination {
    /// `SHIP_n`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// The command about that; none where the settings are edited.
    pub command: Option<String>,
    /// The place that it means.
    place: String,
}

/// What a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bucket.
    Bucket,
    /// A restic repository.
    Restic,
    /// A directory, or what was meant to be anything.
    Directory,
}

/// The most days that a copy can be locked.
const MOST_DAYS: u32 = 36_500;

/// Those that are set, by the variables that the tools read.
pub fn all(variable: &impl Fn(&str) -> Option<String>, deployment: &Directory) -> Vec<Destination> {
    let mut all: Vec<Destination> = Vec::new();
    for number in 1..=9 {
        let Some(mut destination) = destination(number, variable, deployment) else { continue };
        if let Some(other) = all.iter().find(|other| other.place == destination.place) {
            destination.problem = Some(format!("it is the same place as {}", other.name));
            destination.command = None;
        }
        all.push(destination);
    }
    all
}

/// What is wrong with the rules of which copies are kept.
pub fn keeping(variable: &impl Fn(&str) -> Option<String>) -> Vec<String> {
    let rules = [("DAYS", 1), ("DAILY", 0), ("WEEKLY", 0), ("MONTHLY", 0), ("YEARLY", 0)];
    let problem = |(rule, least): (&str, u32)| {
        let name = format!("SHIP_KEEP_{rule}");
        let is_good = variable(&name)?.parse().is_ok_and(|number: u32| number >= least);
        (!is_good).then(|| format!("{name} must be a whole number, {least} or more"))
    };
    rules.into_iter().filter_map(problem).collect()
}

fn destination(
    number: u8,
    variable: &impl Fn(&str) -> Option<String>,
    deployment: &Directory,
) -> Option<Destination> {
    let name = format!("SHIP_{number}");
    let setting = variable(&name)?;
    let own = |suffix: &str| variable(&format!("{name}_{suffix}"));
    let mut command = None;
    let (kind, problem) = match () {
        () if setting.starts_with("s3://") => {
            let home = variable("HOME");
            (Kind::Bucket, problem_of_bucket(&setting, &name, own, home.as_deref()))
        }
        () if setting.starts_with("restic:") => {
            (Kind::Restic, problem_of_restic(&setting, &name, own))
        }
        () if setting.contains(':') => {
            let what = "it is neither s3://BUCKET[/PREFIX] nor restic:REPOSITORY nor a directory";
            (Kind::Directory, Some(what.to_owned()))
        }
        () => {
            let found = problem_of_directory(Path::new(&setting), deployment);
            let (problem, mends) = found.unzip();
            command = mends.flatten();
            (Kind::Directory, problem)
        }
    };
    let problem = problem.or_else(|| problem_of_limits(&name, kind, own));
    let place = shipments::place(&setting, own("ENDPOINT").as_deref());
    Some(Destination { name, kind, problem, command, place })
}

/// What is wrong with a directory, and the command about that.
fn problem_of_directory(path: &Path, deployment: &Directory) -> Option<(String, Option<String>)> {
    let shown = path.display();
    if let Some(disk) = missing_disk(path, deployment) {
        let found =
            format!("{shown} was on a disk that was mounted at {}, and is not", disk.display());
        return Some((found, Some(format!("mount {}", quoted(&disk)))));
    }
    if !path.is_dir() {
        return Some((format!("there is no directory {shown}"), None));
    }
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    let error = rustix::fs::access(path, access).err()?;
    Some((format!("{shown}: {error}"), Some(format!("ls -ld {}", quoted(path)))))
}

/// The place of a directory's disk, where it was mounted for the last copies and is not now: `ship-run` refuses to fill
/// the disk below.
fn missing_disk(path: &Path, deployment: &Directory) -> Option<PathBuf> {
    let record = file::read(&deployment.path(".restore/ship/mounts.json")).ok()?;
    let places: BTreeMap<PathBuf, PathBuf> = serde_json::from_slice(&record).ok()?;
    let place = places.get(path)?;
    let is_missing = !is_mount_point(place) && place.starts_with(mount_point(&existing(path)));
    is_missing.then(|| place.clone())
}

fn problem_of_bucket(
    setting: &str,
    name: &str,
    own: impl Fn(&str) -> Option<String>,
    home: Option<&str>,
) -> Option<String> {
    let bucket = setting.trim_start_matches("s3://").split('/').next().unwrap_or_default();
    let is_good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bucket.is_empty() || !bucket.chars().all(is_good) {
        return Some("it names no bucket: s3://BUCKET[/PREFIX]".to_owned());
    }
    let is_set = |key: &str| own(key).is_some() || own(&format!("{key}_FILE")).is_some();
    // Keys come before a profile, and one key alone is refused.
    if own("PROFILE").is_some() && !is_set("ACCESS_KEY") && !is_set("SECRET_KEY") {
        let file = Path::new(home.unwrap_or_default()).join(".aws/credentials");
        return unreadable(&format!("{name}_PROFILE"), &file.to_string_lossy());
    }
    ["ACCESS_KEY", "SECRET_KEY"].into_iter().find_map(|key| {
        match (own(key), own(&format!("{key}_FILE"))) {
            (_, Some(file)) => unreadable(&format!("{name}_{key}_FILE"), &file),
            (Some(_), None) => None,
            (None, None) => {
                Some(format!("{name}_{key} is not set, nor {name}_{key}_FILE, nor {name}_PROFILE"))
            }
        }
    })
}

fn problem_of_restic(
    setting: &str,
    name: &str,
    own: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    if setting == "restic:" {
        return Some("it names no repository: restic:REPOSITORY".to_owned());
    }
    match own("PASSWORD_FILE") {
        Some(file) => unreadable(&format!("{name}_PASSWORD_FILE"), &file),
        None => Some(format!("{name}_PASSWORD_FILE is not set")),
    }
}

fn problem_of_limits(
    name: &str,
    kind: Kind,
    own: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let rate = own("MAX_RATE").and_then(|rate| pipe_kit::text::parse_bytes(&rate).err());
    if let Some(why) = rate {
        return Some(format!("{name}_MAX_RATE: {why}"));
    }
    let (days, mode) = (own("RETAIN_DAYS"), own("RETAIN_MODE"));
    let is_number = |text: &String| text.parse().is_ok_and(|days| (1..=MOST_DAYS).contains(&days));
    let is_mode = |text: &String| ["governance", "compliance"].contains(&text.as_str());
    match (days, mode) {
        (None, None) => None,
        _ if kind != Kind::Bucket => {
            Some(format!("{name}_RETAIN_DAYS: only a bucket locks copies"))
        }
        (None, Some(_)) => {
            Some(format!("{name}_RETAIN_MODE locks nothing without {name}_RETAIN_DAYS"))
        }
        (Some(days), _) if !is_number(&days) => {
            Some(format!("{name}_RETAIN_DAYS must be a whole number from 1 to {MOST_DAYS}"))
        }
        (Some(_), Some(mode)) if !is_mode(&mode) => {
            Some(format!("{name}_RETAIN_MODE must be governance or compliance"))
        }
        (Some(_), _) => None,
    }
}

fn unreadable(setting: &str, file: &str) -> Option<String> {
    let error = file::open(Path::new(file)).err()?;
    Some(format!("{setting}: {file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn of<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    fn nowhere() -> Directory {
        Directory::new("/none".as_ref())
    }

    #[test]
    fn a_directory_whose_disk_is_not_mounted_or_that_cannot_be_written_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let deployment = Directory::new(dir.path());
        let copies = dir.path().join("disk/copies");
        std::fs::create_dir_all(&copies).unwrap();
        let setting = copies.to_str().unwrap();
        let found = |setting: &str| {
            let destination = all(&of(&[("SHIP_1", setting)]), &deployment).swap_remove(0);
            (destination.problem, destination.command)
        };
        assert_eq!(found(setting), (None, None));
        let record = |place: &Path| {
            std::fs::create_dir_all(dir.path().join(".restore/ship")).unwrap();
            let places = BTreeMap::from([(&copies, place)]);
            let text = serde_json::to_vec(&places).unwrap();
            std::fs::write(dir.path().join(".restore/ship/mounts.json"), text).unwrap();
        };
        let disk = dir.path().join("disk");
        record(&disk);
        let (problem, command) = found(setting);
        assert!(problem.unwrap().contains("was on a disk that was mounted at"));
        assert_eq!(command, Some(format!("mount {}", quoted(&disk))));
        // The directory has moved to another filesystem.
        record("/proc".as_ref());
        assert_eq!(found(setting), (None, None));
        // Root may write anywhere.
        std::fs::set_permissions(&copies, std::fs::Permissions::from_mode(0o500)).unwrap();
        let listed = Some(format!("ls -ld {setting}"));
        let is_root = rustix::process::geteuid().is_root();
        assert_eq!(found(setting).1, listed.filter(|_| !is_root));
    }

    #[test]
    fn what_is_wrong_with_a_destination_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_str().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, "x").unwrap();
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        std::fs::write(dir.path().join(".aws/credentials"), "[p]\n").unwrap();
        let key = key.to_str().unwrap();
        let keys = [("SHIP_1_ACCESS_KEY", "k"), ("SHIP_1_SECRET_KEY", "s")];
        let bucket = "s3://offsite/x";
        let with_keys = |more| [keys[0], keys[1], more];
        for (setting, more, problem) in [
            (here, [("", ""); 3], None),
            ("/none", [("", ""); 3], Some("there is no directory /none")),
            (here, [("SHIP_1_RETAIN_DAYS", "3"); 3], Some("SHIP_1_RETAIN_DAYS: only a bucket")),
            ("s3:bucket", [("", ""); 3], Some("it is neither s3://BUCKET")),
            ("s3:///x", [("", ""); 3], Some("it names no bucket")),
            (bucket, [("SHIP_1_PROFILE", "p"), ("HOME", here), ("", "")], None),
            (
                bucket,
                [("SHIP_1_PROFILE", "p"), ("HOME", "/none"), ("", "")],
                Some("SHIP_1_PROFILE: /none/.aws/credentials: "),
            ),
            // The file of the user's keys is read for a profile alone.
            (bucket, [("HOME", here); 3], Some("SHIP_1_ACCESS_KEY is not set")),
            (
                bucket,
                [("SHIP_1_PROFILE", "p"), ("HOME", here), keys[0]],
                Some("SHIP_1_SECRET_KEY is not set"),
            ),
            (bucket, with_keys(("SHIP_1_RETAIN_DAYS", "30")), None),
            (bucket, with_keys(("SHIP_1_RETAIN_DAYS", "0")), Some("SHIP_1_RETAIN_DAYS must be")),
            (
                bucket,
                with_keys(("SHIP_1_RETAIN_MODE", "governance")),
                Some("SHIP_1_RETAIN_MODE locks"),
            ),
            (bucket, with_keys(("SHIP_1_MAX_RATE", "fast")), Some("SHIP_1_MAX_RATE: ")),
            (bucket, [("", ""); 3], Some("SHIP_1_ACCESS_KEY is not set")),
            (bucket, [keys[0]; 3], Some("SHIP_1_SECRET_KEY is not set")),
            (
                bucket,
                [("SHIP_1_ACCESS_KEY_FILE", "/none"); 3],
                Some("SHIP_1_ACCESS_KEY_FILE: /none: "),
            ),
            ("restic:/r", [("SHIP_1_PASSWORD_FILE", key); 3], None),
            ("restic:/r", [("", ""); 3], Some("SHIP_1_PASSWORD_FILE is not set")),
            (
                "restic:/r",
                [("SHIP_1_PASSWORD_FILE", "/dev/null"); 3],
                Some("SHIP_1_PASSWORD_FILE: /dev/null: it is not a regular file"),
            ),
        ] {
            let set = [&[("SHIP_1", setting)], &more[..]].concat();
            let found = all(&of(&set), &nowhere()).swap_remove(0).problem;
            match (&found, problem) {
                (None, None) => {}
                (Some(found), Some(problem)) if found.starts_with(problem) => {}
                _ => panic!("{setting} {more:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn one_place_twice_and_rules_that_are_no_numbers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_str().unwrap();
        let twice = all(&of(&[("SHIP_1", here), ("SHIP_3", here)]), &nowhere());
        assert_eq!(twice[1].problem.as_deref(), Some("it is the same place as SHIP_1"));
        assert_eq!(twice[0].problem, None);
        let rules = [("SHIP_KEEP_DAYS", "0"), ("SHIP_KEEP_WEEKLY", "0"), ("SHIP_KEEP_DAILY", "x")];
        let expected = [
            "SHIP_KEEP_DAYS must be a whole number, 1 or more",
            "SHIP_KEEP_DAILY must be a whole number, 0 or more",
        ];
        assert_eq!(keeping(&of(&rules)), expected);
    }
}
