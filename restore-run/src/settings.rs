//! The settings of this run. `deploy-env` has resolved them and passes them in the environment: every step
//! uses these, whatever a restored `.env` contains.

use anyhow::Result;
use pipe_kit::Stop;
use pipe_kit::mutex::lock;
use pipe_kit::tool::Tool;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Mutex;

/// What a restore needs to know of the deployment.
#[derive(Debug)]
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
    /// Why the storage is taken to be bundled or external.
    pub storage_reason: String,
    pub bucket: Option<String>,
    pub s3_endpoint: String,
    pub redis_url: String,
    pub database: String,
    /// Host and port, or how the server is reached without them; for the operator.
    pub database_at: String,
    /// Addresses that servers have got since the settings were resolved, as variables of the environment.
    addresses: Mutex<Vec<(String, String)>>,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

fn required(name: &str) -> Result<String> {
    variable(name).ok_or_else(|| {
        Stop::usage(format!("{name} is not set; run this as deploy-env -- restore-run …")).into()
    })
}

fn words(name: &str) -> Vec<String> {
    variable(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Stop::usage`] naming the variable that is missing.
    pub fn from_environment() -> Result<Self> {
        let port = variable("PGPORT").unwrap_or_else(|| "5432".into());
        Ok(Self {
            deploy: required("PIPRIO_DEPLOY")?.into(),
            domain: variable("PIPRIO_DOMAIN"),
            version: variable("PIPRIO_VERSION").unwrap_or_else(|| "unknown".into()),
            driver: required("PIPRIO_DRIVER")?.into(),
            stateful: words("STATEFUL_SERVICES"),
            bundled_storage: required("OBJECT_STORAGE")? == "bundled",
            storage_reason: variable("OBJECT_STORAGE_REASON").unwrap_or_default(),
            bucket: variable("S3_BUCKET"),
            s3_endpoint: variable("AWS_ENDPOINT_URL").unwrap_or_default(),
            redis_url: variable("REDIS_URL").unwrap_or_else(|| "redis://127.0.0.1:6379".into()),
            database: required("PGDATABASE")?,
            database_at: match (variable("PG_SNAP_EXEC"), variable("PGHOST")) {
                (Some(exec), _) => format!("through '{exec}'"),
                (None, Some(host)) => format!("{host}:{port}"),
                (None, None) => "local socket".into(),
            },
            addresses: Mutex::default(),
        })
    }

    /// One of the toolkit's programs, which finds the servers at their present addresses.
    pub fn tool(&self, program: impl AsRef<OsStr>) -> Tool {
        Tool::new(program).envs(lock(&self.addresses).iter().cloned())
    }

    /// A program that runs with the settings as they now are on the disk: `deploy-env … --afresh --`.
    pub fn resolved_again(&self) -> Tool {
        Tool::new("deploy-env").arg("--deploy").arg(&self.deploy).args(["--afresh", "--"])
    }

    /// From now on, every program finds the servers at these addresses.
    pub fn set_addresses(&self, addresses: Vec<(String, String)>) {
        let mut known = lock(&self.addresses);
        known.retain(|(name, _)| !addresses.iter().any(|(new, _)| new == name));
        known.extend(addresses);
    }

    /// A variable of the environment that programs get.
    pub fn variable(&self, name: &str) -> Option<String> {
        let addresses = lock(&self.addresses);
        let changed = addresses.iter().find(|(known, _)| known == name);
        changed.map(|(_, value)| value.clone()).or_else(|| variable(name))
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

    /// Where a restore goes to, without secrets.
    pub fn target(&self) -> String {
        format!(
            "database {} at {}, bucket {} at {}, cache {}",
            self.database,
            self.database_at,
            self.bucket.as_deref().unwrap_or("none"),
            self.s3_endpoint,
            self.redis_without_password()
        )
    }

    /// Where the toolkit keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.deploy.join(".restore")
    }

    /// Where the journal of an unfinished restore lies.
    pub fn journal(&self) -> PathBuf {
        self.state_dir().join("unfinished.json")
    }

    /// Where a load records what it puts in place, before it does.
    pub fn load_record(&self) -> PathBuf {
        self.state_dir().join("loaded.json")
    }

    /// The cache's address without its password.
    pub fn redis_without_password(&self) -> String {
        match url::Url::parse(&self.redis_url) {
            Ok(mut url) => {
                if url.password().is_some() {
                    let _ = url.set_password(Some("***"));
                }
                let database = url.query_pairs().find(|(name, _)| name == "db");
                let database = database.map(|(_, value)| format!("db={value}"));
                url.set_query(database.as_deref());
                url.to_string()
            }
            Err(_) => "REDIS_URL".into(),
        }
    }
}
