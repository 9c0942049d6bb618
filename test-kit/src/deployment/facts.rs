//! What was chosen for a deployment, kept outside what a test may wreck.

use super::settings::{DATABASE, Options};
use crate::object_storage::{ACCESS_KEY, SECRET_KEY};
use crate::process::free_port;
use crate::tools::own_program;
use crate::user::give_to_server_user;
use crate::{postgres, tools};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Ports, passwords, keys and places.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// Where the services keep their data: not in the deployment, since the server's user must be
    /// able to reach it.
    pub data: PathBuf,
    /// Where PostgreSQL's programs are.
    pub programs: PathBuf,
    /// The S3 server.
    pub s3_server: PathBuf,
    /// The app service.
    pub app_service: PathBuf,
    /// Whether the storage is another's.
    pub external_storage: bool,
    /// PostgreSQL's port.
    pub postgres_port: u16,
    /// The password of its superuser.
    pub postgres_password: String,
    /// The storage's port.
    pub s3_port: u16,
    /// Its access key.
    pub s3_access_key: String,
    /// Its secret key.
    pub s3_secret_key: String,
    /// The cache's port.
    pub redis_port: u16,
    /// Its password.
    pub redis_password: String,
    /// The port of `api`.
    pub api_port: u16,
    /// The port of `worker`.
    pub worker_port: u16,
}

/// The link from a deployment to its services' data.
const LINK: &str = ".data";
const FILE: &str = "facts.json";

impl Facts {
    pub(super) fn choose(options: &Options) -> Result<Self> {
        let data =
            tempfile::Builder::new().prefix("piprio-data-").tempdir().context("a directory")?;
        give_to_server_user(data.path())?;
        Ok(Self {
            programs: postgres::programs()?,
            s3_server: own_program("s3-server")?,
            app_service: own_program("app-service")?,
            external_storage: options.external_storage,
            postgres_port: free_port()?,
            postgres_password: postgres::PASSWORD.to_owned(),
            s3_port: free_port()?,
            s3_access_key: ACCESS_KEY.to_owned(),
            s3_secret_key: SECRET_KEY.to_owned(),
            redis_port: free_port()?,
            redis_password: "cache p@ss/word".to_owned(),
            api_port: free_port()?,
            worker_port: free_port()?,
            data: data.keep(),
        })
    }

    pub(super) fn save(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing the facts down")?;
        tools::write_private(&self.data.join(FILE), text.as_bytes())?;
        symlink(&self.data, dir.join(LINK)).context("linking the services' data")
    }

    pub(super) fn load(dir: &Path) -> Result<Self> {
        let not_ours = || format!("{} is no throwaway deployment", dir.display());
        let data = std::fs::read_link(dir.join(LINK)).with_context(not_ours)?;
        let text = std::fs::read(data.join(FILE)).with_context(not_ours)?;
        serde_json::from_slice(&text).with_context(not_ours)
    }

    /// `http://127.0.0.1:PORT` of the storage.
    #[must_use]
    pub fn s3_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port)
    }

    /// libpq's variables for the deployment's database as its superuser.
    #[must_use]
    pub fn postgres_env(&self) -> Vec<(String, String)> {
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.postgres_port.to_string()),
            ("PGUSER", postgres::USER.to_owned()),
            ("PGPASSWORD", self.postgres_password.clone()),
            ("PGDATABASE", DATABASE.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
