//! Runs the command of the command line.

use crate::cli::{Cli, Command};
use crate::settings::Settings;
use crate::{fetch, init, list, prune, send, verify};
use anyhow::Result;
use pipe_kit::Exit;

/// Runs the tool.
///
/// # Errors
/// See the exit statuses in the help.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    cli.progress.apply();
    // The copies' descriptions and records.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    if let Some(Command::Fetch(args)) = &cli.command {
        return fetch::run(args);
    }
    pipe_kit::deploy_env::ensure_resolved()?;
    let settings = Settings::from_environment()?;
    match &cli.command {
        Some(Command::Init(_)) => init::run(&settings),
        Some(Command::List(args)) => list::run(&settings, args),
        Some(Command::Verify(args)) => verify::run(&settings, args),
        Some(Command::Prune(args)) => prune::run(&settings, args),
        Some(Command::Fetch(args)) => fetch::run(args),
        None => send::run(&settings, &cli.send),
    }
}
