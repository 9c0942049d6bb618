//! A Garage server of one's own: an S3 server that was written by others.

use crate::process::{ATTEMPTS, Server, free_port, wait_until};
use anyhow::{Context, Result, ensure};
use pipe_kit::child;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const ACCESS_KEY: &str = "GK000102030405060708090a0b";
/// Of it, the server has so much for itself.
const CAPACITY: &str = "4G";

/// A running server with one bucket. Dropped, it is gone, with what it held.
#[derive(Debug)]
pub struct Garage {
    // Before the directory: the server ends first.
    server: Server,
    port: u16,
    secret_key: String,
    dir: TempDir,
}

impl Garage {
    /// A server with an empty bucket.
    ///
    /// # Errors
    /// Why it cannot be had here: its program is not on PATH, or does not start.
    pub fn start(bucket: &str) -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = std::env::split_paths(&path).any(|dir| dir.join("garage").is_file());
        ensure!(is_there, "garage is not on PATH (cargo install garage --locked)");
        let mut result = Self::attempt();
        for _ in 1..ATTEMPTS {
            if result.is_ok() {
                break;
            }
            result = Self::attempt();
        }
        let garage = result?;
        garage.set_up(bucket)?;
        Ok(garage)
    }

    fn attempt() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("garage-").tempdir().context("a directory")?;
        let (port, rpc) = (free_port()?, free_port()?);
        let text = format!(
            "metadata_dir = \"{0}/meta\"\ndata_dir = \"{0}/data\"\nreplication_factor = 1\n\
             rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
             rpc_secret = \"{1}\"\n[s3_api]\ns3_region = \"garage\"\n\
             api_bind_addr = \"127.0.0.1:{port}\"\n",
            dir.path().display(),
            secret()
        );
        let config = config(dir.path());
        std::fs::write(&config, text).context("writing garage.toml")?;
        let mut command = Command::new("garage");
        command.arg("-c").arg(&config).arg("server").env("RUST_LOG", "error");
        let mut server = Server::spawn(&mut command, &dir.path().join("log"))?;
        wait_until("Garage to start", || {
            ensure!(server.ended()?.is_none(), "Garage does not start: {}", server.log());
            Ok(ask(dir.path(), &["status"]).is_ok())
        })?;
        Ok(Self { server, port, secret_key: secret(), dir })
    }

    /// Gives the server its only disk, a key and a bucket.
    fn set_up(&self, bucket: &str) -> Result<()> {
        let ask = |arguments: &[&str]| ask(self.dir.path(), arguments);
        let node = ask(&["node", "id", "-q"])?;
        let node = node.split('@').next().unwrap_or_default().trim();
        ask(&["layout", "assign", "-z", "here", "-c", CAPACITY, node])?;
        ask(&["layout", "apply", "--version", "1"])?;
        ask(&["key", "import", "--yes", ACCESS_KEY, &self.secret_key])?;
        ask(&["bucket", "create", bucket])?;
        ask(&["bucket", "allow", "--read", "--write", "--owner", bucket, "--key", ACCESS_KEY])?;
        Ok(())
    }

    /// The variables that the tools read: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_REGION", "garage".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }
}

fn config(dir: &Path) -> PathBuf {
    dir.join("garage.toml")
}

fn ask(dir: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("garage");
    command.arg("-c").arg(config(dir)).args(arguments).env("RUST_LOG", "error");
    child::capture(&mut command, format!("garage {}", arguments[0]))
}

/// 64 hexadecimal digits.
fn secret() -> String {
    (0..32).map(|_| format!("{:02x}", fastrand::u8(..))).collect()
}
