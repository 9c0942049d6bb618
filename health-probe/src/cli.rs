//! The command line.

use crate::report::{self, Report};
use crate::round;
use crate::settings::Settings;
use anyhow::Result;
use bundle_format::report::ProbeKind;
use chrono::Utc;
use clap::Parser;
use pipe_kit::{Exit, info};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Probe a deployment's services, database, cache, readiness, storage, disks and newest bundle
///
/// All probes run at once, each with the same time limit, so that a part that hangs delays the report
/// by at most one limit. A part that does not work fails. A part that works but needs attention is a
/// warning: a slow answer, a disk that is filling up, a newest bundle that is old, damaged or
/// missing. The .env sets these limits (HEALTH_…). Object storage is probed where the deployment runs
/// its own. Settings come from the environment that deploy-env sets; without it, the tool restarts
/// itself under deploy-env.
#[derive(Parser, Debug)]
#[command(name = "health-probe", version, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    quiet: pipe_kit::log::Quiet,

    /// Time limit of one probe [default: HEALTH_TIMEOUT_SECONDS of the .env, else 5]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,

    /// Probe again until nothing fails or this much time has passed: for services that are starting
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86400))]
    wait: u64,

    /// Probe only these kinds, separated by commas
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    only: Vec<ProbeKind>,

    /// Treat a warning as a failure: for monitoring
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
      after a start: give services a minute to become ready
  health-probe --only database,cache,storage
      only the servers that hold state, not the application
  health-probe --json --quiet
      the report for programs
  health-probe --strict --quiet || echo 'somebody should look at it' >&2
      for monitoring: report a disk that is filling up, or last night's missing bundle, too

EXIT STATUS
  0  no probe failed; with --strict, there was no warning either
  1  a probe failed, or with --strict there was a warning; or the settings cannot be resolved
  2  usage, or a setting that is wrong
  5  refused: no deployment is configured here";

/// The pause between two rounds of `--wait`.
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
        let probes = round::round(&settings, &cli.only, timeout);
        Report { began, took: start.elapsed(), strict: cli.strict, probes }
    };
    let mut report = probe();
    while report.has_failed() && Instant::now() + REST < end {
        info!("{}; probing again", report.summary());
        std::thread::sleep(REST);
        report = probe();
    }
    let text = if cli.json { report.json()? } else { report.table(has_colour()) };
    pipe_kit::output::print(&text)?;
    Ok(if report.is_healthy() { Exit::Done } else { Exit::Failed })
}

fn has_colour() -> bool {
    report::wants_colour(std::io::stdout().is_terminal(), |name| std::env::var(name).ok())
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
