//! Copies of bundles elsewhere: the destinations, and what they are encrypted for. No destination is asked.

use super::destinations::{self, Destination, Kind};
use super::line::Line;
use super::place::Place;
use std::path::{Path, PathBuf};

/// What the settings of copies are, and what of it is there.
pub struct Facts {
    destinations: Vec<Destination>,
    recipients: Recipients,
    /// Whether `BACKUP_SHIP` lets a backup be followed by copies.
    is_on: bool,
    /// What is wrong with the rules of which copies are kept.
    keeping: Vec<String>,
    /// The programs that are needed and not there.
    missing: Vec<&'static str>,
}

/// What copies are encrypted for.
pub enum Recipients {
    /// Nothing is set.
    Unset,
    /// A file of age recipients: its path, and what is wrong with it.
    Age(PathBuf, Option<String>),
    /// Keys of gpg's keyring: those that it lacks.
    Gpg(Vec<String>),
}

impl Recipients {
    /// Reads what a setting names. `lacks` answers whether gpg's keyring lacks a key.
    pub fn read(setting: Option<&str>, lacks: impl Fn(&str) -> bool) -> Self {
        let Some(setting) = setting else { return Self::Unset };
        match setting.strip_prefix("gpg:") {
            Some(keys) => {
                Self::Gpg(gpg_keys(keys).filter(|key| lacks(key)).map(str::to_owned).collect())
            }
            None => Self::Age(setting.into(), problem_of_file(Path::new(setting))),
        }
    }
}

/// The keys in the value of a setting, without `gpg:`.
pub fn gpg_keys(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|key| !key.is_empty())
}

/// The lines of a file that are recipients.
pub fn recipients(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn problem_of_file(path: &Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if recipients(&text).next().is_none() => Some("it has no recipient".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Looks at the settings, by the variables that the tools read. `has` answers whether a program is there.
pub fn facts(
    variable: impl Fn(&str) -> Option<String>,
    recipients: Recipients,
    has: impl Fn(&str) -> bool,
) -> Facts {
    let destinations = destinations::all(&variable);
    let needs = |kind: Kind| destinations.iter().any(|d| d.kind == kind);
    let seals = needs(Kind::Bucket) || needs(Kind::Directory);
    let programs = [
        ("age", seals && matches!(recipients, Recipients::Age(..))),
        ("gpg", seals && matches!(recipients, Recipients::Gpg(_))),
        ("restic", needs(Kind::Restic)),
    ];
    let missing = programs.into_iter().filter(|(name, needed)| *needed && !has(name));
    Facts {
        missing: missing.map(|(name, _)| name).collect(),
        destinations,
        keeping: destinations::keeping(&variable),
        recipients,
        is_on: variable("BACKUP_SHIP").as_deref() != Some("no"),
    }
}

impl Facts {
    /// Whether copies are encrypted for recipients.
    pub fn recipients(&self) -> &Recipients {
        &self.recipients
    }

    /// A line for each destination, and for the recipients.
    pub fn lines(&self, place: &Place) -> Vec<Line> {
        const NAME: &str = "copies";
        if self.destinations.is_empty() {
            let found = "every bundle is on this host alone: no destination is set (SHIP_1)";
            return vec![Line::note(NAME, found).with_command(place.edit())];
        }
        let mut lines: Vec<Line> =
            self.destinations.iter().map(|d| of_destination(d, place)).collect();
        lines.extend(self.missing.iter().map(|program| {
            Line::finding(
                NAME,
                format!("{program} is not installed"),
                format!("apt-get install {program}"),
            )
        }));
        if !self.is_on {
            let found = "no backup is followed by copies (BACKUP_SHIP=no)";
            lines
                .push(Line::note(NAME, found).with_command(place.script("ship.sh", &["--newest"])));
        }
        lines.extend(self.keeping.iter().map(|why| Line::finding(NAME, why, place.edit())));
        if self.destinations.iter().any(|d| d.kind != Kind::Restic) {
            lines.push(self.of_recipients(place));
        }
        lines
    }

    fn of_recipients(&self, place: &Place) -> Line {
        const NAME: &str = "recipients";
        match &self.recipients {
            Recipients::Unset => {
                let found = "SHIP_RECIPIENTS is not set, and without it nothing is copied";
                Line::finding(NAME, found, place.edit())
            }
            Recipients::Age(path, Some(problem)) => {
                let found = format!("SHIP_RECIPIENTS: {}: {problem}", path.display());
                Line::finding(NAME, found, place.edit())
            }
            Recipients::Age(path, None) => Line::ok(NAME, format!("those of {}", path.display())),
            Recipients::Gpg(missing) => match missing.first() {
                Some(key) => Line::finding(
                    NAME,
                    format!("gpg's keyring has no key for {key}"),
                    "gpg --import FILE",
                ),
                None => Line::ok(NAME, "gpg's keyring has every key"),
            },
        }
    }
}

fn of_destination(destination: &Destination, place: &Place) -> Line {
    let Destination { name, problem, kind, .. } = destination;
    match problem {
        Some(problem) => Line::finding(&format!("copies {name}"), problem, place.edit()),
        None => {
            let kind = match kind {
                Kind::Bucket => "a bucket",
                Kind::Restic => "a restic repository",
                Kind::Directory => "a directory",
            };
            Line::ok(&format!("copies {name}"), kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    fn lines(set: &[(&str, &str)], recipients: Recipients, has: bool) -> Vec<Line> {
        let variable = |name: &str| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        facts(variable, recipients, |_| has).lines(&Place::new("/d".as_ref()))
    }

    fn age() -> Recipients {
        Recipients::Age("/d/backup.pub".into(), None)
    }

    #[test]
    fn recipients_and_programs_are_needed_where_something_is_sealed() {
        let commands = |lines: Vec<Line>| -> Vec<_> {
            let lines = lines.into_iter().filter(|line| line.status == Status::Finding);
            lines.filter_map(|line| line.command).collect()
        };
        let directory = [("SHIP_1", "/")];
        assert_eq!(commands(lines(&directory, age(), true)), [""; 0]);
        assert_eq!(commands(lines(&directory, age(), false)), ["apt-get install age"]);
        assert_eq!(commands(lines(&directory, Recipients::Unset, true)), ["${EDITOR:-vi} /d/.env"]);
        let gpg = Recipients::read(Some("gpg:A,B"), |key| key == "B");
        assert_eq!(commands(lines(&directory, gpg, true)), ["gpg --import FILE"]);
        let restic = [("SHIP_1", "restic:/r"), ("SHIP_1_PASSWORD_FILE", "/dev/null")];
        assert_eq!(commands(lines(&restic, Recipients::Unset, true)), [""; 0]);
        assert_eq!(commands(lines(&restic, Recipients::Unset, false)), ["apt-get install restic"]);
        let off = lines(&[("SHIP_1", "/"), ("BACKUP_SHIP", "no")], age(), true);
        assert!(off.iter().any(|line| line.status == Status::Note), "{off:?}");
        let none = lines(&[], Recipients::Unset, true);
        assert_eq!((none.len(), none[0].status), (1, Status::Note));
    }

    #[test]
    fn a_file_without_a_recipient_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup.pub");
        let read = || match Recipients::read(path.to_str(), |_| false) {
            Recipients::Age(_, problem) => problem,
            _ => unreachable!(),
        };
        assert!(read().is_some());
        std::fs::write(&path, "# only\n\n").unwrap();
        assert_eq!(read().as_deref(), Some("it has no recipient"));
        std::fs::write(&path, "# of\nage1abc\n").unwrap();
        assert_eq!(read(), None);
    }
}
