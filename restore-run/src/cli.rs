//! The command line. Doc comments are the help.

use crate::restore::{self, ConfigChoice, Options};
use crate::settings::Settings;
use crate::step::{Selection, Step};
use anyhow::Result;
use clap::{Parser, ValueEnum};
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use std::path::PathBuf;

const AFTER: &str = "\
STEPS, in this order:
  validate   the bundle is there and intact, else refuse (4)
  summary    the manifest, and what will be destroyed
  confirm    the deployment's domain is typed, else refuse (5)
  preflight  everything that can be checked before harm, else refuse (5)
  stop       the application services; database, cache and storage stay up
  database   the dump into a fresh database, then the names swapped; the old one is kept
  objects    the bucket becomes the bundle's mirror
  config     the difference of .env is shown; secrets/ and certs/ after a second yes
  cache      the cache is emptied
  start      all services
  health     the health check; the old database is dropped if it passes
validate, summary and confirm run before any step that changes something, under every option.

The answers are lines of standard input: the domain, then y or n. End of input means no.

EXAMPLES:
  restore-run backups/piprio_20260421T020000Z
  restore-run backups/piprio_20260421T020000Z --dry-run
  printf '%s\\n' piprio.example.com y | restore-run backups/piprio_20260421T020000Z
  restore-run backups/piprio_20260421T020000Z --from objects
  restore-run backups/piprio_20260421T020000Z --only health

EXIT STATUS:
  0 done, the health check passed · 1 a step failed, or the health check · 2 usage
  3 some objects failed · 4 the bundle is damaged or not whole
  5 refused: not confirmed, locked, or preflight said no · 128+N signal N";

/// Rebuild a deployment from a bundle. Destructive on purpose: all current data is replaced.
///
/// Runs a fixed sequence of steps, each of them one of the toolkit's other programs. The deployment
/// is `$PIPRIO_DEPLOY`, else the parent of this binary's directory.
#[derive(Parser)]
#[command(version, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    quiet: Quiet,
    /// The bundle's directory
    bundle: PathBuf,
    /// The typed answer of the confirm step: must equal the deployment's domain
    #[arg(long, value_name = "DOMAIN")]
    confirm: Option<String>,
    /// Restore secrets/ and certs/: yes, no, or ask
    #[arg(long, value_enum, default_value_t = Config::Ask)]
    config: Config,
    /// Replace .env too
    #[arg(long)]
    force_config: bool,
    /// Drop the old database before the new one is loaded, for a host without room for two
    #[arg(long)]
    drop_first: bool,
    /// Check the bundle and the deployment, print every step's exact commands, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Begin with this step, after a failure or by hand
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    from: Option<Step>,
    /// Run this step alone
    #[arg(long, value_name = "STEP")]
    only: Option<Step>,
    /// How long the health check waits for services that are starting
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Config {
    Yes,
    No,
    Ask,
}

/// Runs the restore.
///
/// # Errors
/// See the exit statuses in the help.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    if std::env::var_os("PIPRIO_RESOLVED").is_none() {
        return Err(pipe_kit::child::become_under("deploy-env"));
    }
    let options = Options {
        selection: match (cli.from, cli.only) {
            (_, Some(step)) => Selection::Only(step),
            (Some(step), None) => Selection::From(step),
            (None, None) => Selection::All,
        },
        confirm: cli.confirm,
        config: match cli.config {
            Config::Yes => ConfigChoice::Yes,
            Config::No => ConfigChoice::No,
            Config::Ask => ConfigChoice::Ask,
        },
        force_config: cli.force_config,
        drop_first: cli.drop_first,
        dry_run: cli.dry_run,
        wait_seconds: cli.wait,
    };
    restore::run(&cli.bundle, &Settings::from_environment()?, &options)
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
