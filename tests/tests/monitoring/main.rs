//! What `contrib/` has for Prometheus and Grafana, checked with their own programs and types. That its metrics are those
//! that are written is checked in `run-events`.
#![allow(clippy::print_stdout, reason = "a skipped test reports why")]

mod dashboard;
mod rules;

use anyhow::{Context, Result};
use std::path::PathBuf;
use test_kit::tools::workspace;

/// A file of `contrib/`, and what is in it.
fn contrib(name: &str) -> Result<(PathBuf, String)> {
    let path = workspace().join("contrib").join(name);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok((path, text))
}
