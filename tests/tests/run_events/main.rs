//! What a run records of itself, and whom it notifies, on real deployments.
#![allow(clippy::print_stdout, reason = "a skipped test reports why")]

mod drills;
mod hooks;
mod killed;
mod metrics;
mod notify;
mod receivers;
mod records;
mod refusals;
mod secrets;
mod ships;
mod signals;

use anyhow::{Context, Result};
use bundle_format::report::{RunKind, RunRecord};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use test_kit::deployment::{Deployment, Options};

/// The answers that a restore of a test deployment asks for.
const ANSWERS: &str = "demo.piprio.test\nn\n";

/// A deployment with little in it, without a storage of its own, and more lines in its `.env`.
fn deployment(lines: &str) -> Result<Deployment> {
    let options =
        Options { external_storage: true, tenants: 1, docs: 2, objects: 1, ..Options::default() };
    let deployment = Deployment::temporary(&options)?;
    configure(&deployment, lines)?;
    Ok(deployment)
}

fn configure(deployment: &Deployment, lines: &str) -> Result<()> {
    let env = deployment.dir().join(".env");
    let mut file = std::fs::OpenOptions::new().append(true).open(env)?;
    Ok(file.write_all(lines.as_bytes())?)
}

/// Puts a script into the place of one of the toolkit's programs; gives what was there.
fn replace(deployment: &Deployment, program: &str, script: &str) -> Result<Replaced> {
    let path = deployment.dir().join("bin").join(program);
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside)?;
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(Replaced { path, aside })
}

/// A program that is replaced by a script.
struct Replaced {
    path: PathBuf,
    aside: PathBuf,
}

impl Replaced {
    fn put_back(self) -> Result<()> {
        Ok(std::fs::rename(self.aside, self.path)?)
    }
}

/// What the last run of a kind has recorded.
fn record(deployment: &Deployment, kind: RunKind) -> Result<RunRecord> {
    let file = deployment.dir().join(".restore").join(kind.record_name());
    let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
    Ok(serde_json::from_slice(&text)?)
}
