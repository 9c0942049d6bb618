//! The command line.

use crate::probe::Kind;
use crate::settings::Settings;
use crate::{render, rounds};
use anyhow::Result;
use clap::Parser;
use pipe_kit::{Exit, say};
use std::time::{Duration, Instant};

/// Probes a deployment's services, database, cache, readiness, storage and disks, a line each
///
/// The probes run all at once, each with the same time limit: what hangs delays the answer by one
/// limit. Object storage is probed where the deployment runs its own. Settings are the
/// environment's that deploy-env makes; without it, the tool starts itself again under deploy-env.
#[derive(Parser, Debug)]
#[command(name = "health-probe", version, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    quiet: pipe_kit::log::Quiet,

    /// How long one probe may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// Keep probing until all pass or this much time is over
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86400))]
    wait: u64,

    /// Probe these kinds alone, separated by commas
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    only: Vec<Kind>,

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
      for monitoring

EXIT STATUS
  0  every probe passed
  1  a probe failed, or the settings cannot be resolved
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
    if std::env::var_os("PIPRIO_RESOLVED").is_none() {
        return Err(pipe_kit::child::become_under("deploy-env"));
    }
    let settings = Settings::from_environment()?;
    let timeout = Duration::from_secs(cli.timeout);
    let end = Instant::now() + Duration::from_secs(cli.wait);
    let mut probes = rounds::round(&settings, &cli.only, timeout);
    while probes.iter().any(|p| !p.pass) && Instant::now() + REST < end {
        say!("{}; probing again", render::summary(&probes));
        std::thread::sleep(REST);
        probes = rounds::round(&settings, &cli.only, timeout);
    }
    let report = if cli.json { render::json(&probes)? } else { render::table(&probes) };
    pipe_kit::output::print(&report)?;
    Ok(if probes.iter().all(|p| p.pass) { Exit::Done } else { Exit::Failed })
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
