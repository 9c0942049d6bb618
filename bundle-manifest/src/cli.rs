//! The command line.

use crate::archive::{Keys, pack, unpack};
use crate::{alarm, describe, diff, list, publish, seal, verify};
use anyhow::Result;
use clap::{Parser, Subcommand};
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use pipe_kit::progress::Progress;
use std::ffi::OsString;
use std::path::PathBuf;

const AFTER: &str = "\
EXAMPLES
  bundle-manifest describe backups/.piprio_20260421T020000Z.partial > MANIFEST.txt
  bundle-manifest sums backups/.piprio_20260421T020000Z.partial > SHA256SUMS
  bundle-manifest publish backups/.piprio_20260421T020000Z.partial
  bundle-manifest verify backups/piprio_20260421T020000Z
  bundle-manifest verify --quick --json backups/piprio_20260421T020000Z
  bundle-manifest list backups
  bundle-manifest diff backups/piprio_20260420T020000Z backups/piprio_20260421T020000Z
  bundle-manifest pack backups/piprio_20260421T020000Z > bundle.tar
  bundle-manifest pack backups/piprio_20260421T020000Z | bundle-manifest unpack - unpacked

EXIT STATUS
  0  done; verify: the bundle is intact (or unsealed, and what can be checked of it is in order)
  1  failed; verify: the bundle could not be checked
  2  wrong usage
  4  the bundle or the archive is damaged
  5  refused: a bundle of that name exists already, another run is working there, or there is not
     enough space";

const AFTER_PACK: &str = "\
The archive holds one directory, named as the bundle. Every file is checked against the seal
while it is read, so nothing is read twice. COMMAND reads the archive from its standard input
and writes to standard output; if the bundle turns out to be damaged, COMMAND is terminated. If
standard output is redirected to a new file, a failure leaves that file empty.

EXAMPLES
  bundle-manifest pack backups/piprio_20260421T020000Z > bundle.tar
  bundle-manifest pack backups/piprio_20260421T020000Z -- gzip > bundle.tar.gz

EXIT STATUS
  0  done
  1  failed: something could not be read or written, or COMMAND failed
  2  wrong usage: the directory is not named as a bundle, or standard output is a terminal
  4  the bundle is damaged";

const AFTER_UNPACK: &str = "\
FILE is a tar or tar.gz with one bundle's directory in it, plain or encrypted with age or gpg;
its first bytes decide which. Only directories and regular files inside the bundle are accepted.
Everything is written to DIR/.NAME.partial, which gets its name once the archive is read to its
end, age or gpg has confirmed that all of it is genuine, and every file matches the bundle's
seal. Otherwise nothing is kept. A bundle of the older script has no seal; only the presence of
its components is checked.

EXAMPLES
  bundle-manifest pack backups/piprio_20260421T020000Z | bundle-manifest unpack - unpacked

EXIT STATUS
  0  done; the bundle's path is on standard output
  1  failed: wrong key or passphrase, age or gpg is missing, or something could not be read or
     written
  2  wrong usage
  4  damaged, truncated, or not an archive of exactly one bundle
  5  refused: the bundle exists already, another run is working in DIR, or there is not enough
     space";

const AFTER_DESCRIBE: &str = "\
ENVIRONMENT
  PIPRIO_VERSION  the deployment's version (unknown if unset)
  PIPRIO_DOMAIN   the deployment's domain (unknown if unset)

EXAMPLES
  bundle-manifest describe \"$PARTIAL\" > \"$PARTIAL/MANIFEST.txt\"

EXIT STATUS
  0  done
  1  failed: database.sql.gz or config.tar.gz is missing, or something could not be read
  2  wrong usage: the directory is not named as a bundle";

const AFTER_SUMS: &str = "\
With --known, files whose checksum their writer has computed are not read again. A line of FILE is a
size in bytes, a modification time in nanoseconds since 1970, and a line as sha256sum writes it. A
file of another time is read, and must have the checksum all the same.

EXAMPLES
  bundle-manifest sums \"$PARTIAL\" > \"$PARTIAL/SHA256SUMS\"
  cd BUNDLE && sha256sum -c SHA256SUMS

EXIT STATUS
  0  done
  1  failed: a file could not be read, or the mirror lists an object that is missing
  2  wrong usage
  4  the mirror's own checksums or those of --known cannot be read, or a file is not as its writer
     has left it";

const AFTER_PUBLISH: &str = "\
EXAMPLES
  bundle-manifest publish backups/.piprio_20260421T020000Z.partial

EXIT STATUS
  0  published; its path is on standard output
  1  failed; nothing has the final name
  2  wrong usage: the directory is not named .piprio_YYYYMMDDTHHMMSSZ.partial
  4  the directory is not a complete, sealed bundle; nothing has the final name
  5  refused: the final name exists";

const AFTER_VERIFY: &str = "\
Runs pg-snap, obj-mirror and cfg-pack, found on PATH, unless --quick.

EXAMPLES
  bundle-manifest verify backups/piprio_20260421T020000Z
  bundle-manifest verify --quick --json backups/piprio_20260421T020000Z

EXIT STATUS
  0  intact; or unsealed (made by the older script), and what can be checked of it is in order
  1  could not be checked (a tool is missing, something cannot be read)
  2  wrong usage
  4  damaged; standard error has a line for each problem";

const AFTER_LIST: &str = "\
EXAMPLES
  bundle-manifest list backups
  bundle-manifest list --json backups
  bundle-manifest list --newest backups
  bundle-manifest list --newest --intact --domain docs.example.org --paths backups

EXIT STATUS
  0  done, even if there are no bundles
  1  the root does not exist or cannot be read
  2  wrong usage";

