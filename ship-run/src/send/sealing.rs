//! `seal.sh`, which checks the recipients and the bundle, and prints the sealed bundle.

use crate::recipients::Recipients;
use crate::send::bundle::Bundle;
use crate::settings::Settings;
use anyhow::Result;
use pipe_kit::child::{self, Finished, Running};
use pipe_kit::{Exit, Stop};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Starts it.
///
/// # Errors
/// If it cannot be started.
pub fn start(settings: &Settings, bundle: &Bundle) -> Result<Running> {
    let scripts = std::env::var_os("PIPRIO_SCRIPTS").map(PathBuf::from);
    let script = scripts.unwrap_or_else(|| settings.deploy.join("scripts")).join("seal.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg(&bundle.path).stdin(Stdio::null()).stdout(Stdio::piped());
    match &settings.recipients {
        None => return Err(no_recipients()),
        Some(Recipients::Age(file)) => {
            command.arg("-R").arg(file);
        }
        Some(Recipients::Gpg(keys)) => {
            command.arg("--gpg");
            command.args(keys.iter().flat_map(|key| ["-r", key]));
        }
    }
    child::spawn(&mut command, "seal.sh")
}

/// The error of a sealed copy for nobody.
pub fn no_recipients() -> anyhow::Error {
    Stop::refused(
        "SHIP_RECIPIENTS is not set, and nothing leaves this host unencrypted; make a key elsewhere (age-keygen -o \
         backup.key), copy its public half here (age-keygen -y backup.key > certs/backup.pub), and set SHIP_RECIPIENTS",
    )
    .into()
}

/// Whether the bundle is sealed whole.
///
/// # Errors
/// With the status of `seal.sh`, if it failed.
pub fn ended(finished: Finished) -> Result<()> {
    let exit = match finished.status.code() {
        Some(0) => return Ok(()),
        Some(4) => Exit::Damaged,
        Some(5) => Exit::Refused,
        _ => Exit::Failed,
    };
    let why = finished.describe(None);
    Err(Stop::with_exit(exit, format!("{why}; nothing was copied")).into())
}
