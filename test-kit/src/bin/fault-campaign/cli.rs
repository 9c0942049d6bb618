//! The command line.

use crate::campaign::{Campaign, Kind, Only};
use crate::fault::Scale;
use anyhow::Result;
use clap::{Parser, ValueEnum};
use pipe_kit::{Exit, info};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Each try is reported on standard error; a broken promise with all that is known of it. The table is
on standard output. Moments and offsets come from the seed: with it, and the number of
a try, that try is repeated.

EXAMPLES
  fault-campaign
  fault-campaign --bounded corruption
  fault-campaign --seed 7 --fault 'restore-run alone' --try 31 restore-killed

EXIT STATUS
  0 nothing was lost, 1 something was (or the campaign could not be run), 2 usage";

/// Inject faults repeatedly, and report whether anything was lost
#[derive(Parser)]
#[command(name = "fault-campaign", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// Kinds of faults [default: all]
    #[arg(value_enum)]
    kinds: Vec<Kind>,
    /// What moments and offsets come from [default: another each time]
    #[arg(long)]
    seed: Option<u64>,
    /// A few tries of each fault instead of all
    #[arg(long)]
    bounded: bool,
    /// Only faults whose names, as the table has them, hold this text
    #[arg(long, value_name = "TEXT")]
    fault: Option<String>,
    /// Only the try with this number, of every such fault
    #[arg(long = "try", value_name = "N")]
    only: Option<usize>,
    /// Directory with the built tools [default: where this program is]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// Runs the campaign.
///
/// # Errors
/// If it cannot be run, or the table cannot be written.
pub fn run(cli: Cli) -> Result<Exit> {
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    info!("seed {seed}");
    let kinds = if cli.kinds.is_empty() { Kind::value_variants().to_vec() } else { cli.kinds };
    let scale = if cli.bounded { Scale::Bounded } else { Scale::Full };
    let only = Only { fault: cli.fault, attempt: cli.only };
    let mut campaign = Campaign::new(seed, scale, only, cli.bin_dir);
    for kind in kinds {
        campaign.run(kind)?;
    }
    let table = campaign.into_table();
    pipe_kit::output::print(&format!("{table}\nseed {seed}\n"))?;
    Ok(if table.losses() == 0 { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
