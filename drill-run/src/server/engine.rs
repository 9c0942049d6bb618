//! The engine, through its client `docker`.

use super::bounded;
use super::record::mark;
use anyhow::{Context, Result, bail};
use pipe_kit::text;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long the engine may take for an answer.
pub const ANSWER: Duration = Duration::from_secs(60);
/// How long it may take to create or remove a container.
pub const ACT: Duration = Duration::from_secs(120);
/// How often it is asked whether everything is gone.
const ROUNDS: usize = 5;

/// `docker WORD…`
pub fn docker(words: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(words);
    command
}

/// The name of a drill's container and volume.
pub fn name(dir: &Path) -> String {
    let hash = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    format!("piprio-drill-{}", text::hex(&hash[..8]))
}

/// Makes the engine do something.
///
/// # Errors
/// If it fails or does not end in time.
pub fn act(command: &mut Command, what: &str) -> Result<()> {
    bounded::read(command, ACT, what)?.check(what).map(drop)
}

/// Removes the container and the volume of a drill's directory, and what else bears its label.
///
/// # Errors
/// If something is left, or the engine does not answer.
pub fn remove(dir: &Path) -> Result<()> {
    let label = format!("--filter=label={}", mark(dir));
    let list = |words: &[&str]| -> Result<Vec<String>> {
        let what = format!("docker {} ls", words[0]);
        let ended = bounded::read(docker(words).arg(&label), ANSWER, &what)?.check(&what)?;
        Ok(ended.text.split_whitespace().map(str::to_owned).collect())
    };
    let mut last = Ok(());
    for _ in 0..ROUNDS {
        let containers = list(&["container", "ls", "--all", "--quiet", "--no-trunc"])?;
        let volumes = list(&["volume", "ls", "--quiet"])?;
        if containers.is_empty() && volumes.is_empty() {
            return Ok(());
        }
        // What is gone by now is an error too: the lists decide.
        if !containers.is_empty() {
            let mut remove = docker(&["container", "rm", "--force", "--volumes"]);
            last = act(remove.args(containers), "docker container rm");
        }
        if !volumes.is_empty() {
            let removed = act(docker(&["volume", "rm"]).args(volumes), "docker volume rm");
            last = last.and(removed);
        }
    }
    let container = name(dir);
    last.and_then(|()| bail!("it is there again each time"))
        .with_context(|| format!("removing the container and the volume {container}"))
}
