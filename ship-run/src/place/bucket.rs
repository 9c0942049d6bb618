//! A bucket, or a folder of it, by way of `obj-mirror`.

use crate::place::directory::too_large;
use crate::place::remote_file::RemoteFile;
use anyhow::{Context, Result};
use bundle_format::name::PREFIX;
use bundle_format::report::{BucketObject, BucketObjects};
use pipe_kit::child::{self, Finished, Running};
use pipe_kit::progress::Bar;
use pipe_kit::text::hex;
use pipe_kit::{Exit, Stop};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{Read, Write};
use std::ops::Range;
use std::process::{Command, Stdio};

const PROGRAM: &str = "obj-mirror";
/// Variables that steer `obj-mirror`, and may be of another storage here.
/// They are the operator's, and a new host has no others.
pub const VARIABLES: [&str; 16] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_CA_BUNDLE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "S3_FORCE_PATH_STYLE",
    "PIPRIO_RESOLVE",
];

/// A bucket, and how it is reached.
pub struct Bucket {
    bucket: String,
    /// Empty, or ends in `/`.
    prefix: String,
    access: Access,
    max_rate: Option<String>,
    retain_mode: Option<String>,
}

/// Where the settings of the storage come from.
enum Access {
    /// Settings of a destination: variables, and those whose values are read from files when they are needed.
    Own { number: u8, variables: Vec<(&'static str, String)>, files: Vec<(&'static str, String)> },
    /// The environment as it is.
    Environment,
}

impl Bucket {
    /// A destination; `rest` is what follows `s3://`, `own` looks a setting of the destination up.
    pub fn new(rest: &str, number: u8, own: &dyn Fn(&str) -> Option<String>) -> Self {
        const PLAIN: [(&str, &str); 7] = [
            ("FORCE_PATH_STYLE", "S3_FORCE_PATH_STYLE"),
            ("ENDPOINT", "AWS_ENDPOINT_URL"),
            ("REGION", "AWS_REGION"),
            ("CA_BUNDLE", "AWS_CA_BUNDLE"),
            ("PROFILE", "AWS_PROFILE"),
            ("ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            ("SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
        ];
        const FILES: [(&str, &str); 2] = [
            ("ACCESS_KEY_FILE", "AWS_ACCESS_KEY_ID"),
            ("SECRET_KEY_FILE", "AWS_SECRET_ACCESS_KEY"),
        ];
        let take = |(suffix, name): (&str, &'static str)| Some((name, own(suffix)?));
        let access = Access::Own {
            number,
            variables: PLAIN.into_iter().filter_map(take).collect(),
            files: FILES.into_iter().filter_map(take).collect(),
        };
        let (max_rate, retain_mode) = (own("MAX_RATE"), own("RETAIN_MODE"));
        let (bucket, prefix) = split(rest);
        Self { bucket, prefix, access, max_rate, retain_mode }
    }

    /// A bucket with the settings of the environment.
    pub fn of_environment(rest: &str) -> Self {
        let (bucket, prefix) = split(rest);
        let (max_rate, retain_mode) = (None, None);
        Self { bucket, prefix, access: Access::Environment, max_rate, retain_mode }
    }

    /// The name of a file of this bucket and folder, by its URL without `s3://`.
    pub fn name_of<'a>(&self, rest: &'a str) -> Option<&'a str> {
        let name =
            rest.strip_prefix(&self.bucket)?.strip_prefix('/')?.strip_prefix(&self.prefix)?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }

    fn url(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }

