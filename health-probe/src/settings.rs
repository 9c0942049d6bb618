//! What is probed, by the resolved environment.

use anyhow::{Context, Result, anyhow, bail};
use bundle_format::shipments;
use pipe_kit::Stop;
use pipe_kit::address::Addresses;
use redis_link::{Files, Server};
use std::path::PathBuf;
use std::time::Duration;

/// The part of the resolved environment that a health check needs.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The service driver's program.
    pub driver: PathBuf,
    /// The cache's URL.
    pub redis_url: String,
    /// The certificates of a cache over TLS.
    pub redis_files: Files,
    /// Readiness probes: service and URL.
    pub readiness: Vec<(String, String)>,
    /// The bucket of the deployment's own object storage; `None` where it has none.
    pub storage: Option<Storage>,
    /// Directories whose filesystems are watched, each with its name in the report.
    pub disks: Vec<(&'static str, PathBuf)>,
    /// Addresses of endpoints whose hosts do not resolve here.
    pub resolve: Addresses,
    /// The directory that holds the bundles.
    pub backups: PathBuf,
    /// The directory of the reports of drills.
    pub drills: PathBuf,
    /// The directory of the toolkit's state.
    pub state_dir: PathBuf,
    /// Where bundles are copied to.
    pub places: Vec<String>,
    /// The deployment's domain, where one is set. Bundles of other deployments do not count.
    pub domain: Option<String>,
    /// How long one probe may take, unless the command line sets it.
    pub timeout: Duration,
    /// Limits beyond which a part that works is reported as a warning.
    pub limits: Limits,
    /// Values that must not be shown.
    pub secrets: Vec<String>,
}

/// The limits of a healthy deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The longest that a good answer takes.
    pub latency: Duration,
    /// The least that is free on a filesystem, in bytes.
    pub free: u64,
    /// The greatest age of the newest bundle; `None` where no bundle is expected.
    pub bundle_age: Option<Duration>,
    /// The greatest age of the newest drill that passed; `None` where no drill is expected.
    pub drill_age: Option<Duration>,
    /// The greatest age of the newest bundle that each destination has; `None` where none is expected.
    pub ship_age: Option<Duration>,
}

/// The deployment's own object storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// The bucket, where one is set.
    pub bucket: Option<String>,
    /// The endpoint's URL.
    pub endpoint: Option<String>,
}

impl Settings {
    /// Reads the process environment.
    pub fn from_environment() -> Result<Self> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let need = |name: &str| {
            get(name).with_context(|| {
                format!(
                    "{name} is not set, though PIPRIO_RESOLVED is: run deploy-env -- health-probe"
                )
            })
        };
        let number = |name: &str| -> Result<u64> {
            let text = need(name)?;
            text.parse().map_err(|_| anyhow!(Stop::usage(format!("{name} is not a number"))))
        };
        let storage = match need("OBJECT_STORAGE")?.as_str() {
            "bundled" => {
                Some(Storage { bucket: get("S3_BUCKET"), endpoint: get("AWS_ENDPOINT_URL") })
            }
            _ => None,
        };
        let redis_url = need("REDIS_URL")?;
        let names = ["PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        let mut secrets: Vec<String> = names.iter().filter_map(|name| get(name)).collect();
        secrets.extend(passwords_of(&redis_url));
        let readiness = readiness(&get("READINESS_URLS").unwrap_or_default())?;
        secrets.extend(readiness.iter().flat_map(|(_, url)| secrets_of(url)));
        let backups: PathBuf = need("BACKUP_ROOT")?.into();
        let hours = number("HEALTH_MAX_BUNDLE_AGE_HOURS")?;
        let days = number("HEALTH_MAX_DRILL_AGE_DAYS")?;
        let ship_hours = number("HEALTH_MAX_SHIP_AGE_HOURS")?;
        let deploy: PathBuf = need("PIPRIO_DEPLOY")?.into();
        let place = |number| {
            let endpoint = get(&format!("SHIP_{number}_ENDPOINT"));
            Some(shipments::place(&get(&format!("SHIP_{number}"))?, endpoint.as_deref()))
        };
        Ok(Self {
            driver: need("PIPRIO_DRIVER")?.into(),
            redis_url,
            redis_files: Files::of(&get),
            readiness,
            storage,
            disks: vec![("deployment", deploy.clone()), ("backups", backups.clone())],
            backups,
            drills: deploy.join(".drills"),
            state_dir: deploy.join(".restore"),
            places: (1..=9).filter_map(place).collect(),
            domain: get("PIPRIO_DOMAIN"),
            timeout: Duration::from_secs(number("HEALTH_TIMEOUT_SECONDS")?),
            limits: Limits {
                latency: Duration::from_millis(number("HEALTH_MAX_LATENCY_MS")?),
                free: number("HEALTH_MIN_FREE_MIB")?.saturating_mul(1 << 20),
                bundle_age: (hours > 0).then(|| Duration::from_secs(hours.saturating_mul(3600))),
                drill_age: (days > 0).then(|| Duration::from_secs(days.saturating_mul(86_400))),
                ship_age: (ship_hours > 0)
                    .then(|| Duration::from_secs(ship_hours.saturating_mul(3600))),
            },
            resolve: Addresses::parse(&get("PIPRIO_RESOLVE").unwrap_or_default())?,
            secrets,
        })
    }
}

