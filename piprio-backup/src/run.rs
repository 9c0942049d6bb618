//! Starts the command that is asked for.

use crate::cli::{Cli, Work};
use crate::place::Place;
use crate::{documents, install, programs, scripts};
use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the command; returns its exit status.
///
/// # Errors
/// [`Stop::usage`] for a command that does not exist or a script without a deployment; else if it cannot be started.
pub fn run(cli: Cli) -> Result<u8> {
    let place = Place::of_this_file()?;
    let deploy = deployment(cli.deploy)?;
    match cli.command {
        Work::Completions { shell, program } => {
            documents::print_completions(shell, &program).map(|()| 0)
        }
        Work::Man { dir } => documents::write_man_pages(&dir).map(|()| 0),
        Work::Install(options) => install::run(&place, &options),
        Work::Doctor { mut arguments } => {
            arguments.insert(0, "doctor".into());
            start(program(&place, "deploy-env"), &place, deploy.as_deref(), &arguments)
        }
        Work::Other(words) => {
            let (name, arguments) = words.split_first().context("a command without a name")?;
            let command = command(&place, name, deploy.as_deref())?;
            start(command, &place, deploy.as_deref(), arguments)
        }
    }
}

/// The deployment that is meant, if one is. A relative path is relative to here, and a link stays a link.
fn deployment(named: Option<PathBuf>) -> Result<Option<PathBuf>> {
    let from_environment =
        || std::env::var_os("PIPRIO_DEPLOY").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let here = || Path::new(".env").symlink_metadata().is_ok().then(|| PathBuf::from("."));
    let dir = named.or_else(from_environment).or_else(here);
    dir.map(|dir| std::path::absolute(&dir).with_context(|| format!("finding {}", dir.display())))
        .transpose()
}

/// A program by its name beside this file, else in this file.
fn program(place: &Place, name: &str) -> Command {
    let beside = place.programs().join(name);
    if beside.is_file() {
        return Command::new(beside);
    }
    let mut command = Command::new(&place.program);
    command.arg0(name);
    command
}

fn command(place: &Place, name: &OsStr, deploy: Option<&Path>) -> Result<Command> {
    if let Some(program_of_name) = programs::named(name) {
        return Ok(program(place, program_of_name.name));
    }
    let Some(script) = scripts::named(name) else {
        return Err(Stop::usage(format!(
            "there is no command {}; piprio-backup --help lists them",
            name.display()
        ))
        .into());
    };
    let Some(deploy) = deploy else {
        // Without the package, no deployment would help.
        place.script(script.name)?;
        return Err(Stop::usage(format!(
            "no deployment here: cd to its directory, or name it: piprio-backup --deploy DIR {}",
            script.name
        ))
        .into());
    };
    // The deployment's own, which may be copies of another version.
    let own = deploy.join("scripts").join(format!("{}.sh", script.name));
    let path = if own.is_file() { own } else { place.script(script.name)? };
    pipe_kit::trust::refuse_if_others_may_write(&path)?;
    let mut command = Command::new("bash");
    command.arg(path);
    Ok(command)
}

/// Becomes the command. The programs are found first beside this file.
fn start(
    mut command: Command,
    place: &Place,
    deploy: Option<&Path>,
    arguments: &[OsString],
) -> Result<u8> {
    let mut path = place.programs().as_os_str().to_owned();
    if let Some(before) = std::env::var_os("PATH").filter(|path| !path.is_empty()) {
        path.push(":");
        path.push(before);
    }
    command.env("PATH", path).args(arguments);
    if let Some(deploy) = deploy {
        command.env("PIPRIO_DEPLOY", deploy);
    }
    let error = command.exec();
    Err(error).with_context(|| format!("starting {}", command.get_program().display()))
}
