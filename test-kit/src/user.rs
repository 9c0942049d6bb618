//! Whose processes they are: PostgreSQL's server refuses to run as root.

use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The system user that a server started by root runs as.
pub const POSTGRES_USER: &str = "postgres";

/// `setpriv`'s arguments for that.
pub const AS_SERVER_USER: [&str; 4] =
    ["--reuid=postgres", "--regid=postgres", "--init-groups", "--"];

/// Whether this process is root's.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command run as the server's user where we are root, else as ourselves. The process is the
/// program itself, so that signals reach it: `runuser` would stay between.
#[must_use]
pub fn as_server_user(program: impl AsRef<OsStr>) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(AS_SERVER_USER).arg(program);
    command
}

/// Gives a file or directory to the server's user where we are root.
///
/// # Errors
/// If there is no such user, or the owner cannot be changed.
pub fn give_to_server_user(path: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let id = |flag: &str| -> Result<u32> {
        let output =
            Command::new("id").args([flag, POSTGRES_USER]).output().context("running id")?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        text.parse().with_context(|| format!("there is no system user {POSTGRES_USER}"))
    };
    std::os::unix::fs::chown(path, Some(id("-u")?), Some(id("-g")?))
        .with_context(|| format!("giving {} to {POSTGRES_USER}", path.display()))
}
