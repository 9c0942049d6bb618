//! Programs and types of Prometheus and Grafana, as `scripts/monitoring-tools.sh` has fetched them.

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where they lie, below Cargo's target directory.
const FETCHED: &str = "monitoring";

/// A program of them, or of this machine; none, which is reported as skipped, if neither has it.
///
/// # Errors
/// If this program's path is unknown.
pub fn program(name: &str) -> Result<Option<Command>> {
    let fetched = fetched()?.map(|dir| dir.join("bin").join(name)).filter(|path| path.exists());
    let path = fetched.unwrap_or_else(|| name.into());
    let asked =
        Command::new(&path).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if asked.is_ok() {
        return Ok(Some(Command::new(path)));
    }
    crate::skipped!("{name} is not here (scripts/monitoring-tools.sh)");
    Ok(None)
}

/// The directory with Grafana's types and a TypeScript compiler, as Node finds it; none, which is reported as skipped,
/// if it was not fetched, or Node is not installed.
///
/// # Errors
/// If this program's path is unknown.
pub fn node_modules() -> Result<Option<PathBuf>> {
    let dir = fetched()?.map(|dir| dir.join("node_modules")).filter(|dir| dir.is_dir());
    if dir.is_none() {
        crate::skipped!("Grafana's types are not here (scripts/monitoring-tools.sh)");
        return Ok(None);
    }
    let asked = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if asked.is_err() {
        crate::skipped!("Node is not installed");
        return Ok(None);
    }
    Ok(dir)
}

fn fetched() -> Result<Option<PathBuf>> {
    let this = std::env::current_exe().context("this program's path")?;
    Ok(this.ancestors().map(|dir| dir.join(FETCHED)).find(|dir| dir.is_dir()))
}
