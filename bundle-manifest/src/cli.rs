//! The command line.

use crate::{describe, list, publish, seal, verify};
use anyhow::Result;
use clap::{Parser, Subcommand};
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use std::path::PathBuf;

const AFTER: &str = "\
EXAMPLES
  bundle-manifest describe backups/.piprio_20260421T020000Z.partial > MANIFEST.txt
  bundle-manifest sums backups/.piprio_20260421T020000Z.partial > SHA256SUMS
  bundle-manifest publish backups/.piprio_20260421T020000Z.partial
  bundle-manifest verify backups/piprio_20260421T020000Z
  bundle-manifest verify --quick --json backups/piprio_20260421T020000Z
  bundle-manifest list backups

EXIT STATUS
  0  done; verify: the bundle is intact (or unsealed, and what can be told of it is fine)
  1  failed; verify: the bundle could not be checked
  2  wrong usage
  4  the bundle is damaged
  5  refused: a bundle of that name exists already";

const AFTER_DESCRIBE: &str = "\
ENVIRONMENT
  PIPRIO_VERSION  the deployment's version (unknown where unset)
  PIPRIO_DOMAIN   the deployment's domain (unknown where unset)

EXAMPLES
  bundle-manifest describe \"$PARTIAL\" > \"$PARTIAL/MANIFEST.txt\"

EXIT STATUS
  0  done
  1  failed: database.sql.gz or config.tar.gz is missing, or something could not be read
  2  wrong usage: the directory is not named as a bundle";

const AFTER_SUMS: &str = "\
EXAMPLES
  bundle-manifest sums \"$PARTIAL\" > \"$PARTIAL/SHA256SUMS\"
  cd BUNDLE && sha256sum -c SHA256SUMS

EXIT STATUS
  0  done
  1  failed: a file could not be read, or the mirror lists an object that is not there
  2  wrong usage
  4  the mirror's own sums cannot be read as such";

const AFTER_PUBLISH: &str = "\
EXAMPLES
  bundle-manifest publish backups/.piprio_20260421T020000Z.partial

EXIT STATUS
  0  published; its path is on standard output
  1  failed; nothing has the final name
  2  wrong usage: the directory is not named .piprio_YYYYMMDDTHHMMSSZ.partial
  4  what it holds is not a whole, sealed bundle; nothing has the final name
  5  refused: the final name exists";

const AFTER_VERIFY: &str = "\
Looks for pg-snap, obj-mirror and cfg-pack on PATH, unless --quick.

EXAMPLES
  bundle-manifest verify backups/piprio_20260421T020000Z
  bundle-manifest verify --quick --json backups/piprio_20260421T020000Z

EXIT STATUS
  0  intact; or unsealed (made by the older script), and what can be told of it is fine
  1  could not be checked (a tool is missing, something cannot be read)
  2  wrong usage
  4  damaged; each thing that is wrong is a line on standard error";

const AFTER_LIST: &str = "\
EXAMPLES
  bundle-manifest list backups
  bundle-manifest list --json backups

EXIT STATUS
  0  done, also where there are none
  1  the root does not exist or cannot be read
  2  wrong usage";

/// Describe, seal, publish, verify and list backup bundles
#[derive(Parser, Debug)]
#[command(version, after_help = AFTER)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    quiet: Quiet,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Print MANIFEST.txt for a bundle directory
    #[command(after_help = AFTER_DESCRIBE)]
    Describe {
        /// Bundle directory, finished or still partial
        dir: PathBuf,
    },
    /// Print the seal: SHA256SUMS over every file that the mirror's own sums do not cover
    #[command(after_help = AFTER_SUMS)]
    Sums {
        /// Bundle directory, finished or still partial
        dir: PathBuf,
    },
    /// Make a partial bundle durable and give it its final name
    #[command(after_help = AFTER_PUBLISH)]
    Publish {
        /// Directory named .piprio_YYYYMMDDTHHMMSSZ.partial
        partial: PathBuf,
    },
    /// Check that a bundle is what it says it is
    #[command(after_help = AFTER_VERIFY)]
    Verify {
        /// Bundle directory
        dir: PathBuf,
        /// Check presence, sizes and small files alone; read nothing big, run no other tool
        #[arg(long)]
        quick: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the finished bundles below a root, newest first
    #[command(after_help = AFTER_LIST)]
    List {
        /// Directory that holds the bundles
        root: PathBuf,
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the tool.
///
/// # Errors
/// As the command failed.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    match cli.command {
        Command::Describe { dir } => describe::run(&dir),
        Command::Sums { dir } => seal::run(&dir),
        Command::Publish { partial } => publish::run(&partial),
        Command::Verify { dir, quick, json } => verify::run(&dir, quick, json),
        Command::List { root, json } => list::run(&root, json),
    }
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
