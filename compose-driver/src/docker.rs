//! The engine, through its client `docker`.

use crate::client;
use crate::container::Container;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the engine, or Compose, may take for an answer.
pub const ANSWER: Duration = Duration::from_secs(60);

/// `docker WORD…`, without standard input.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(words).stdin(Stdio::null());
    command
}

/// What the engine knows of containers. One that was removed meanwhile is not in the answer.
///
/// # Errors
/// If the engine does not answer, or has none of them.
pub fn inspect(ids: &[String], limit: Duration) -> Result<Vec<Container>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = command(&["inspect"]);
    command.args(ids).stderr(Stdio::null());
    let (status, text) = client::read(command, limit, "docker inspect", std::io::read_to_string)?;
    let containers = text.ok().and_then(|text| serde_json::from_str::<Vec<Container>>(&text).ok());
    let containers = containers.context("docker inspect printed no JSON of containers")?;
    if containers.is_empty() && !status.success() {
        bail!("docker inspect failed ({status})");
    }
    Ok(containers)
}

/// Runs `docker VERB ID…`.
///
/// # Errors
/// If it fails or does not end in time.
pub fn act(verb: &str, ids: &[&str], limit: Duration) -> Result<()> {
    let mut command = command(&[verb]);
    command.args(ids).stdout(Stdio::null());
    let status = client::run(command, limit, &format!("docker {verb}"))?;
    if !status.success() {
        bail!("docker {verb} {} failed ({status})", ids.join(" "));
    }
    Ok(())
}
