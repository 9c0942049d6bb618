//! The command line. Doc comments are the help.

use crate::options::{Asked, Choices, ConfigChoice, Options};
use crate::settings::Settings;
use crate::step::Step;
use crate::{abandon, bootstrap, restore};
use anyhow::Result;
use clap::Parser;
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

A restore that is not complete is noted in DEPLOY/.restore/unfinished.json, and backup.sh refuses
until it is. --resume goes on from its first unfinished step; a run without --resume starts over.

A new host: --bootstrap puts the bundle's .env, secrets/ and certs/ in place, and stops. A run
without it then starts the services that hold state, and restores as usual.

The answers are lines of standard input: the domain, then y or n. End of input means no.

EXAMPLES:
  restore-run backups/piprio_20260421T020000Z
  restore-run backups/piprio_20260421T020000Z --dry-run
  printf '%s\\n' piprio.example.com y | restore-run backups/piprio_20260421T020000Z
  restore-run backups/piprio_20260421T020000Z --resume
  restore-run backups/piprio_20260421T020000Z --from objects
  restore-run backups/piprio_20260421T020000Z --only health
  restore-run --abandon

EXIT STATUS:
  0 done, the health check passed · 1 a step failed, or the health check, or the application's role
  has no password any more · 2 usage · 3 some objects failed, were left out as damaged, or could not
  be made in the database (--keep-going)
  4 the bundle is damaged or not whole · 5 refused: not confirmed, locked, nothing to go on with,
  or preflight said no · 128+N signal N";

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
    #[arg(required_unless_present = "abandon")]
    bundle: Option<PathBuf>,
    /// The typed answer of the confirm step: must equal the deployment's domain
    #[arg(long, value_name = "DOMAIN")]
    confirm: Option<String>,
    /// Restore secrets/ and certs/: yes, no, or ask
    #[arg(long, value_enum, default_value_t = ConfigChoice::Ask)]
    config: ConfigChoice,
    /// Replace .env too
    #[arg(long)]
    force_config: bool,
    /// Drop the old database before the new one is loaded, for a host without room for two
    #[arg(long)]
    drop_first: bool,
    /// Restore a damaged only copy as far as it goes: leave out what is damaged, delete no object, end with 3
    #[arg(long)]
    skip_verify: bool,
    /// Restore all rows; leave out indexes, constraints, views and the like that cannot be made, write
    /// their statements to DEPLOY/.restore/left-out.sql, and end with 3
    #[arg(long)]
    keep_going: bool,
    /// Take a bundle of the present state first, once preflight has passed
    #[arg(long, conflicts_with = "resume")]
    safety_backup: bool,
    /// Check the bundle and the deployment, print every step's exact commands, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on with an unfinished restore of this bundle, from its first unfinished step
    #[arg(long)]
    resume: bool,
    /// Begin with this step, after a failure or by hand
    #[arg(long, value_name = "STEP", conflicts_with_all = ["only", "resume"])]
    from: Option<Step>,
    /// Run this step alone
    #[arg(long, value_name = "STEP", conflicts_with = "resume")]
    only: Option<Step>,
    /// On a new host: put the bundle's configuration in place, and stop for edits
    #[arg(long, conflicts_with_all = ["resume", "from", "only", "dry_run", "safety_backup", "skip_verify"])]
    bootstrap: bool,
    /// Give an unfinished restore up; nothing is put back by that
    #[arg(long, conflicts_with_all = ["resume", "from", "only", "bootstrap", "dry_run"])]
    abandon: bool,
    /// How long services that are starting are waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u32,
}

/// Runs the restore.
///
/// # Errors
/// See the exit statuses in the help.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    if std::env::var_os("PIPRIO_RESOLVED").is_none() {
        let deploy = bootstrap::deployment()?;
        match &cli.bundle {
            Some(bundle) if cli.bootstrap => {
                return bootstrap::run(&deploy, bundle, cli.confirm.as_deref());
            }
            Some(bundle) if !bootstrap::is_configured(&deploy) => {
                return Err(bootstrap::refusal(&deploy, bundle));
            }
            _ => return Err(pipe_kit::child::become_under("deploy-env")),
        }
    }
    let settings = Settings::from_environment()?;
    let bundle = match &cli.bundle {
        Some(bundle) if !cli.abandon => bundle,
        _ => return abandon::run(&settings),
    };
    if cli.bootstrap {
        return bootstrap::run(&settings.deploy, bundle, cli.confirm.as_deref());
    }
    let options = Options {
        asked: Asked::of(cli.resume, cli.from, cli.only),
        choices: Choices {
            config: cli.config,
            force_config: cli.force_config,
            drop_first: cli.drop_first,
            skip_verify: cli.skip_verify,
            keep_going: cli.keep_going,
        },
        confirm: cli.confirm,
        dry_run: cli.dry_run,
        safety_backup: cli.safety_backup,
        wait_seconds: cli.wait,
    };
    restore::run(bundle, &settings, &options)
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