/// A URL's password, as written in the URL and decoded.
fn passwords_of(url: &str) -> Vec<String> {
    let written = url::Url::parse(url).ok().and_then(|u| u.password().map(str::to_owned));
    let server = Server::parse(url).ok();
    let decoded = server.and_then(|server| server.password().map(str::to_owned));
    written.into_iter().chain(decoded).collect()
}

/// The parts of a readiness URL that may be secret.
fn secrets_of(url: &str) -> Vec<String> {
    let Ok(url) = url::Url::parse(url) else { return Vec::new() };
    [url.password(), url.query()].into_iter().flatten().map(str::to_owned).collect()
}

fn readiness(text: &str) -> Result<Vec<(String, String)>> {
    let pair = |word: &str| match word.split_once('=') {
        Some((service, url)) => Ok((service.to_owned(), url.to_owned())),
        None => bail!("READINESS_URLS is not of the form SERVICE=URL SERVICE=URL"),
    };
    text.split_whitespace().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "OBJECT_STORAGE" => "bundled",
            "S3_BUCKET" => "documents",
            "REDIS_URL" => "redis://:hunter%2F2@redis:6379",
            "PIPRIO_DRIVER" => "/d/process",
            "PIPRIO_DEPLOY" => "/deploy",
            "BACKUP_ROOT" => "/backups",
            "HEALTH_TIMEOUT_SECONDS" => "5",
            "HEALTH_MAX_LATENCY_MS" => "2000",
            "HEALTH_MIN_FREE_MIB" => "1024",
            "HEALTH_MAX_BUNDLE_AGE_HOURS" => "26",
            "HEALTH_MAX_DRILL_AGE_DAYS" => "8",
            "HEALTH_MAX_SHIP_AGE_HOURS" => "36",
            "SHIP_1" => "s3://offsite/h/",
            "SHIP_3" => "restic:rest:https://u:pw@h/r",
            "READINESS_URLS" => "api=http://u:s3cret@a/ready?x=y web=http://w/",
            "PIPRIO_RESOLVE" => "minio:9000:172.18.0.2:9000 redis:6379:[fd00::2]:6379",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn the_resolved_environment_decides_what_is_probed() {
        let settings = Settings::read(environment).unwrap();
        assert_eq!(settings.storage.unwrap().bucket.unwrap(), "documents");
        assert_eq!(settings.readiness[0], ("api".into(), "http://u:s3cret@a/ready?x=y".into()));
        assert_eq!(settings.resolve.find("minio", 9000), Some(("172.18.0.2", 9000)));
        assert_eq!(settings.resolve.find("redis", 6379), Some(("fd00::2", 6379)));
        assert_eq!(settings.secrets, ["hunter%2F2", "hunter/2", "s3cret", "x=y"]);
        let bundle_age = Some(Duration::from_secs(26 * 3600));
        let latency = Duration::from_secs(2);
        let drill_age = Some(Duration::from_secs(8 * 86_400));
        let ship_age = Some(Duration::from_secs(36 * 3600));
        let limits = Limits { latency, free: 1 << 30, bundle_age, drill_age, ship_age };
        assert_eq!(settings.limits, limits);
        assert_eq!(settings.places, ["s3://offsite/h", "restic:rest:https://h/r"]);
    }

    #[test]
    fn an_external_storage_is_not_ours_to_probe() {
        let external = |name: &str| match name {
            "OBJECT_STORAGE" => Some("external".to_owned()),
            _ => environment(name),
        };
        assert_eq!(Settings::read(external).unwrap().storage, None);
    }

    #[test]
    fn no_hours_and_days_mean_that_no_bundle_and_no_drill_is_expected() {
        let none = |name: &str| match name {
            "HEALTH_MAX_BUNDLE_AGE_HOURS"
            | "HEALTH_MAX_DRILL_AGE_DAYS"
            | "HEALTH_MAX_SHIP_AGE_HOURS" => Some("0".to_owned()),
            _ => environment(name),
        };
        let limits = Settings::read(none).unwrap().limits;
        assert_eq!((limits.bundle_age, limits.drill_age, limits.ship_age), (None, None, None));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Settings::read(|name| environment(name).filter(|_| name != "PIPRIO_DRIVER"));
        assert!(error.unwrap_err().to_string().contains("PIPRIO_DRIVER"));
    }
}
