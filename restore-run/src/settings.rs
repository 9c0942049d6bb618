//! The settings of this run, resolved once by `deploy-env` and handed on in the environment: every
//! later step uses these, whatever a restored `.env` says.

use anyhow::Result;
use pipe_kit::Stop;
use std::path::PathBuf;

/// What a restore needs to know of the deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The deployment's directory.
    pub deploy: PathBuf,
    /// What must be typed.
    pub domain: Option<String>,
    pub version: String,
    /// The service driver's program.
    pub driver: PathBuf,
    /// Services that stay up.
    pub stateful: Vec<String>,
    /// Whether the deployment runs its own object storage.
    pub bundled_storage: bool,
    /// Why it is taken to do so, or not to.
    pub storage_reason: String,
    pub bucket: Option<String>,
    pub s3_endpoint: String,
    pub redis_url: String,
    pub database: String,
    /// Host and port, or how the server is reached without them; for people.
    pub database_at: String,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

fn needed(name: &str) -> Result<String> {
    variable(name).ok_or_else(|| {
        Stop::usage(format!("{name} is not set; run this as deploy-env -- restore-run …")).into()
    })
}

fn words(name: &str) -> Vec<String> {
    variable(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// [`Stop::usage`] naming the one that is missing.
    pub fn from_environment() -> Result<Self> {
        let port = variable("PGPORT").unwrap_or_else(|| "5432".into());
        Ok(Self {
            deploy: needed("PIPRIO_DEPLOY")?.into(),
            domain: variable("PIPRIO_DOMAIN"),
            version: variable("PIPRIO_VERSION").unwrap_or_else(|| "unknown".into()),
            driver: needed("PIPRIO_DRIVER")?.into(),
            stateful: words("STATEFUL_SERVICES"),
            bundled_storage: needed("OBJECT_STORAGE")? == "bundled",
            storage_reason: variable("OBJECT_STORAGE_REASON").unwrap_or_default(),
            bucket: variable("S3_BUCKET"),
            s3_endpoint: variable("AWS_ENDPOINT_URL").unwrap_or_default(),
            redis_url: variable("REDIS_URL").unwrap_or_else(|| "redis://127.0.0.1:6379".into()),
            database: needed("PGDATABASE")?,
            database_at: match (variable("PG_SNAP_EXEC"), variable("PGHOST")) {
                (Some(exec), _) => format!("through '{exec}'"),
                (None, Some(host)) => format!("{host}:{port}"),
                (None, None) => "local socket".into(),
            },
        })
    }

    /// The bucket as obj-mirror names it.
    ///
    /// # Errors
    /// [`Stop::usage`] if no bucket is set.
    pub fn bucket_url(&self) -> Result<String> {
        match &self.bucket {
            Some(bucket) => Ok(format!("s3://{bucket}")),
            None => Err(Stop::usage("S3_BUCKET is not set, but the storage is bundled").into()),
        }
    }

    /// Where the toolkit keeps what belongs to restores.
    pub fn state_dir(&self) -> PathBuf {
        self.deploy.join(".restore")
    }

    /// The cache's address without its password.
    pub fn redis_for_people(&self) -> String {
        match url::Url::parse(&self.redis_url) {
            Ok(mut url) => {
                if url.password().is_some() {
                    let _ = url.set_password(Some("***"));
                }
                url.set_query(None);
                url.to_string()
            }
            Err(_) => "REDIS_URL".into(),
        }
    }
}
