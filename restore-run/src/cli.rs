//! The command line. Doc comments are the help.

use crate::options::{Choices, ConfigChoice, Options, Request};
use crate::settings::Settings;
use crate::step::Step;
use crate::{abandon, bootstrap, restore};
use anyhow::Result;
use clap::Parser;
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use pipe_kit::progress::Progress;
use std::path::PathBuf;

const AFTER: &str = "\
STEPS, in this order:
  validate   check that the bundle is intact, else refuse (4)
  summary    show the manifest, and what will be destroyed
  confirm    ask for the deployment's domain, else refuse (5)
  preflight  start stateful services that are down, create a missing bucket, and check everything
             that can be checked before any other change, else refuse (5)
  stop       stop the application services; database, cache and storage stay up
  database   load the dump into a fresh database, then swap the names; keep the old one
  objects    make the bucket equal to the bundle's mirror
  config     show the difference of .env; restore secrets/ and certs/ after a second yes
  cache      empty the cache
  start      start all services
  health     check the deployment's health; drop the old database if it passes
With every option, validate, summary and confirm run before any of the steps from stop to cache.
With --from and a step up to cache, stop runs too. --only preflight, --from start and --only start
ask for no confirmation.

While a restore is unfinished, DEPLOY/.restore/unfinished.json records it, and backup.sh refuses.
--resume continues from the first unfinished step; a run without --resume starts over.

A record of the run (steps, seconds, bytes, status) is written to DEPLOY/.restore/last-restore.json.
Programs in DEPLOY/hooks/before-restore.d run before the first of the steps from stop to cache; one
that fails refuses the run (5). Those in after-restore.d or failed-restore.d then run at its end.

On a new host, --bootstrap puts the bundle's .env, secrets/ and certs/ in place, and stops. A run
without it then starts the stateful services, and restores as usual.

Answers are read from standard input, one per line: the domain, then y or n. End of input means no.

EXAMPLES:
  restore-run backups/piprio_20260421T020000Z
  restore-run backups/piprio_20260421T020000Z --dry-run
  printf '%s\\n' piprio.example.com y | restore-run backups/piprio_20260421T020000Z
  restore-run backups/piprio_20260421T020000Z --resume
  restore-run backups/piprio_20260421T020000Z --from objects
  restore-run backups/piprio_20260421T020000Z --only health
  restore-run --abandon

EXIT STATUS:
  0  done, and the health check passed
  1  a step or the health check failed, or the application's role has no password
  2  wrong usage
  3  some objects failed, were left out as damaged, or (with --keep-going) could not be
     created in the database
  4  the bundle is damaged or incomplete
  5  refused: not confirmed, locked, no restore to continue, a hook failed, or preflight found a
     problem
  128+N  signal N";

/// Rebuild a deployment from a bundle. Destructive on purpose: all current data is replaced
///
/// Runs a fixed sequence of steps, each of them one of the toolkit's other programs. The deployment
/// is `$PIPRIO_DEPLOY`, else the parent of this binary's directory.
#[derive(Parser, Debug)]
#[command(name = "restore-run", version, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    quiet: Quiet,
    #[command(flatten)]
    progress: Progress,
    /// The bundle's directory
    #[arg(required_unless_present = "abandon")]
    bundle: Option<PathBuf>,
    /// Answer to the confirm step: must equal the deployment's domain
    #[arg(long, value_name = "DOMAIN")]
    confirm: Option<String>,
    /// Restore secrets/ and certs/: yes, no, or ask
    #[arg(long, value_enum, default_value_t = ConfigChoice::Ask)]
    config: ConfigChoice,
    /// Replace .env too
    #[arg(long)]
    force_config: bool,
    /// Drop the old database before loading the new one, on a host without room for both
    #[arg(long)]
    drop_first: bool,
    /// Restore the intact parts of a damaged bundle: leave out what is damaged, delete no object, and
    /// exit with status 3
    #[arg(long)]
    skip_verify: bool,
    /// Restore all rows; leave out indexes, constraints, views and the like that cannot be created, write
    /// their statements to DEPLOY/.restore/left-out.sql, and exit with status 3
    #[arg(long)]
    keep_going: bool,
    /// Make a bundle of the present state first, once preflight has passed
    #[arg(long, conflicts_with = "resume")]
    safety_backup: bool,
    /// Check the bundle and the deployment, print the exact commands of every step, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Continue an unfinished restore of this bundle from its first unfinished step
    #[arg(long)]
    resume: bool,
    /// Begin with this step; with a step up to cache, stop runs too
    #[arg(long, value_name = "STEP", conflicts_with_all = ["only", "resume"])]
    from: Option<Step>,
    /// Run only this step
    #[arg(long, value_name = "STEP", conflicts_with = "resume")]
    only: Option<Step>,
    /// On a new host: put the bundle's configuration in place, and stop so that it can be edited
    #[arg(long, conflicts_with_all = ["resume", "from", "only", "dry_run", "safety_backup", "skip_verify"])]
    bootstrap: bool,
    /// Abandon an unfinished restore; nothing is undone
    #[arg(long, conflicts_with_all = ["resume", "from", "only", "bootstrap", "dry_run"])]
    abandon: bool,
    /// Do not lock the bundle's root, so that backups run meanwhile: for a drill. Retention may remove
    /// the bundle
    #[arg(long, conflicts_with_all = ["bootstrap", "abandon"])]
    no_root_lock: bool,
    /// How long to wait for services that are starting
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u32,
}

/// Runs the restore.
///
/// # Errors
/// See the exit statuses in the help.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    cli.progress.apply();
    if !pipe_kit::deploy_env::is_resolved() {
        let deploy = bootstrap::deployment()?;
        match &cli.bundle {
            Some(bundle) if cli.bootstrap => {
                return bootstrap::run(&deploy, bundle, cli.confirm.as_deref());
            }
            Some(bundle) if !bootstrap::is_configured(&deploy) => {
                return Err(bootstrap::refusal(&deploy, bundle));
            }
            _ => pipe_kit::deploy_env::ensure_resolved()?,
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
        request: Request::of(cli.resume, cli.from, cli.only),
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
        root_lock: !cli.no_root_lock,
        wait_seconds: cli.wait,
    };
    restore::run(bundle, settings, options)
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
