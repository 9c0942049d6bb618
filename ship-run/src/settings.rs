//! The settings of this run, as `deploy-env` has exported them.

use crate::place::bucket::Bucket;
use crate::place::directory::Directory;
use crate::place::{Destination, Place};
use anyhow::{Context, Result};
use bundle_format::retention::Calendar;
use bundle_format::retention::policy::Policy;
use bundle_format::shipments;
use chrono::{DateTime, TimeDelta, Utc};
use pipe_kit::Stop;
use pipe_kit::lock::{self, Lock};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The most destinations.
const MOST: u8 = 9;

/// What encrypts the copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// A file of age recipients.
    Age(PathBuf),
    /// Keys of gpg's keyring.
    Gpg(Vec<String>),
}

/// What a run needs to know.
pub struct Settings {
    pub deploy: PathBuf,
    pub root: PathBuf,
    pub domain: Option<String>,
    /// Which copies are kept.
    pub policy: Policy,
    pub recipients: Option<Recipients>,
    pub destinations: Vec<Destination>,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Stop::usage`] for a setting that is missing or wrong.
    pub fn from_environment() -> Result<Self> {
        Self::read(&|name| std::env::var(name).ok())
    }

    fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &str| {
            let usage =
                || Stop::usage(format!("{name} is not set; run this as deploy-env -- ship-run …"));
            get(name).with_context(usage)
        };
        // The rules for bundles, where there are none for copies.
        let keep = |rule: &str, default: u32| match ["SHIP_KEEP_", "BACKUP_KEEP_"]
            .iter()
            .find_map(|start| Some((format!("{start}{rule}"), get(&format!("{start}{rule}"))?)))
        {
            None => Ok(default),
            Some((name, text)) => {
                text.parse().map_err(|_| Stop::usage(format!("{name} is not a number")))
            }
        };
        let calendar = Calendar {
            daily: keep("DAILY", 0)?,
            weekly: keep("WEEKLY", 0)?,
            monthly: keep("MONTHLY", 0)?,
            yearly: keep("YEARLY", 0)?,
        };
        Ok(Self {
            deploy: required("PIPRIO_DEPLOY")?.into(),
            root: required("BACKUP_ROOT")?.into(),
            domain: get("PIPRIO_DOMAIN"),
            policy: Policy { keep_days: keep("DAYS", 30)?, keep_last: 1, calendar },
            recipients: get("SHIP_RECIPIENTS").map(|text| recipients(&text)),
            destinations: destinations(&get)?,
        })
    }

    /// Where the toolkit keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.deploy.join(".restore")
    }

    /// The record of what was copied where.
    pub fn record_file(&self) -> PathBuf {
        self.state_dir().join(shipments::FILE)
    }

    /// The record of the last removal.
    pub fn ages_file(&self) -> PathBuf {
        self.own_dir().join("retention.json")
    }

    fn own_dir(&self) -> PathBuf {
        self.state_dir().join("ship")
    }

    /// Takes the lock of runs that change copies. The directory that holds it is made if it is missing.
    ///
    /// # Errors
    /// [`Stop::refused`] if another run holds it.
    pub fn lock(&self) -> Result<Lock> {
        let dir = self.state_dir();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.with_context(|| format!("creating {}", dir.display()))?;
        lock::take_directory(&self.own_dir(), "another run of ship.sh")
    }

    /// The destinations.
    ///
    /// # Errors
    /// [`Stop::usage`] if there is none.
    pub fn destinations(&self) -> Result<&[Destination]> {
        match self.destinations.is_empty() {
            true => Err(Stop::usage("no destination is set; set SHIP_1 in .env").into()),
            false => Ok(&self.destinations),
        }
    }
}

/// The destinations that are set in the environment.
///
/// # Errors
/// [`Stop::usage`] for one that is wrong.
pub fn destinations(get: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Destination>> {
    let numbers = (1..=MOST).filter_map(|number| Some((number, get(&format!("SHIP_{number}"))?)));
    numbers.map(|(number, place)| destination(number, &place, get)).collect()
}

fn destination(
    number: u8,
    setting: &str,
    get: &dyn Fn(&str) -> Option<String>,
) -> Result<Destination> {
    let own = |suffix: &str| get(&format!("SHIP_{number}_{suffix}"));
    let days = own("RETAIN_DAYS").map(|days| {
        let wrong = || Stop::usage(format!("SHIP_{number}_RETAIN_DAYS is not a number of days"));
        days.parse::<u32>().map_err(|_| wrong())
    });
    let days = days.transpose()?;
    let place = match setting.strip_prefix("s3://") {
        Some(rest) => Place::Bucket(Bucket::new(rest, number, &own)),
        None if setting.contains(':') => {
            let why = "is neither s3://BUCKET[/PREFIX] nor a directory";
            return Err(Stop::usage(format!("SHIP_{number} {why}")).into());
        }
        None if days.is_some() => {
            let why = "a directory locks nothing; it is for s3://";
            return Err(Stop::usage(format!("SHIP_{number}_RETAIN_DAYS: {why}")).into());
        }
        None => Place::Directory(Directory::new(Path::new(setting))),
    };
    Ok(Destination { number, name: shipments::place(setting), place, retain_days: days })
}

fn recipients(text: &str) -> Recipients {
    match text.strip_prefix("gpg:") {
        Some(keys) => {
            let keys = keys.split([',', ' ']).filter(|key| !key.is_empty());
            Recipients::Gpg(keys.map(str::to_owned).collect())
        }
        None => Recipients::Age(text.into()),
    }
}

impl Destination {
    /// Until when a copy that is made now is locked.
    pub fn retain_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.retain_days.map(|days| now + TimeDelta::days(days.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings> {
        let common = [("PIPRIO_DEPLOY", "/d"), ("BACKUP_ROOT", "/r"), ("BACKUP_KEEP_DAYS", "7")];
        Settings::read(&|name| {
            let all = pairs.iter().chain(&common);
            all.into_iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn destinations_are_read_in_order_and_gaps_are_none() {
        let settings = read(&[("SHIP_3", "/copies"), ("SHIP_1", "s3://b/p")]).unwrap();
        let shown: Vec<_> = settings.destinations.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["SHIP_1 (s3://b/p)", "SHIP_3 (/copies)"]);
        assert_eq!(settings.policy.keep_days, 7);
        assert!(settings.policy.calendar.is_empty());
        let kept =
            [("BACKUP_KEEP_WEEKLY", "5"), ("BACKUP_KEEP_DAILY", "7"), ("SHIP_KEEP_DAILY", "0")];
        let calendar = read(&kept).unwrap().policy.calendar;
        assert_eq!(calendar, Calendar { weekly: 5, ..Calendar::default() });
        assert!(read(&[]).unwrap().destinations().is_err());
        for wrong in [
            &[("SHIP_1", "ftp://x")][..],
            &[("SHIP_1", "s3://b"), ("SHIP_1_RETAIN_DAYS", "x")],
            &[("SHIP_1", "/d"), ("SHIP_1_RETAIN_DAYS", "3")],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn recipients_are_a_file_or_keys_of_gpg() {
        assert_eq!(recipients("/b.pub"), Recipients::Age("/b.pub".into()));
        assert_eq!(recipients("gpg:A, B"), Recipients::Gpg(vec!["A".into(), "B".into()]));
    }
}
