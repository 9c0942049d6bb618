//! The command line. Doc comments are the help.

use crate::settings::Settings;
use crate::{backup, dry_run};
use anyhow::Result;
use clap::Parser;
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use pipe_kit::progress::Progress;
use std::path::PathBuf;

const AFTER: &str = "\
STAGES, in this order:
  database   pg-snap dump
  objects    obj-mirror, where the deployment runs its own object storage; a first pass of it runs
             beside the dump
  config     cfg-pack create: .env, secrets/, certs/
  manifest   bundle-manifest describe
  seal       bundle-manifest sums
  publish    bundle-manifest publish: the bundle gets its final name
  alarm      bundle-manifest alarm: compares it with the bundle before it
  prune      bundle-prune: removes bundles older than BACKUP_KEEP_DAYS that neither BACKUP_KEEP_DAILY,
             nor _WEEKLY, _MONTHLY or _YEARLY keeps
If SHIP_1 to SHIP_9 name destinations and BACKUP_SHIP is yes, ship-run then copies the bundle
there, and with SHIP_KEEP_DAYS removes old copies. The backup's locks are released by then.

The programs are searched for on PATH. A stage that fails ends the run. If it fails before
publish, no bundle is made, and earlier bundles are unchanged; if it fails later, the bundle is
complete, and nothing is pruned.

The path of the bundle is printed on standard output, then the report of bundle-prune. A record
of the run (stages, seconds, bytes, status) is written to DEPLOY/.restore/last-backup.json. Programs
in DEPLOY/hooks/before-backup.d run first; one that fails refuses the run (5). Those in
after-backup.d or failed-backup.d run at its end.

EXAMPLES
  backup-run
  backup-run --dry-run
  backup-run --json /mnt/usb/backups
  backup-run --accept

EXIT STATUS
  0  done
  1  a stage failed: it ended with a status that is not listed here, or with 2; or the bundle is
     complete, but it is not copied to every destination
  2  wrong usage, or a wrong setting
  3  some objects could not be read; no bundle was made
  4  what was written is damaged; no bundle was made
  5  refused: another backup or restore is running, a restore is unfinished, the filesystem of the
     root is not mounted, a hook failed, or there is no .env
  128+N  signal N";

/// Make a bundle of the whole deployment
///
/// Runs a fixed sequence of stages, each of them one of the toolkit's other programs. The deployment
/// is `$PIPRIO_DEPLOY`, else the parent of this binary's directory.
#[derive(Parser, Debug)]
#[command(name = "backup-run", version, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    quiet: Quiet,
    #[command(flatten)]
    progress: Progress,
    /// Directory that holds the bundles [default: BACKUP_ROOT of the .env]
    root: Option<PathBuf>,
    /// Run under the lock of the restore that starts this, link to no other bundle, and prune nothing
    #[arg(long, conflicts_with = "accept")]
    safety_backup: bool,
    /// The root whose lock that restore holds too; any other is locked by this run
    #[arg(long, value_name = "DIR", requires = "safety_backup")]
    locked_root: Option<PathBuf>,
    /// Accept the content of this bundle: end the alarm that a bundle holds far less than the one before
    #[arg(long)]
    accept: bool,
    /// Accept that the root is no longer on a filesystem of its own, but on the disk below its mount point
    #[arg(long, conflicts_with = "safety_backup")]
    accept_root: bool,
    /// Print the exact command of every stage, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the record of the run as JSON, in place of the bundle's path
    #[arg(long, conflicts_with = "dry_run")]
    json: bool,
}

/// Runs the tool.
///
/// # Errors
/// See the exit statuses in the help.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    cli.progress.apply();
    pipe_kit::deploy_env::ensure_resolved()?;
    let mut settings = Settings::from_environment()?;
    settings.root = cli.root.unwrap_or(settings.root);
    settings.safety_backup = cli.safety_backup;
    settings.locked_root = cli.locked_root;
    settings.accept = cli.accept;
    settings.accept_root = cli.accept_root;
    if cli.dry_run { dry_run::run(&settings) } else { backup::run(&settings, cli.json) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