const AFTER_DIFF: &str = "\
Tables are compared by rows and bytes, objects by size and checksum, from the indexes of the
dumps and the mirrors; no row and no object is read. For the config archive, names of files and
settings are printed, never a value. Runs pg-snap, found on PATH.

EXAMPLES
  bundle-manifest diff backups/piprio_20260420T020000Z backups/piprio_20260421T020000Z
  bundle-manifest diff --json backups/piprio_20260420T020000Z backups/piprio_20260421T020000Z

EXIT STATUS
  0  done, whether or not anything changed
  1  failed: something could not be read
  2  wrong usage";

const AFTER_ALARM: &str = "\
The alarm is raised if a schema is gone, if a table that had rows is empty, if a file below secrets/
is gone or empty, if certs/ had files and has none, or if the number of rows (of all, or of a schema
that had 100 or more) or of objects (of all, or under a prefix that had 100 or more) is below
--shrink-percent of the number before. The alarm is a warning, and a mark beside the bundle (.NAME.shrunk). While there is a mark, bundle-prune removes no bundle of
the same deployment, and the health check warns. The alarm ends when a later bundle has
everything again that was missing, or with --accept. Runs pg-snap, found on PATH.

EXAMPLES
  bundle-manifest alarm backups/piprio_20260421T020000Z
  bundle-manifest alarm --accept backups/piprio_20260421T020000Z

EXIT STATUS
  0  done, whether or not the alarm is on
  1  failed: the bundle could not be read, or the mark could not be written
  2  wrong usage: the directory is not named as a finished bundle";

/// Describe, seal, publish, verify, list, compare, pack and unpack backup bundles
#[derive(Parser, Debug)]
#[command(version, after_help = AFTER)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    quiet: Quiet,
    #[command(flatten)]
    progress: Progress,
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
        /// File of checksums that are known already; - for standard input
        #[arg(long, value_name = "FILE")]
        known: Option<PathBuf>,
    },
    /// Sync a partial bundle to disk and give it its final name
    #[command(after_help = AFTER_PUBLISH)]
    Publish {
        /// Directory named .piprio_YYYYMMDDTHHMMSSZ.partial
        partial: PathBuf,
    },
    /// Check that a bundle is complete and unchanged since it was sealed
    #[command(after_help = AFTER_VERIFY)]
    Verify {
        /// Bundle directory
        dir: PathBuf,
        /// Check only presence, sizes and small files; read no large file, run no other tool
        #[arg(long)]
        quick: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a bundle to standard output as one tar archive
    #[command(after_help = AFTER_PACK)]
    Pack {
        /// Bundle directory
        dir: PathBuf,
        /// Pipe the archive through this command
        #[arg(last = true, value_name = "COMMAND")]
        through: Vec<OsString>,
    },
    /// Unpack a bundle from a tar or tar.gz, encrypted or not
    #[command(after_help = AFTER_UNPACK)]
    Unpack {
        /// Archive; - for standard input
        file: PathBuf,
        /// Directory to unpack into; created (0700) if it is missing
        dir: PathBuf,
        /// File of age identities; may be given more than once
        #[arg(long, short, value_name = "FILE")]
        identity: Vec<PathBuf>,
        /// File whose first line is the passphrase, for gpg without a terminal
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// List the finished bundles below a root, newest first
    #[command(after_help = AFTER_LIST)]
    List {
        /// Directory that holds the bundles
        root: PathBuf,
        /// List only the newest, without reading the others; a bundle dated more than a day ahead of
        /// the clock counts only if all are
        #[arg(long)]
        newest: bool,
        /// List only intact bundles
        #[arg(long)]
        intact: bool,
        /// List only bundles of this deployment and of unknown ones
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        /// Directory with the reports of drills [default: .drills of PIPRIO_DEPLOY, where that is set]
        #[arg(long, value_name = "DIR")]
        drills: Option<PathBuf>,
        /// File with what was copied where [default: .restore/ship/shipped.json of PIPRIO_DEPLOY, where
        /// that is set]
        #[arg(long, value_name = "FILE")]
        shipped: Option<PathBuf>,
        /// Print only the bundles' paths, one per line
        #[arg(long, conflicts_with = "json")]
        paths: bool,
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what changed from one bundle to another
    #[command(after_help = AFTER_DIFF)]
    Diff {
        /// Earlier bundle
        before: PathBuf,
        /// Later bundle
        after: PathBuf,
        /// Print the difference as JSON
        #[arg(long)]
        json: bool,
    },
    /// Warn if a bundle holds far less than the newest intact one before it
    #[command(after_help = AFTER_ALARM)]
    Alarm {
        /// Finished bundle's directory
        dir: PathBuf,
        /// Raise the alarm below this percentage of the rows or objects before; 0 ends every alarm
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
        shrink_percent: u32,
        /// End the alarm: the deployment's bundles hold what they should
        #[arg(long)]
        accept: bool,
    },
}

/// Runs the tool.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    cli.progress.apply();
    match cli.command {
        Command::Describe { dir } => describe::run(&dir),
        Command::Sums { dir, known } => seal::run(&dir, known.as_deref()),
        Command::Publish { partial } => publish::run(&partial),
        Command::Verify { dir, quick, json } => verify::run(&dir, quick, json),
        Command::Pack { dir, through } => pack::run(&dir, &through),
        Command::Unpack { file, dir, identity, passphrase_file } => {
            unpack::run(&file, &dir, &Keys { identities: identity, passphrase_file })
        }
        Command::List { root, newest, intact, domain, drills, shipped, paths, json } => {
            let options = list::Options { newest, intact, domain, drills, shipped, paths, json };
            list::run(&root, &options)
        }
        Command::Diff { before, after, json } => diff::run(&before, &after, json),
        Command::Alarm { dir, shrink_percent, accept } => alarm::run(&dir, shrink_percent, accept),
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
