//! An S3 server of one's own, as a process.

use crate::process::{Server, wait_until};
use crate::s3::client::Client;
use crate::s3::faults::Fault;
use crate::tools::own_program;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The access key of every throwaway server.
pub const ACCESS_KEY: &str = "AKTESTACCESSKEY";
/// Its secret key.
pub const SECRET_KEY: &str = "test/secret+key=with/signs";

/// A running server with one bucket. Dropped, it is gone, with what it held.
#[derive(Debug)]
pub struct S3 {
    // Before the directory: the server ends first.
    server: Server,
    address: String,
    bucket: String,
    _dir: TempDir,
}

impl S3 {
    /// A server with an empty bucket.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(bucket: &str) -> Result<Self> {
        Self::start_with(bucket, &[])
    }

    /// The same over TLS, with a certificate and its key in PEM files; the client of the tests does not
    /// speak to it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_over_tls(bucket: &str, certificate: &Path, key: &Path) -> Result<Self> {
        let options = ["--tls-certificate".as_ref(), certificate.as_os_str()];
        Self::start_with(bucket, &[&options[..], &["--tls-key".as_ref(), key.as_os_str()]].concat())
    }

    /// A server that takes headers' values as bytes and gives them back as they came.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_taking_octets(bucket: &str) -> Result<Self> {
        Self::start_with(bucket, &["--octets".as_ref()])
    }

    /// A server that refuses uploads without a checksum.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_demanding_checksums(bucket: &str) -> Result<Self> {
        Self::start_with(bucket, &["--demand-md5".as_ref()])
    }

    /// A server whose bucket has Object Lock.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_locking(bucket: &str) -> Result<Self> {
        Self::start_with(bucket, &["--object-lock".as_ref()])
    }

    /// The same, but for objects that are uploaded in parts: they are locked only by a request of its own.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_losing_locks_of_parts(bucket: &str) -> Result<Self> {
        Self::start_with(bucket, &["--object-lock".as_ref(), "--lose-locks-of-parts".as_ref()])
    }

    /// A server that accepts a lock, and shows none.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_hiding_locks(bucket: &str) -> Result<Self> {
        Self::start_with(bucket, &["--object-lock".as_ref(), "--hide-locks".as_ref()])
    }

    /// A server that does not understand `x-amz-checksum-*`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_refusing_checksums(bucket: &str) -> Result<Self> {
        Self::start_with(bucket, &["--refuse-checksums".as_ref()])
    }

    fn start_with(bucket: &str, options: &[&OsStr]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("s3-").tempdir().context("a directory")?;
        let mut command = Command::new(own_program("s3-server")?);
        command.args(["--listen", "127.0.0.1:0", "--bucket", bucket]).args(options);
        command.env("S3_ACCESS_KEY", ACCESS_KEY).env("S3_SECRET_KEY", SECRET_KEY);
        let mut server = Server::spawn(&mut command, &dir.path().join("log"))?;
        let mut address = None;
        wait_until("the S3 server to start", || {
            ensure!(server.ended()?.is_none(), "the S3 server does not start: {}", server.log());
            let message = server.log();
            address =
                message.lines().find_map(|l| l.strip_prefix("listening on ")).map(str::to_owned);
            Ok(message.ends_with('\n') && address.is_some())
        })?;
        let Some(address) = address else { bail!("the S3 server does not print its address") };
        Ok(Self { server, address, bucket: bucket.to_owned(), _dir: dir })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bucket it was started with.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The variables that the tools read: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// A client with the right keys.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.endpoint(), ACCESS_KEY, SECRET_KEY)
    }

    /// Stores an object in the bucket, with headers.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn put(&self, key: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
        self.client().put((&self.bucket, key), headers, body)
    }

    /// The server's counters (see [`crate::s3::stats::Stats::to_json`]).
    ///
    /// # Errors
    /// If it does not answer.
    pub fn stats(&self) -> Result<serde_json::Value> {
        let url = format!("{}/_stats", self.endpoint());
        let text = ureq::get(url).call().and_then(|mut a| a.body_mut().read_to_string());
        serde_json::from_str(&text.context("asking for the counters")?).context("the counters")
    }

    /// How often an operation was asked for, by S3's name.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn count(&self, operation: &str) -> Result<u64> {
        Ok(self.stats()?["operations"][operation].as_u64().unwrap_or(0))
    }

    /// Asks it to do something wrong.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn fault(&self, fault: &Fault) -> Result<()> {
        fault.ask(&self.endpoint())
    }

    /// Ends it at once; connections break.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill_hard(&mut self) -> Result<()> {
        self.server.end(Signal::KILL)
    }
}
