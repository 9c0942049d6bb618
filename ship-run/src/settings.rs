//! The settings of this run, as `deploy-env` has exported them.

mod destinations;

use crate::place::Destination;
use crate::recipients::Recipients;
use anyhow::{Context, Result};
use bundle_format::report::RunKind;
use bundle_format::retention::Calendar;
use bundle_format::retention::policy::Policy;
use bundle_format::shipments;
use chrono::{DateTime, TimeDelta, Utc};
use pipe_kit::lock::{self, Lock};
use pipe_kit::{Exit, Stop, info, status};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

pub use destinations::{Get, destinations};

/// How long a shipment may take where nothing is set, in hours.
const HOURS: &str = "24";

/// What a run needs to know.
pub struct Settings {
    pub deploy: PathBuf,
    pub root: PathBuf,
    pub domain: Option<String>,
    /// Which copies are kept; or what is wrong with that.
    policy: Result<Policy, String>,
    /// How long a shipment may take; or what is wrong with that.
    limit: Result<Option<Duration>, String>,
    pub recipients: Option<Recipients>,
    /// Whether this runs in a hook of a shipment, which holds the lock until the hook has ended.
    pub is_in_hook: bool,
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

    /// Reads these variables.
    ///
    /// # Errors
    /// [`Stop::usage`] for a setting that is missing.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
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
            limit: limit(&get("SHIP_TIMEOUT_HOURS").unwrap_or_else(|| HOURS.into())),
            recipients: get("SHIP_RECIPIENTS").map(|text| Recipients::parse(&text)),
            is_in_hook: get("PIPRIO_HOOK").is_some()
                && get("PIPRIO_RUN").is_some_and(|run| run == RunKind::Ship.word()),
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

    /// How long a shipment may take.
    ///
    /// # Errors
    /// [`Stop::usage`] if the setting is wrong.
    pub fn limit(&self) -> Result<Option<Duration>> {
        self.limit.clone().map_err(|why| Stop::usage(why).into())
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

    /// Takes that lock, and waits for whoever holds it, for at most `limit`; not at all in a hook of whoever holds it.
    ///
    /// # Errors
    /// If it is still held then.
    pub fn lock_within(&self, limit: Duration) -> Result<Lock> {
        match self.lock() {
            Err(error) if status::of(&error) == Exit::Refused && !self.is_in_hook => {
                let minutes = limit.as_secs().div_ceil(60);
                info!("waiting for another run of ship.sh, for at most {minutes} min …");
                lock::take_within(&self.own_dir().join("lock"), limit)
            }
            taken => taken,
        }
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

/// Of hours, also of a part of one; none of 0.
fn limit(hours: &str) -> Result<Option<Duration>, String> {
    const MOST: f64 = 8760.0;
    let hours = hours.parse::<f64>().ok().filter(|hours| (0.0..=MOST).contains(hours));
    let limit = hours.map(|hours| Duration::from_secs_f64(hours * 3600.0));
    let wrong = || format!("SHIP_TIMEOUT_HOURS must be a number from 0 to {MOST}");
    Ok(Some(limit.ok_or_else(wrong)?).filter(|limit| !limit.is_zero()))
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
    fn a_shipment_may_take_a_day_or_what_is_set() {
        let limit = |hours: &str| read(&[("SHIP_TIMEOUT_HOURS", hours)]).limit();
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(limit("").unwrap(), hours(24));
        assert_eq!(limit("36").unwrap(), hours(36));
        assert_eq!(limit("0.5").unwrap(), Some(Duration::from_secs(1800)));
        assert_eq!(limit("0").unwrap(), None);
        for wrong in ["-1", "8761", "NaN", "1h"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }
}
