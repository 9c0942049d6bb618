//! The settings of this run: those that `deploy-env` has resolved.

use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::path::PathBuf;
use std::time::Duration;

/// What a drill needs to know.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The deployment's directory.
    pub deploy: PathBuf,
    /// The directory that holds the bundles.
    pub root: PathBuf,
    pub domain: String,
    /// `DRILL_DIR`: where drills work.
    pub dir: PathBuf,
    /// `DRILL_USER`: who runs the private server, if root runs the drill.
    pub user: String,
    /// `DRILL_DATA_KEYS`: the secrets that the restored data needs.
    pub data_keys: Vec<String>,
    /// `DRILL_SKIP_SERVICES`: services that do not run in a drill.
    pub skip_services: Vec<String>,
    /// The goal of the recovery time, in seconds.
    pub rto_goal: Option<f64>,
    /// The goal of the data's age, in seconds.
    pub rpo_goal: Option<f64>,
    /// How long a whole drill may take.
    pub limit: Option<Duration>,
    /// Less than this percentage of what was there before is a finding.
    pub shrink_percent: u64,
    /// The service driver's program.
    pub driver: PathBuf,
    /// Where the wrappers were started from; drivers lie below it.
    pub scripts: Option<PathBuf>,
    /// The database's service, where the deployment has one.
    pub service: Option<String>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> Result<String> {
    let usage = || Stop::usage(format!("{name} is not set; run this as deploy-env -- drill-run …"));
    variable(name).with_context(usage)
}

fn words(name: &str) -> Vec<String> {
    variable(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Stop::usage`] naming the variable that is missing, or is no number.
    pub fn from_environment() -> Result<Self> {
        let root = PathBuf::from(required("BACKUP_ROOT")?);
        let percent = required("ALARM_SHRINK_PERCENT")?;
        Ok(Self {
            deploy: required("PIPRIO_DEPLOY")?.into(),
            domain: variable("PIPRIO_DOMAIN").unwrap_or_default(),
            dir: variable("DRILL_DIR").map_or_else(|| root.join(".drill"), PathBuf::from),
            root,
            user: required("DRILL_USER")?,
            data_keys: words("DRILL_DATA_KEYS"),
            skip_services: words("DRILL_SKIP_SERVICES"),
            rto_goal: goal("DRILL_RTO_GOAL_MINUTES", 60.0)?,
            rpo_goal: goal("DRILL_RPO_GOAL_HOURS", 3600.0)?,
            limit: limit(&required("DRILL_TIMEOUT_HOURS")?)?,
            shrink_percent: percent.parse().map_err(|_| not_a_number("ALARM_SHRINK_PERCENT"))?,
            driver: required("PIPRIO_DRIVER")?.into(),
            scripts: variable("PIPRIO_SCRIPTS").map(PathBuf::from),
            service: variable("POSTGRES_SERVICE"),
        })
    }

    /// Where the toolkit keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.deploy.join(".restore")
    }

    /// The operator's own checks.
    pub fn checks_dir(&self) -> PathBuf {
        self.deploy.join("drill.d")
    }
}

fn goal(name: &str, unit: f64) -> Result<Option<f64>> {
    let number = |text: String| text.parse::<u32>().map_err(|_| not_a_number(name));
    Ok(variable(name).map(number).transpose()?.map(|number| f64::from(number) * unit))
}

/// Of hours; none of 0.
fn limit(hours: &str) -> Result<Option<Duration>> {
    let hours = hours.parse::<f64>().ok();
    let limit = hours.and_then(|hours| Duration::try_from_secs_f64(hours * 3600.0).ok());
    let limit = limit.ok_or_else(|| not_a_number("DRILL_TIMEOUT_HOURS"))?;
    Ok(Some(limit).filter(|limit| !limit.is_zero()))
}

fn not_a_number(name: &str) -> Stop {
    Stop::usage(format!("{name} is not a number"))
}
