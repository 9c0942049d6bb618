//! What is to be probed, as the resolved environment says.

use anyhow::{Context, Result, bail};
use redis::IntoConnectionInfo;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The part of the resolved environment that a health check needs.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The service driver's program.
    pub driver: PathBuf,
    /// The cache's URL.
    pub redis_url: String,
    /// Readiness probes: service and URL.
    pub readiness: Vec<(String, String)>,
    /// The bucket of the deployment's own storage; nothing where it has none of its own.
    pub storage: Option<Storage>,
    /// Directories whose filesystems are watched, and what they are.
    pub disks: Vec<(&'static str, PathBuf)>,
    /// Where endpoints are dialled whose hosts mean nothing here: `host:port` to `address:port`.
    pub resolve: BTreeMap<String, String>,
    /// Values that must not be shown.
    pub secrets: Vec<String>,
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
    ///
    /// # Errors
    /// If a variable that deploy-env always sets is missing.
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
        Ok(Self {
            driver: need("PIPRIO_DRIVER")?.into(),
            redis_url,
            readiness: readiness(&get("READINESS_URLS").unwrap_or_default())?,
            storage,
            disks: vec![
                ("deployment", need("PIPRIO_DEPLOY")?.into()),
                ("backups", need("BACKUP_ROOT")?.into()),
            ],
            resolve: resolve(&get("PIPRIO_RESOLVE").unwrap_or_default()),
            secrets,
        })
    }
}

/// A URL's password as it is written there and as it is meant.
fn passwords_of(url: &str) -> Vec<String> {
    let written = url::Url::parse(url).ok().and_then(|u| u.password().map(str::to_owned));
    let meant = url.into_connection_info().ok();
    let meant = meant.and_then(|info| info.redis_settings().password().map(str::to_owned));
    written.into_iter().chain(meant).collect()
}

fn readiness(text: &str) -> Result<Vec<(String, String)>> {
    let pair = |word: &str| match word.split_once('=') {
        Some((service, url)) => Ok((service.to_owned(), url.to_owned())),
        None => bail!("READINESS_URLS is not of the form SERVICE=URL SERVICE=URL"),
    };
    text.split_whitespace().map(pair).collect()
}

/// `host:port:address:port`, where an address of six numbers stands in brackets.
fn resolve(text: &str) -> BTreeMap<String, String> {
    let entry = |word: &str| {
        let host_end = match word.starts_with('[') {
            true => word.find(']')? + 1,
            false => word.find(':')?,
        };
        let port_end = host_end + 1 + word.get(host_end + 1..)?.find(':')?;
        Some((word[..port_end].to_owned(), word[port_end + 1..].to_owned()))
    };
    text.split_whitespace().filter_map(entry).collect()
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
            "READINESS_URLS" => "api=http://a/ready?x=y web=http://w/",
            "PIPRIO_RESOLVE" => "minio:9000:172.18.0.2:9000 redis:6379:[fd00::2]:6379",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn the_resolved_environment_says_what_to_probe() {
        let settings = Settings::read(environment).unwrap();
        assert_eq!(settings.storage.unwrap().bucket.unwrap(), "documents");
        assert_eq!(settings.readiness[0], ("api".into(), "http://a/ready?x=y".into()));
        assert_eq!(settings.resolve["minio:9000"], "172.18.0.2:9000");
        assert_eq!(settings.resolve["redis:6379"], "[fd00::2]:6379");
        assert_eq!(settings.secrets, ["hunter%2F2", "hunter/2"]);
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
    fn a_missing_variable_is_named() {
        let error = Settings::read(|name| environment(name).filter(|_| name != "PIPRIO_DRIVER"));
        assert!(error.unwrap_err().to_string().contains("PIPRIO_DRIVER"));
    }
}
