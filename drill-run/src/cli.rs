//! The command line. Doc comments are the help.

use crate::bundle::Choice;
use crate::report::Reports;
use crate::sequence::{self, Options};
use crate::settings::Settings;
use crate::step::Step;
use crate::{dry_run, environment, unopened};
use anyhow::Result;
use bundle_format::report::DrillLevel;
use clap::Parser;
use pipe_kit::log::Quiet;
use pipe_kit::{Exit, Stop, info};
use std::path::PathBuf;

const AFTER: &str = "\
STEPS, in this order:
  validate   check that the bundle is intact
  server     start a private PostgreSQL in DRILL_DIR, reachable only through a Unix socket
  load       load the dump into it; its time is the recovery time (RTO)
  compare    compare the database with the dump, and with the bundle and the drill before
  objects    compare the mirror with its index, and with the keys of drill.d/objects.sql
  config     extract the config archive aside; check that .env resolves, and its files are there
  checks     run drill.d/*.sql and drill.d/*.sh
  app        with --level app: start the product's services in a project of its own, on an isolated
             network, and check their health
  report     write DEPLOY/.drills/drill_YYYYMMDDTHHMMSSZ/report.json, report.md, report.html

A drill changes nothing of the deployment: no database, bucket, service, lock or file but its
report, the record of the run in DEPLOY/.restore/last-drill.json, the count of failures beside it,
METRICS_FILE, and the mark of a damaged bundle. Unless --keep is given, nothing else is left,
whatever ends it; what a killed drill left is removed by the next one. It runs with low priority,
and without credentials of the deployment in its environment. Programs in DEPLOY/hooks/before-drill.d
run first; one that fails refuses the drill (5). Those in after-drill.d or failed-drill.d run at its
end. With --only, no report and no record is written, no hook runs, and nobody is notified.

EXAMPLES:
  drill-run --newest
  drill-run backups/piprio_20260421T020000Z
  drill-run --random --json
  drill-run --newest --level app
  drill-run --newest --only config
  drill-run --newest --dry-run
  drill-run --verify-reports

EXIT STATUS:
  0  passed
  1  a check found something, or a step failed
  2  wrong usage
  4  the bundle is damaged; --verify-reports: a report is missing or was changed
  5  refused: no bundle, no room, no PostgreSQL for it, another drill is running, or a hook failed
  128+N  signal N; 143 also after DRILL_TIMEOUT_HOURS";

/// Restore a bundle into a private server, check the result, and remove it again
///
/// Runs a fixed sequence of steps, each of them one of the toolkit's other programs. The deployment
/// is `$PIPRIO_DEPLOY`, else the parent of this binary's directory.
#[derive(Parser, Debug)]
#[command(name = "drill-run", version, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    quiet: Quiet,
    /// The bundle's directory [default: the newest of the bundle root]
    bundle: Option<PathBuf>,
    /// Take the newest bundle of the bundle root
    #[arg(long, conflicts_with_all = ["bundle", "random"])]
    newest: bool,
    /// Take any intact bundle that is older than a week; the newest one, if none is
    #[arg(long, conflicts_with = "bundle")]
    random: bool,
    /// What to restore: data, or data and the product's services
    #[arg(long, value_enum, default_value_t = DrillLevel::Data)]
    level: DrillLevel,
    /// Run only this step and those that it needs
    #[arg(long, value_name = "STEP")]
    only: Option<Step>,
    /// Keep the restored data and its server, and print how to reach and to remove them
    #[arg(long)]
    keep: bool,
    /// Check the bundle and the programs, print the exact commands of every step, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON, in place of its path
    #[arg(long)]
    json: bool,
    /// Check that no report is missing or was changed, and stop
    #[arg(long, conflicts_with_all = ["bundle", "newest", "random", "only", "keep", "dry_run", "level"])]
    verify_reports: bool,
    /// Record and report a drill that ended with STATUS because BUNDLE, a copy, could not be opened;
    /// drill.sh runs this
    #[arg(long, value_name = "STATUS", requires = "bundle", conflicts_with = "verify_reports",
          value_parser = clap::value_parser!(u8).range(1..))]
    unopened: Option<u8>,
}

/// Runs the drill.
///
/// # Errors
/// See the exit statuses in the help.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    pipe_kit::deploy_env::ensure_resolved()?;
    environment::ensure_detached()?;
    let settings = Settings::from_environment()?;
    if cli.verify_reports {
        return verify_reports(&settings);
    }
    let level = if cli.only == Some(Step::App) { DrillLevel::App } else { cli.level };
    let choice = match cli.bundle {
        Some(bundle) => Choice::Given(bundle),
        None if cli.random => Choice::Random,
        None => Choice::Newest,
    };
    let options = Options { choice, level, only: cli.only, keep: cli.keep, json: cli.json };
    match (cli.unopened, &options.choice) {
        (Some(status), Choice::Given(copy)) => {
            let is_recorded = options.is_whole() && !cli.dry_run;
            unopened::run(&settings, &options, copy, status, is_recorded)
        }
        _ if cli.dry_run => dry_run::run(&settings, &options),
        _ => sequence::run(settings, &options),
    }
}

fn verify_reports(settings: &Settings) -> Result<Exit> {
    let chain = Reports::open(&settings.deploy, &settings.state_dir()).verify()?;
    let text: String = chain.lines.iter().map(|line| format!("{line}\n")).collect();
    pipe_kit::output::print(&text)?;
    let reports = pipe_kit::text::count(chain.reports, "report");
    if let Some(newest) = &chain.newest {
        info!(
            "the newest: {}, SHA-256 {}; noted elsewhere, it proves all before it",
            newest.drill, newest.sha256
        );
    }
    if chain.is_good() {
        info!("{reports}: none is missing, and none was changed");
        return Ok(Exit::Done);
    }
    let findings = pipe_kit::text::count(chain.lines.len(), "finding");
    Err(Stop::damaged(format!("{reports}: {findings}, listed above")).into())
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
