//! `install`: links the package into a deployment's directory, after it has shown what it found there and what it
//! would write, and was answered yes.

use crate::place::Place;
use anyhow::{Context, Result};
use clap::Args;
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop, child};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The options of `install`.
#[derive(Args, Debug)]
pub struct Install {
    /// Directory of the deployment
    dir: PathBuf,
    /// Set a setting in .env, but not a secret; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write without asking for confirmation
    #[arg(long)]
    yes: bool,
    /// Also make a backup every night, by a systemd timer
    #[arg(long, conflicts_with = "cron")]
    timer: bool,
    /// Also make a backup every night, by cron
    #[arg(long)]
    cron: bool,
    /// Also drill the newest bundle every week, by a systemd timer
    #[arg(long, conflicts_with = "drill_cron")]
    drill_timer: bool,
    /// Also drill the newest bundle every week, by cron
    #[arg(long)]
    drill_cron: bool,
    /// Name of the units or cron's file, for a second deployment on a host
    #[arg(long)]
    name: Option<String>,
}

/// Looks, asks, and installs; returns the exit status.
///
/// # Errors
/// [`Stop::usage`] if there is no such directory or the package's scripts are missing; [`Stop::refused`] if the answer
/// is not yes; nothing is written then.
pub fn run(place: &Place, install: &Install) -> Result<u8> {
    let dir = std::path::absolute(&install.dir)
        .with_context(|| format!("finding {}", install.dir.display()))?;
    if !dir.is_dir() {
        return Err(Stop::usage(format!(
            "there is no directory {}: name that of the deployment, or make an empty one for a restore",
            dir.display()
        ))
        .into());
    }
    let script = place.script("install")?;
    let looked = status_of(detect(place, &dir, install, false))?;
    if !is_answer(looked) {
        return Ok(looked);
    }
    show(place, &dir, install)?;
    if !install.yes && !confirmed()? {
        return Err(Stop::refused("nothing was written; --yes answers yes").into());
    }
    let mut command = Command::new("bash");
    command.arg(script).arg("--link").arg("--from").arg(place.programs());
    command.args(schedule(install)).arg(&dir);
    let linked = status_of(command)?;
    if linked > 0 {
        return Ok(linked);
    }
    let written = status_of(detect(place, &dir, install, true))?;
    if !is_answer(written) {
        return Ok(written);
    }
    let next =
        |verb: &str| Tool::new("piprio-backup").arg("--deploy").arg(&dir).arg(verb).to_shell();
    pipe_kit::info!("next: {}; then: {}", next("doctor"), next("backup"));
    Ok(0)
}

/// Whether the services are known; settings may be missing, which were shown.
fn is_answer(status: u8) -> bool {
    [Exit::Done.code(), Exit::Incomplete.code()].contains(&status)
}

fn status_of(mut command: Command) -> Result<u8> {
    let name = command.get_program().to_string_lossy().into_owned();
    let finished = child::spawn(&mut command, name)?.finish()?;
    let code = finished.status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or_else(|| Err(finished.into_error()), Ok)
}

/// Looks for services and missing settings, or writes the settings that it found.
fn detect(place: &Place, dir: &Path, install: &Install, write: bool) -> Command {
    let mut command = Command::new(place.programs().join("deploy-env"));
    command.arg("--deploy").arg(dir).arg("detect").env_remove("PIPRIO_DEPLOY");
    command.args(install.set.iter().flat_map(|set| ["--set", set.as_str()]));
    if write {
        command.arg("--write").stdout(Stdio::null());
    }
    command
}

/// The options for `install.sh`.
fn schedule(install: &Install) -> Vec<String> {
    let switches = [
        (install.timer, "--timer"),
        (install.cron, "--cron"),
        (install.drill_timer, "--drill-timer"),
        (install.drill_cron, "--drill-cron"),
    ];
    let switches = switches.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name);
    let name = install.name.iter().flat_map(|name| ["--name", name]);
    switches.chain(name).map(str::to_owned).collect()
}

fn show(place: &Place, dir: &Path, install: &Install) -> Result<()> {
    let mut text = "To be written:\n".to_owned();
    text += &format!("  {} -> {}\n", dir.join("bin").display(), place.programs().display());
    text += &format!("  {} -> {}\n", dir.join("scripts").display(), place.scripts.display());
    text += &format!("  {}: what must not be committed\n", dir.join(".gitignore").display());
    text += &format!("  {}: the lines above, if there are any\n", dir.join(".env").display());
    if install.timer || install.drill_timer {
        text += "  /etc/systemd/system: units\n";
    }
    if install.cron || install.drill_cron {
        text += "  /etc/cron.d: a file\n";
    }
    pipe_kit::output::print(&text)
}

/// Asks at the terminal. Without one, nobody has answered.
fn confirmed() -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "Write this? [y/N] ").and_then(|()| stderr.flush()).context("asking")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
