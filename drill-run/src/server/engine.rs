//! The engine, through its client `docker`.

use super::bounded::{self, Ended};
use super::record::{self, mark};
use anyhow::{Context, Result, bail};
use pipe_kit::text;
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the engine may take for an answer.
pub const ANSWER: Duration = Duration::from_secs(60);
/// How long it may take to create or remove a container.
const ACT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);
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

/// Makes the engine create something for a drill. If we are killed, the client continues. So it has the drill's lock,
/// as its standard input, which it does not read: [`remove`] waits for it.
///
/// # Errors
/// If it does not end in time.
pub fn create(dir: &Path, command: &mut Command, what: &str) -> Result<Ended> {
    bounded::read_from(lock(dir)?, command, ACT, what)
}

fn lock(dir: &Path) -> Result<File> {
    let path = record::lock(dir);
    let mut options = File::options();
    let file = options.create(true).append(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
            Err(TryLockError::WouldBlock) if start.elapsed() > ACT => {
                bail!("a client of the engine still holds {}", path.display())
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}

fn act(command: &mut Command, what: &str) -> Result<()> {
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
    let _lock = lock(dir)?;
    let mut last = Ok(());
    for _ in 0..ROUNDS {
        let containers = list(&["container", "ls", "--all", "--quiet", "--no-trunc"])?;
        let volumes = list(&["volume", "ls", "--quiet"])?;
        if containers.is_empty() && volumes.is_empty() {
            return Ok(());
        }
        // What no longer exists is an error too: the lists decide.
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
