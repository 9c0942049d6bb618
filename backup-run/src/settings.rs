//! The settings of this run: those that `deploy-env` has resolved, and the options of the command line.

use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::path::PathBuf;

/// What a backup needs to know.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The deployment's directory.
    pub deploy: PathBuf,
    /// The directory that holds the bundles.
    pub root: PathBuf,
    pub domain: String,
    /// The bucket, where the deployment runs its own object storage.
    pub bucket: Option<String>,
    /// Why the deployment is taken to run its own object storage, or not to.
    pub storage_reason: String,
    /// The compression level of the dump, unless it is the default.
    pub level: Option<String>,
    /// Whether unchanged objects are hard links into an earlier bundle.
    pub link: bool,
    pub keep_days: String,
    /// What retention keeps beyond that, as options of `bundle-prune` with their numbers.
    pub keep_by_calendar: Vec<(&'static str, String)>,
    pub shrink_percent: String,
    /// Whether the bundle is copied to other places afterwards.
    pub ships: bool,
    /// Whether old copies are removed then.
    pub prunes_copies: bool,
    /// Run for a restore, under its lock of the deployment.
    pub safety_backup: bool,
    /// The root whose lock the restore holds, where it holds one.
    pub locked_root: Option<PathBuf>,
    /// Accept that this bundle holds far less than the one before.
    pub accept: bool,
    /// Accept that the root is no longer on a filesystem of its own.
    pub accept_root: bool,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> Result<String> {
    let usage =
        || Stop::usage(format!("{name} is not set; run this as deploy-env -- backup-run …"));
    variable(name).with_context(usage)
}

fn keep_by_calendar() -> Result<Vec<(&'static str, String)>> {
    let rules = [
        ("--keep-daily", "BACKUP_KEEP_DAILY"),
        ("--keep-weekly", "BACKUP_KEEP_WEEKLY"),
        ("--keep-monthly", "BACKUP_KEEP_MONTHLY"),
        ("--keep-yearly", "BACKUP_KEEP_YEARLY"),
    ];
    rules.into_iter().map(|(option, name)| Ok((option, required(name)?))).collect()
}

fn has_destination() -> bool {
    (1..=9).any(|number| variable(&format!("SHIP_{number}")).is_some())
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Stop::usage`] naming the variable that is missing.
    pub fn from_environment() -> Result<Self> {
        let is_bundled = required("OBJECT_STORAGE")? == "bundled";
        Ok(Self {
            deploy: required("PIPRIO_DEPLOY")?.into(),
            root: required("BACKUP_ROOT")?.into(),
            domain: variable("PIPRIO_DOMAIN").unwrap_or_default(),
            bucket: if is_bundled { Some(required("S3_BUCKET")?) } else { None },
            storage_reason: variable("OBJECT_STORAGE_REASON").unwrap_or_default(),
            level: variable("BACKUP_LEVEL").filter(|level| level != "default"),
            link: required("BACKUP_LINK")? == "yes",
            keep_days: required("BACKUP_KEEP_DAYS")?,
            keep_by_calendar: keep_by_calendar()?,
            shrink_percent: required("ALARM_SHRINK_PERCENT")?,
            ships: variable("BACKUP_SHIP").is_none_or(|text| text != "no") && has_destination(),
            prunes_copies: variable("SHIP_KEEP_DAYS").is_some(),
            safety_backup: false,
            locked_root: None,
            accept: false,
            accept_root: false,
        })
    }

    /// Where the toolkit keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.deploy.join(".restore")
    }
}