    /// `obj-mirror` with the settings of this storage, and only with them.
    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).stdin(Stdio::null());
        let Access::Own { number, variables, files } = &self.access else { return Ok(command) };
        for name in VARIABLES {
            command.env_remove(name);
        }
        for (name, value) in variables {
            command.env(name, value);
        }
        for (name, path) in files {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("reading a key of SHIP_{number} from {path}"))?;
            command.env(name, text.trim_end_matches(['\r', '\n']));
        }
        Ok(command)
    }

    /// Runs it and returns what it prints, but not more than `most` and a byte, and how it ended.
    fn capture(&self, arguments: &[&str], most: u64) -> Result<(Vec<u8>, Finished)> {
        let mut command = self.command(arguments)?;
        command.stdout(Stdio::piped());
        let mut running = child::spawn_captured(&mut command, PROGRAM)?;
        let mut bytes = Vec::new();
        if let Some(stdout) = running.take_stdout() {
            // Closed here: a writer of more ends.
            stdout.take(most + 1).read_to_end(&mut bytes).context("reading from obj-mirror")?;
        }
        Ok((bytes, running.finish()?))
    }

    /// Lists the files whose names begin as those of bundles.
    ///
    /// # Errors
    /// [`Stop::refused`] if the keys may not list.
    pub fn list(&self) -> Result<Vec<RemoteFile>> {
        let place = format!("s3://{}/{}", self.bucket, self.prefix);
        let arguments = ["list", "--quiet", "--json", "--begins", PREFIX, &place];
        let (text, finished) = self.capture(&arguments, u64::MAX - 1)?;
        // Keys that no request can name are no copies.
        if finished.status.code() != Some(Exit::Incomplete.code().into()) {
            ended(finished)?;
        }
        let listed: BucketObjects =
            serde_json::from_slice(&text).context("reading the report of obj-mirror list")?;
        if !listed.allowed {
            return Err(Stop::refused(format!("the keys are refused to list {place}")).into());
        }
        let file = |object: BucketObject| RemoteFile {
            name: object.key,
            size: object.size,
            modified: object.modified,
        };
        Ok(listed.objects.into_iter().map(file).collect())
    }

    pub fn read(&self, name: &str, most: u64) -> Result<Vec<u8>> {
        let (bytes, finished) = self.capture(&["get", "--quiet", &self.url(name)], most)?;
        if bytes.len() as u64 > most {
            return Err(too_large(most));
        }
        ended(finished).map(|()| bytes)
    }

    pub fn write(&self, name: &str, bytes: &[u8], retain_days: Option<u32>) -> Result<()> {
        let sha256 = hex(&Sha256::digest(bytes));
        let mut running = self.start_put(name, retain_days, &["--sha256", &sha256])?;
        if let Some(mut stdin) = running.take_stdin() {
            // If it has ended, its status is the error.
            let _ = stdin.write_all(bytes);
        }
        ended(running.finish()?)
    }

    pub fn check(
        &self,
        name: &str,
        range: Option<Range<u64>>,
        sha256: &str,
        bar: &Bar,
    ) -> Result<()> {
        let (url, range) = (self.url(name), range.map(|r| format!("{}-{}", r.start, r.end - 1)));
        let mut arguments = vec!["get", "--quiet", "--sha256", sha256];
        arguments.extend(range.iter().flat_map(|range| ["--range", range]));
        arguments.extend(self.rate());
        arguments.push(&url);
        let mut command = self.command(&arguments)?;
        command.stdout(Stdio::piped());
        let mut running = child::spawn_captured(&mut command, PROGRAM)?;
        if let Some(stdout) = running.take_stdout() {
            std::io::copy(&mut bar.wrap_read(stdout), &mut std::io::sink())
                .context("reading from obj-mirror")?;
        }
        ended(running.finish()?)
    }

    /// Starts a download into a pipe; with the file's SHA-256, if that is known.
    pub fn start_get(&self, name: &str, sha256: Option<&str>) -> Result<Running> {
        let url = self.url(name);
        let mut arguments = vec!["get", "--quiet"];
        arguments.extend(sha256.iter().flat_map(|sha256| ["--sha256", sha256]));
        arguments.push(&url);
        let mut command = self.command(&arguments)?;
        child::spawn_captured(command.stdout(Stdio::piped()), PROGRAM)
    }

    pub fn remove(&self, name: &str) -> Result<()> {
        let (_, finished) = self.capture(&["delete", "--quiet", &self.url(name)], 0)?;
        ended(finished)
    }

    /// Starts an upload that reads from its standard input.
    pub fn start_put(
        &self,
        name: &str,
        retain_days: Option<u32>,
        more: &[&str],
    ) -> Result<Running> {
        let (url, days) = (self.url(name), retain_days.map(|days| days.to_string()));
        let mut arguments = vec!["put", "--quiet", "--discard-unfinished"];
        if let Some(days) = &days {
            arguments.extend(["--retain-days", days]);
            arguments.extend(self.retain_mode.iter().flat_map(|mode| ["--retain-mode", mode]));
        }
        arguments.extend(self.rate());
        arguments.extend(more);
        arguments.push(&url);
        let mut command = self.command(&arguments)?;
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        child::spawn_captured(&mut command, PROGRAM)
    }

    fn rate(&self) -> impl Iterator<Item = &str> {
        self.max_rate.iter().flat_map(|rate| ["--max-rate", rate])
    }
}

/// The failure of `obj-mirror`, with its status where callers act on it, and its last line.
pub fn ended(finished: Finished) -> Result<()> {
    if finished.status.success() {
        return Ok(());
    }
    let exit = match finished.status.code() {
        Some(4) => Exit::Damaged,
        Some(2) => Exit::Usage,
        Some(5) => Exit::Refused,
        _ => Exit::Failed,
    };
    let mut lines = finished.stderr.iter().rev();
    let line = lines
        .find(|line| !line.contains(": warning: "))
        .map(|line| line.trim_start_matches("obj-mirror: "));
    Err(Stop::with_exit(exit, line.unwrap_or("obj-mirror failed")).into())
}

fn split(rest: &str) -> (String, String) {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
    (bucket.to_owned(), format!("{prefix}{slash}"))
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = format!("s3://{}/{}", self.bucket, self.prefix);
        f.write_str(url.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_the_bucket_and_folder_that_its_url_names() {
        let bucket = Bucket::new("offsite/host1", 1, &|_| None);
        assert_eq!(bucket.name_of("offsite/host1/a.tar.age"), Some("a.tar.age"));
        for other in ["offsite/host1/", "offsite/host1/b/a", "offsite/host10/a", "offsite2/host1/a"]
        {
            assert_eq!(bucket.name_of(other), None, "{other}");
        }
        let whole = Bucket::new("offsite", 1, &|_| None);
        assert_eq!(whole.name_of("offsite/a"), Some("a"));
        assert_eq!(
            (whole.url("a"), whole.to_string()),
            ("s3://offsite/a".into(), "s3://offsite".into())
        );
    }

    #[test]
    fn only_the_destinations_own_settings_reach_its_storage() {
        let own = |suffix: &str| (suffix == "REGION").then(|| "eu".to_owned());
        let command = Bucket::new("b", 1, &own).command(&["list"]).unwrap();
        let set: Vec<_> = command.get_envs().filter_map(|(k, v)| Some((k, v?))).collect();
        assert_eq!(set, [("AWS_REGION".as_ref(), "eu".as_ref())]);
        assert_eq!(command.get_envs().count(), VARIABLES.len());
        let missing =
            |suffix: &str| (suffix == "SECRET_KEY_FILE").then(|| "/nonexistent".to_owned());
        assert!(Bucket::new("b", 1, &missing).command(&[]).is_err());
    }
}
