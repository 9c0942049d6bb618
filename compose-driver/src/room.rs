//! Room on the disk where the engine keeps volumes.

use crate::client;
use crate::docker::{self, ANSWER};
use anyhow::{Context, Result};
use pipe_kit::{Stop, warning};

/// Refuses where the engine's directory has less room than this, beyond a twentieth that stays for production. Where the engine is on another machine,
/// nobody can look.
///
/// # Errors
/// [`Stop::refused`] with what is needed and what is there.
pub fn require(bytes: u64) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let command = docker::command(&["info", "--format", "{{.DockerRootDir}}"]);
    let dir = client::text(command, ANSWER, "docker info")?.trim().to_owned();
    let Ok(found) = rustix::fs::statvfs(dir.as_str()) else {
        warning!("{dir}, where the engine keeps volumes, is not here: its room is not known");
        return Ok(());
    };
    let blocks = found.f_bavail.saturating_sub(found.f_blocks / 20);
    let free = blocks.checked_mul(found.f_frsize).context("the free space")?;
    if free >= bytes {
        return Ok(());
    }
    let size = pipe_kit::text::size;
    Err(Stop::refused(format!(
        "the volumes need {} in {dir}, which has {} besides what stays for production: make room there",
        size(bytes),
        size(free)
    ))
    .into())
}
