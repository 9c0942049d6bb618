//! The command line.

use crate::{memory, runs, table};
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use pipe_kit::{Exit, child};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

const AFTER_HELP: &str = "\
EXAMPLES
  bench peak /tmp/peak -- bash -c 'pg_dump | gzip > dump.sql.gz'
  bench table --of dump --against 'pg_dump > /dev/null' runs.tsv

EXIT STATUS
  0 done, 1 failed, 2 usage";

/// Watch the memory of a command, and make tables of what was measured; for scripts/bench.sh
#[derive(Parser)]
#[command(name = "bench", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a command, and write into FILE the most memory, in bytes, that it and its children held
    Peak {
        /// Where the number goes
        file: PathBuf,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Print the medians of a table's rows in Markdown
    Table {
        /// Lines of what was measured: table, role, row, seconds, bytes, peak, failure
        file: PathBuf,
        /// The table
        #[arg(long, value_name = "TABLE")]
        of: String,
        /// A row that every other is compared with; several may be given
        #[arg(long, value_name = "ROW")]
        against: Vec<String>,
    },
}

/// Does what the command line asks for.
///
/// # Errors
/// If the command fails, or the file cannot be read or written.
pub fn run(cli: Cli) -> Result<Exit> {
    match cli.verb {
        Verb::Peak { file, command } => {
            let (program, arguments) = command.split_first().context("there is no command")?;
            let watch = memory::Watch::start()?;
            let ended =
                child::spawn(Command::new(program).args(arguments), program.to_string_lossy())?
                    .wait();
            let peak = watch.stop();
            ended?;
            std::fs::write(&file, format!("{peak}\n"))
                .with_context(|| format!("writing {}", file.display()))?;
        }
        Verb::Table { file, of, against } => {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("reading {}", file.display()))?;
            let rows = runs::rows(&text, &of).with_context(|| format!("{}", file.display()))?;
            pipe_kit::output::print(&table::render(&rows, &against))?;
        }
    }
    Ok(Exit::Done)
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
