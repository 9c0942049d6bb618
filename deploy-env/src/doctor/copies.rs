//! Copies of bundles elsewhere: the destinations, and what they are encrypted for. No destination is asked.

use super::destinations::{self, Destination, Kind};
use super::file;
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
    /// A file of age recipients.
    Age(PathBuf, Trial),
    /// Keys of gpg's keyring.
    Gpg(Vec<(String, Trial)>),
}

/// What came of encrypting for a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It can be done.
    Good,
    /// There is no such key in gpg's keyring.
    Lacks,
    /// It is refused, and why.
    Refused(String),
    /// It was not tried, and why.
    Unknown(String),
}

impl Recipients {
    /// Reads what a setting names. `age` tries a file of recipients, `gpg` a key.
    pub fn read(
        setting: Option<&str>,
        age: impl Fn(&Path) -> Trial,
        gpg: impl Fn(&str) -> Trial,
    ) -> Self {
        let Some(setting) = setting else { return Self::Unset };
        match setting.strip_prefix("gpg:") {
            Some(keys) => Self::Gpg(gpg_keys(keys).map(|key| (key.to_owned(), gpg(key))).collect()),
            None => {
                let path = Path::new(setting);
                let trial = problem_of_file(path).map_or_else(|| age(path), Trial::Refused);
                Self::Age(path.to_owned(), trial)
            }
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
    match file::read(path) {
        Ok(text) if recipients(&String::from_utf8_lossy(&text)).next().is_none() => {
            Some("it has no recipient".to_owned())
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Looks at the settings, by the variables that the tools read. `has` answers whether a program is there.
pub fn facts(
    variable: impl Fn(&str) -> Option<String>,
    recipients: Recipients,
    has: impl Fn(&str) -> bool,
    place: &Place,
) -> Facts {
    let destinations = destinations::all(&variable, place);
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
            lines.extend(self.of_recipients(place));
        }
        lines
    }

    fn of_recipients(&self, place: &Place) -> Vec<Line> {
        const NAME: &str = "recipients";
        match &self.recipients {
            Recipients::Unset => {
                let found = "SHIP_RECIPIENTS is not set, and without it nothing is copied";
                vec![Line::finding(NAME, found, place.edit())]
            }
            Recipients::Age(path, trial) => {
                let path = path.display();
                vec![match trial {
                    Trial::Good => Line::ok(NAME, format!("those of {path}")),
                    Trial::Unknown(why) => Line::note(NAME, format!("{path} was not tried: {why}")),
                    Trial::Lacks => Line::note(NAME, format!("{path} was not tried")),
                    Trial::Refused(why) => {
                        let found = format!("SHIP_RECIPIENTS: {path}: {why}");
                        Line::finding(NAME, found, place.edit())
                    }
                }]
            }
            Recipients::Gpg(keys) if keys.is_empty() => {
                let found = "SHIP_RECIPIENTS names no key of gpg";
                vec![Line::finding(NAME, found, place.edit())]
            }
            Recipients::Gpg(keys) => keys.iter().map(|(key, trial)| of_gpg(key, trial)).collect(),
        }
    }
}

fn of_gpg(key: &str, trial: &Trial) -> Line {
    const NAME: &str = "recipients";
    match trial {
        Trial::Good => Line::ok(NAME, format!("gpg encrypts for {key}")),
        Trial::Unknown(why) => Line::note(NAME, format!("gpg's key {key} was not tried: {why}")),
        Trial::Lacks => {
            let found = format!("gpg's keyring has no key for {key}");
            Line::finding(NAME, found, "gpg --import FILE")
        }
        Trial::Refused(why) => {
            let found = format!("gpg does not encrypt for {key}: {why}");
            let command = format!("gpg --list-keys {}", shell_words::quote(key));
            Line::finding(NAME, found, command)
        }
    }
}

fn of_destination(destination: &Destination, place: &Place) -> Line {
    let Destination { name, problem, kind, command, .. } = destination;
    match problem {
        Some(problem) => {
            let command = command.clone().unwrap_or_else(|| place.edit());
            Line::finding(&format!("copies {name}"), problem, command)
        }
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
        facts(variable, recipients, |_| has, &Place::new("/d".as_ref()))
            .lines(&Place::new("/d".as_ref()))
    }

    fn age() -> Recipients {
        Recipients::Age("/d/backup.pub".into(), Trial::Good)
    }

    #[test]
    fn recipients_and_programs_are_needed_where_something_is_sealed() {
        let commands = |lines: Vec<Line>| -> Vec<_> {
            let lines = lines.into_iter().filter(|line| line.status == Status::Finding);
            lines.filter_map(|line| line.command).collect()
        };
        let directory = [("SHIP_1", "/tmp")];
        assert_eq!(commands(lines(&directory, age(), true)), [""; 0]);
        assert_eq!(commands(lines(&directory, age(), false)), ["apt-get install age"]);
        assert_eq!(commands(lines(&directory, Recipients::Unset, true)), ["${EDITOR:-vi} /d/.env"]);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "x").unwrap();
        let restic = [("SHIP_1", "restic:/r"), ("SHIP_1_PASSWORD_FILE", file.to_str().unwrap())];
        assert_eq!(commands(lines(&restic, Recipients::Unset, true)), [""; 0]);
        assert_eq!(commands(lines(&restic, Recipients::Unset, false)), ["apt-get install restic"]);
        let off = lines(&[("SHIP_1", "/tmp"), ("BACKUP_SHIP", "no")], age(), true);
        assert!(off.iter().any(|line| line.status == Status::Note), "{off:?}");
        let none = lines(&[], Recipients::Unset, true);
        assert_eq!((none.len(), none[0].status), (1, Status::Note));
    }

    #[test]
    fn recipients_that_nothing_is_encrypted_for_are_findings_and_untried_ones_notes() {
        let refused = || Trial::Refused("expired".into());
        let gpg = |trial: Trial| {
            Recipients::read(
                Some("gpg:A,B"),
                |_| Trial::Good,
                |key| match key {
                    "B" => trial.clone(),
                    _ => Trial::Good,
                },
            )
        };
        let age = |trial: Trial| Recipients::Age("/d/backup.pub".into(), trial);
        let edit = "${EDITOR:-vi} /d/.env";
        for (recipients, status, command) in [
            (gpg(Trial::Good), Status::Ok, None),
            (gpg(Trial::Lacks), Status::Finding, Some("gpg --import FILE")),
            (gpg(refused()), Status::Finding, Some("gpg --list-keys B")),
            (gpg(Trial::Unknown("no gpg".into())), Status::Note, None),
            (Recipients::Gpg(Vec::new()), Status::Finding, Some(edit)),
            (age(Trial::Good), Status::Ok, None),
            (age(refused()), Status::Finding, Some(edit)),
            (age(Trial::Unknown("no age".into())), Status::Note, None),
        ] {
            let line = lines(&[("SHIP_1", "/tmp")], recipients, true).pop().unwrap();
            assert_eq!((line.status, line.command.as_deref()), (status, command), "{}", line.found);
        }
    }

    #[test]
    fn a_file_without_a_recipient_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup.pub");
        let read = || match Recipients::read(path.to_str(), |_| Trial::Good, |_| Trial::Good) {
            Recipients::Age(_, trial) => trial,
            _ => unreachable!(),
        };
        assert!(matches!(read(), Trial::Refused(_)));
        std::fs::write(&path, "# only\n\n").unwrap();
        assert_eq!(read(), Trial::Refused("it has no recipient".into()));
        std::fs::write(&path, "# of\nage1abc\n").unwrap();
        assert_eq!(read(), Trial::Good);
    }
}
