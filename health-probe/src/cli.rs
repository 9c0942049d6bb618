//! The command line.

use crate::probe::Kind;
use crate::render::{self, Report};
use crate::rounds;
use crate::settings::Settings;
use anyhow::Result;
use chrono::Utc;
use clap::Parser;
use pipe_kit::{Exit, say};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Probes a deployment's services, database, cache, readiness, storage, disks and newest bundle, a line each
///
/// The probes run all at once, each with the same time limit: what hangs delays the answer by one
/// limit. What does not work fails. What works, and should be looked at before it does not, is warned
/// of: an answer that is slow, a disk that fills, a newest bundle that is old, damaged or not there;
/// what counts as such is set in the .env (HEALTH_…). Object storage is probed where the deployment runs its own. Settings are the
/// environment's that deploy-env makes; without it, the tool starts itself again under deploy-env.
#[derive(Parser, Debug)]
#[command(name = "health-probe", version, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    quiet: pipe_kit::log::Quiet,

    /// How long one probe may take [default: HEALTH_TIMEOUT_SECONDS of the .env, else 5]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,

    /// Keep probing until nothing fails or this much time is over: for services that are starting
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86400))]
    wait: u64,

    /// Probe these kinds alone, separated by commas
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    only: Vec<Kind>,

    /// A warning is a failure: for monitoring
    #[arg(long)]
    strict: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
EXAMPLES
  health-probe
      the deployment's health, once
  health-probe --wait 60
      after a start: gives services a minute to become ready
  health-probe --only database,cache,storage
      the servers that hold state, and not the application
  health-probe --json --quiet
      the same for programs
  health-probe --strict --quiet || echo 'somebody should look at it' >&2
      for monitoring: speaks up when a disk fills, or last night's bundle is missing, too

EXIT STATUS
  0  no probe failed; with --strict, nothing was warned of either
  1  a probe failed, or with --strict was warned of; or the settings cannot be resolved
  2  usage, or a setting that is wrong
  5  refused: no deployment is configured here";

/// How long to rest between two rounds of `--wait`.
const REST: Duration = Duration::from_secs(1);

/// Runs the tool.
///
/// # Errors
/// If the settings are missing or the report cannot be written.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    pipe_kit::deploy_env::ensure_resolved()?;
    let settings = Settings::from_environment()?;
    let timeout = cli.timeout.map_or(settings.timeout, Duration::from_secs);
    let (began, start) = (Utc::now(), Instant::now());
    let end = start + Duration::from_secs(cli.wait);
    let probe = || {
        let probes = rounds::round(&settings, &cli.only, timeout);
        Report { began, took: start.elapsed(), strict: cli.strict, probes }
    };
    let mut report = probe();
    while report.has_failed() && Instant::now() + REST < end {
        say!("{}; probing again", report.summary());
        std::thread::sleep(REST);
        report = probe();
    }
    let text = if cli.json { report.json()? } else { report.table(has_colour()) };
    pipe_kit::output::print(&text)?;
    Ok(if report.is_healthy() { Exit::Done } else { Exit::Failed })
}

fn has_colour() -> bool {
    render::wants_colour(std::io::stdout().is_terminal(), |name| std::env::var(name).ok())
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
