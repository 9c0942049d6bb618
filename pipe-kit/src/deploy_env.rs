//! The settings of a run: `deploy-env` resolves them once, and every program below it finds them in its environment.

use anyhow::{Context, Result, anyhow};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "deploy-env";

/// Whether the environment holds a deployment's resolved settings.
#[must_use]
pub fn is_resolved() -> bool {
    std::env::var_os("PIPRIO_RESOLVED").is_some()
}

/// Returns where the settings are resolved; else starts this program again, with the same arguments, under
/// `deploy-env`, which is searched for beside this program and then on PATH.
///
/// # Errors
/// If `deploy-env` cannot be started.
pub fn ensure_resolved() -> Result<()> {
    if is_resolved() {
        return Ok(());
    }
    let own = crate::own_path().context("finding our own binary")?;
    let beside = own.with_file_name(PROGRAM);
    let program = if beside.is_file() { &beside } else { Path::new(PROGRAM) };
    let error = Command::new(program).arg("--").arg(&own).args(std::env::args_os().skip(1)).exec();
    Err(match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "{PROGRAM} is neither beside {} nor on PATH; run install.sh for this deployment again",
            own.display()
        ),
        _ => anyhow!(error).context(format!("starting {}", program.display())),
    })
}
