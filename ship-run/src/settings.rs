//! The settings of this run, as `deploy-env` has exported them.

mod destinations;

use crate::place::Destination;
use anyhow::{Context, Result};
use bundle_format::retention::Calendar;
use bundle_format::retention::policy::Policy;
use bundle_format::shipments;
use chrono::{DateTime, TimeDelta, Utc};
use pipe_kit::Stop;
use pipe_kit::lock::{self, Lock};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

pub use destinations::{Get, destinations};

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
    /// Which copies are kept; or what is wrong with that.
    policy: Result<Policy, String>,
    pub recipients: Option<Recipients>,
    pub destinations: Vec<Destination>,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Stop::usage`] for a setting that is missing.
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
        let deploy: PathBuf = required("PIPRIO_DEPLOY")?.into();
        Ok(Self {
            root: required("BACKUP_ROOT")?.into(),
            domain: get("PIPRIO_DOMAIN"),
            policy: policy(&get),
            recipients: get("SHIP_RECIPIENTS").map(|text| recipients(&text)),
            destinations: destinations(&get, &deploy),
            deploy,
        })
    }

    /// Which copies are kept.
    ///
    /// # Errors
    /// [`Stop::usage`] if a setting of it is wrong.
    pub fn policy(&self) -> Result<Policy> {
        self.policy.clone().map_err(|why| Stop::usage(why).into())
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

/// The rules for bundles, where there are none for copies.
fn policy(get: &Get) -> Result<Policy, String> {
    let keep = |rule: &str, default: u32| {
        let names = ["SHIP_KEEP_", "BACKUP_KEEP_"].map(|start| format!("{start}{rule}"));
        let Some((name, text)) = names.iter().find_map(|name| Some((name, get(name)?))) else {
            return Ok(default);
        };
        let least = u32::from(rule == "DAYS");
        let number = text.parse().ok().filter(|number| *number >= least);
        number.ok_or_else(|| format!("{name} must be a whole number, {least} or more"))
    };
    let calendar = Calendar {
        daily: keep("DAILY", 0)?,
        weekly: keep("WEEKLY", 0)?,
        monthly: keep("MONTHLY", 0)?,
        yearly: keep("YEARLY", 0)?,
    };
    Ok(Policy { keep_days: keep("DAYS", 30)?, keep_last: 1, calendar })
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

    fn read(pairs: &[(&str, &str)]) -> Settings {
        let common = [("PIPRIO_DEPLOY", "/d"), ("BACKUP_ROOT", "/r"), ("BACKUP_KEEP_DAYS", "7")];
        let variable = |name: &str| {
            let all = pairs.iter().chain(&common);
            all.into_iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        };
        Settings::read(&variable).unwrap()
    }

    #[test]
    fn the_rules_for_bundles_hold_where_there_are_none_for_copies() {
        let policy = read(&[]).policy().unwrap();
        assert!(policy.keep_days == 7 && policy.calendar.is_empty());
        let kept =
            [("BACKUP_KEEP_WEEKLY", "5"), ("BACKUP_KEEP_DAILY", "7"), ("SHIP_KEEP_DAILY", "0")];
        let calendar = read(&kept).policy().unwrap().calendar;
        assert_eq!(calendar, Calendar { weekly: 5, ..Calendar::default() });
        // What is wrong with them concerns removal alone.
        for wrong in [("SHIP_KEEP_DAYS", "0"), ("SHIP_KEEP_YEARLY", "x")] {
            let error = read(&[wrong, ("SHIP_1", "/copies")]).policy().unwrap_err();
            assert!(error.to_string().starts_with(wrong.0), "{error}");
        }
        assert!(read(&[]).destinations().is_err());
    }

    #[test]
    fn recipients_are_a_file_or_keys_of_gpg() {
        assert_eq!(recipients("/b.pub"), Recipients::Age("/b.pub".into()));
        assert_eq!(recipients("gpg:A, B"), Recipients::Gpg(vec!["A".into(), "B".into()]));
    }
}
