//! The database, the cache and the storage that the application uses.

use super::sealed::Key;
use crate::s3::client::Client;
use crate::{postgres, redis};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use url::Url;

/// All three, and the key of the encrypted columns.
pub struct Parts {
    database: String,
    user: String,
    host: String,
    password: String,
    cache: Url,
    /// The object storage.
    pub storage: Client,
    /// The bucket with the documents.
    pub bucket: String,
    /// The key of encrypted columns.
    pub key: Key,
}

fn set(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

fn file(name: &str) -> Result<Vec<u8>> {
    let path = set(name)?;
    std::fs::read(&path).with_context(|| format!("{name}: reading {path}"))
}

fn secret(name: &str) -> Result<String> {
    Ok(String::from_utf8(file(name)?).with_context(|| name.to_owned())?.trim_end().to_owned())
}

impl Parts {
    /// As the container's environment sets it, secrets in files.
    ///
    /// # Errors
    /// If something is missing.
    pub fn from_env() -> Result<Self> {
        let (access, secret_key) = (secret("S3_ACCESS_KEY_FILE")?, secret("S3_SECRET_KEY_FILE")?);
        let authority = file("S3_AUTHORITY_FILE")?;
        Ok(Self {
            database: set("POSTGRES_DB")?,
            user: set("POSTGRES_USER")?,
            host: set("POSTGRES_HOST")?,
            password: secret("POSTGRES_PASSWORD_FILE")?,
            cache: Url::parse(&set("REDIS_URL")?).context("REDIS_URL")?,
            storage: Client::trusting(&authority, &set("S3_ENDPOINT")?, &access, &secret_key)?,
            bucket: set("S3_BUCKET")?,
            key: Key::new(&file("CREDENTIAL_ENCRYPTION_KEY_FILE")?)?,
        })
    }

    /// Runs SQL; `:'NAME'` in it is the value given.
    ///
    /// # Errors
    /// If it fails.
    pub fn sql(&self, sql: &str, values: &[(&str, &str)]) -> Result<String> {
        let mut psql = Command::new("psql");
        psql.env("PGHOST", &self.host).env("PGUSER", &self.user);
        psql.env("PGPASSWORD", &self.password).env("PGCONNECT_TIMEOUT", "2");
        let values: Vec<String> = values.iter().map(|(name, v)| format!("{name}={v}")).collect();
        postgres::psql(psql, &self.database, &values, sql)
    }

    /// Runs a command of the cache.
    ///
    /// # Errors
    /// If it fails.
    pub fn cache(&self, words: &[&str]) -> Result<String> {
        let host = self.cache.host_str().context("REDIS_URL has no host")?;
        let number = self.cache.path().trim_start_matches('/').parse().unwrap_or(0);
        let address = (host, self.cache.port().unwrap_or(6379));
        redis::command_at(address, self.cache.password(), number, words)
    }

    /// Whether all three are there.
    ///
    /// # Errors
    /// Naming the first that is not.
    pub fn check(&self) -> Result<()> {
        self.sql("select 1", &[]).context("the database is away")?;
        self.cache(&["PING"]).context("the cache is away")?;
        let answer = self.storage.request("HEAD", (&self.bucket, ""), &[], &[], b"");
        let status = answer.context("the storage is away")?.status;
        ensure!(status == 200, "the storage answers {status}");
        Ok(())
    }
}
