//! The destinations of copies, by their settings. `ship-run` refuses the same ones, at the end of a night's backup.

use bundle_format::shipments;
use std::path::Path;

/// One destination.
pub struct Destination {
    /// `SHIP_n`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What is wrong with it.
    pub problem: Option<String>,
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
pub fn all(variable: &impl Fn(&str) -> Option<String>) -> Vec<Destination> {
    let mut all: Vec<Destination> = Vec::new();
    for number in 1..=9 {
        let Some(mut destination) = destination(number, variable) else { continue };
        if let Some(other) = all.iter().find(|other| other.place == destination.place) {
            destination.problem = Some(format!("it is the same place as {}", other.name));
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

fn destination(number: u8, variable: &impl Fn(&str) -> Option<String>) -> Option<Destination> {
    let name = format!("SHIP_{number}");
    let setting = variable(&name)?;
    let own = |suffix: &str| variable(&format!("{name}_{suffix}"));
    let (kind, problem) = match () {
        () if setting.starts_with("s3://") => {
            let home = variable("HOME");
            let has_file =
                home.is_some_and(|home| Path::new(&home).join(".aws/credentials").is_file());
            (Kind::Bucket, problem_of_bucket(&setting, &name, own, has_file))
        }
        () if setting.starts_with("restic:") => {
            (Kind::Restic, problem_of_restic(&setting, &name, own))
        }
        () if setting.contains(':') => {
            let what = "it is neither s3://BUCKET[/PREFIX] nor restic:REPOSITORY nor a directory";
            (Kind::Directory, Some(what.to_owned()))
        }
        () if Path::new(&setting).is_dir() => (Kind::Directory, None),
        () => (Kind::Directory, Some(format!("there is no directory {setting}"))),
    };
    let problem = problem.or_else(|| problem_of_limits(&name, kind, own));
    let place = shipments::place(&setting, own("ENDPOINT").as_deref());
    Some(Destination { name, kind, problem, place })
}

/// `has_file` is whether the user has a file of keys.
fn problem_of_bucket(
    setting: &str,
    name: &str,
    own: impl Fn(&str) -> Option<String>,
    has_file: bool,
) -> Option<String> {
    let bucket = setting.trim_start_matches("s3://").split('/').next().unwrap_or_default();
    let is_good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bucket.is_empty() || !bucket.chars().all(is_good) {
        return Some("it names no bucket: s3://BUCKET[/PREFIX]".to_owned());
    }
    // Those of the user's own file are taken where none are set.
    let has_own = own("ACCESS_KEY").is_some() || own("ACCESS_KEY_FILE").is_some();
    if own("PROFILE").is_some() || (!has_own && has_file) {
        return None;
    }
    ["ACCESS_KEY", "SECRET_KEY"].into_iter().find_map(|key| {
        match (own(key), own(&format!("{key}_FILE"))) {
            (Some(_), _) => None,
            (None, Some(file)) => unreadable(&format!("{name}_{key}_FILE"), &file),
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
    let error = std::fs::File::open(file).err()?;
    Some(format!("{setting}: {file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn what_is_wrong_with_a_destination_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_str().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, "x").unwrap();
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
            (bucket, [("SHIP_1_PROFILE", "p"); 3], None),
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
        ] {
            let set = [&[("SHIP_1", setting)], &more[..]].concat();
            let found = all(&of(&set)).swap_remove(0).problem;
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
        let twice = all(&of(&[("SHIP_1", here), ("SHIP_3", here)]));
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
