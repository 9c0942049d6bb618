//! A deployment's state as a text, for proofs that it is the same.

use super::Deployment;
use super::settings::{BUCKET, DATABASE};
use crate::postgres::canonical;
use crate::s3::client::{Answer, Client};
use crate::s3::object::hex;
use anyhow::{Context, Result};
use pipe_kit::child;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use walkdir::WalkDir;

/// What config archives hold.
const CONFIG: [&str; 3] = [".env", "secrets", "certs"];
/// The headers of an object, beside `x-amz-meta-*`. When it was written is not: a restore writes it.
const HEADERS: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

impl Deployment {
    /// Everything that a backup must bring back, as a text that is equal where the state is: the
    /// database's dump, every object with hash and headers, every config file with mode and hash.
    ///
    /// # Errors
    /// If database or storage do not answer.
    pub fn state(&self) -> Result<String> {
        let mut dump = self.postgres_client("pg_dump");
        dump.args(["--create", "-d", DATABASE]);
        let dump = canonical(&child::capture(&mut dump, "pg_dump")?)?;
        let objects = objects(&self.s3(), BUCKET)?;
        let config = config(self.dir())?;
        Ok(format!("## database\n{dump}\n## objects\n{objects}\n## config\n{config}"))
    }
}

/// One line an object: key, size in bytes, hash, headers, tags.
fn objects(client: &Client, bucket: &str) -> Result<String> {
    let mut text = String::new();
    for key in client.list(bucket, "")? {
        let object = client.get((bucket, &key)).with_context(|| format!("object {key:?}"))?;
        let hash = hex(&Sha256::digest(&object.body));
        write!(text, "{key:?} {} {hash}{}", object.body.len(), headers(&object))?;
        for tag in client.tags((bucket, &key))? {
            write!(text, " tag:{tag:?}")?;
        }
        text.push('\n');
    }
    Ok(text)
}

fn headers(object: &Answer) -> String {
    let report = |name: &str| HEADERS.contains(&name) || name.starts_with("x-amz-meta-");
    let mut headers: Vec<_> = object.headers.iter().filter(|(name, _)| report(name)).collect();
    headers.sort();
    headers.iter().map(|(name, value)| format!(" {name}:{value:?}")).collect()
}

/// One line a file: mode, hash, path; a link with what it points to. Files that a restore keeps
/// beside what it replaced are left out.
fn config(dir: &Path) -> Result<String> {
    let mut text = String::new();
    for root in CONFIG.iter().filter(|root| dir.join(root).exists()) {
        for entry in WalkDir::new(dir.join(root)).sort_by_file_name() {
            let entry = entry.context("reading the configuration")?;
            let path = entry.path().strip_prefix(dir).unwrap_or(entry.path()).display().to_string();
            if path.contains(".before-") {
                continue;
            }
            let metadata = entry.metadata().context("reading the configuration")?;
            let mode = metadata.permissions().mode() & 0o7777;
            let what = if entry.path_is_symlink() {
                format!("link to {}", std::fs::read_link(entry.path())?.display())
            } else if metadata.is_dir() {
                format!("{mode:04o} directory")
            } else {
                format!("{mode:04o} {}", hex(&Sha256::digest(std::fs::read(entry.path())?)))
            };
            writeln!(text, "{what} {path}")?;
        }
    }
    Ok(text)
}
