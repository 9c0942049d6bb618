//! Where the settings are not resolved yet: running again under `deploy-env`.

use anyhow::{Context, Result, anyhow};
use pipe_kit::Exit;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Whether deploy-env has made this environment.
#[must_use]
pub fn is_resolved() -> bool {
    std::env::var_os("PIPRIO_RESOLVED").is_some_and(|v| v == "1")
}

/// Replaces this process by itself under deploy-env. Returns only if that fails.
///
/// # Errors
/// If deploy-env cannot be run.
pub fn under_deploy_env() -> Result<Exit> {
    let us = std::env::current_exe().context("finding this program")?;
    let beside = us.parent().map(|dir| dir.join("deploy-env")).filter(|path| path.is_file());
    let deploy_env = beside.unwrap_or_else(|| PathBuf::from("deploy-env"));
    let error =
        Command::new(&deploy_env).arg("--").arg(us).args(std::env::args_os().skip(1)).exec();
    Err(anyhow!(error).context(format!(
        "running {}, which resolves the deployment's settings",
        deploy_env.display()
    )))
}
