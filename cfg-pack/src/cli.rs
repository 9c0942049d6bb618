//! The command line.

use crate::{create, diff, extract, list};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use std::ffi::OsString;
use std::path::PathBuf;

const EXIT_STATUS: &str = "\
EXIT STATUS:
  0  done
  1  something failed
  2  wrong command line
  4  the archive is damaged, or holds what no archive of ours may hold; nothing was changed
  5  a safeguard said no; nothing was changed
  128+N  ended by signal N";

const AFTER: &str = "\
EXAMPLES:
  cfg-pack create --root /srv/deploy .env --optional secrets --optional certs > config.tar.gz
  cfg-pack list < config.tar.gz
  cfg-pack diff --root /srv/deploy < config.tar.gz
  cfg-pack extract --root /srv/deploy secrets certs < config.tar.gz

The archive is a plain tar.gz: tar xzf config.tar.gz restores it with no tool of ours.

";

const AFTER_CREATE: &str = "\
A PATH that is a link is followed. A link inside that stays within what is archived is stored as a
link; one that leads elsewhere is stored as its content, and said. A link that leads nowhere, a
socket, a fifo or a device fails the run, and so does a file that changes while it is read.
Access control lists, extended attributes (user.*, security.capability) and the names of owners are
kept; what cannot be read, or is not kept, is a warning that names file and attribute.
Copies that extract kept (NAME.before-YYYYMMDDTHHMMSSZ) are left out.
The same input gives the same bytes.

EXAMPLES:
  cfg-pack create --root /srv/deploy .env secrets certs > config.tar.gz
  cfg-pack create --root . .env --optional secrets --optional certs > config.tar.gz

";

const AFTER_LIST: &str = "\
EXAMPLES:
  cfg-pack list config.tar.gz
  cfg-pack list --json < config.tar.gz

";

const AFTER_DIFF: &str = "\
The result is a unified diff of what is there now (-) against the archive (+). Values that look
secret are shown as ***, and `(differs)` says that they do. Of files under secrets/, of keys and of
binary files it is only said that they differ. Access control lists, and as root owners, that differ are
shown. The exit status is 0 whether anything differs or
not; `no differences` is said on stderr.

EXAMPLES:
  cfg-pack diff --root /srv/deploy < config.tar.gz
  cfg-pack diff --root /srv/deploy .env < config.tar.gz
  cfg-pack diff --root /srv/deploy --json < config.tar.gz

";

const AFTER_EXTRACT: &str = "\
The whole archive is checked before anything is changed: absolute paths, `..`, links that leave the
deployment, devices and doubled names are refused (4). What is replaced is kept beside it as
NAME.before-YYYYMMDDTHHMMSSZ; what is identical is left alone; what only the deployment has stays.
No link on disk is followed but DIR/TOP itself (secrets/ on another disk). Modes, access control lists
and extended attributes are the archive's, without setuid, setgid and sticky. As root, a replaced file
keeps its owner and a new one gets the archive's, by name where that name is here; otherwise all files
are the caller's. A group that is not the archive's gets no rights by it, a list that cannot be set
gives way to a mode that lets nobody do more, and each is a warning; so is a file that becomes open to
more than it was here.

EXAMPLES:
  cfg-pack extract --root /srv/deploy --dry-run < config.tar.gz
  cfg-pack extract --root /srv/deploy secrets certs < config.tar.gz
  cfg-pack extract --root /srv/deploy .env --optional secrets < config.tar.gz

";

/// Packs the settings, secrets and certificates of a deployment into one archive, shows what an
/// archive would change, and brings it back
#[derive(Debug, Parser)]
#[command(name = "cfg-pack", version, after_help = format!("{AFTER}{EXIT_STATUS}"))]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// How much to say
    #[command(flatten)]
    pub quiet: Quiet,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write an archive of PATHs to standard output
    #[command(after_help = format!("{AFTER_CREATE}{EXIT_STATUS}"))]
    Create(Create),
    /// Check an archive and print what it holds
    #[command(after_help = format!("{AFTER_LIST}{EXIT_STATUS}"))]
    List(List),
    /// Show what the archive on standard input would change
    #[command(after_help = format!("{AFTER_DIFF}{EXIT_STATUS}"))]
    Diff(Diff),
    /// Bring back what the archive on standard input holds
    #[command(after_help = format!("{AFTER_EXTRACT}{EXIT_STATUS}"))]
    Extract(Extract),
}

/// Which part of a deployment is meant.
#[derive(Args, Debug)]
pub struct Chosen {
    /// The deployment's directory
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// A PATH that may be missing; repeatable
    #[arg(long, value_name = "PATH")]
    pub optional: Vec<OsString>,
}

/// `create`
#[derive(Args, Debug)]
pub struct Create {
    /// Where
    #[command(flatten)]
    pub chosen: Chosen,
    /// What to archive, relative to DIR; a missing one fails the run
    #[arg(value_name = "PATH", required_unless_present = "optional")]
    pub paths: Vec<OsString>,
}

/// `list`
#[derive(Args, Debug)]
pub struct List {
    /// The archive; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `diff`
#[derive(Args, Debug)]
pub struct Diff {
    /// Where
    #[command(flatten)]
    pub chosen: Chosen,
    /// What to compare, relative to DIR; everything if none is given
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Show secret values too
    #[arg(long, conflicts_with = "json")]
    pub reveal: bool,
    /// Print a summary as JSON instead: each path that differs, and how
    #[arg(long)]
    pub json: bool,
}

/// `extract`
#[derive(Args, Debug)]
pub struct Extract {
    /// Where
    #[command(flatten)]
    pub chosen: Chosen,
    /// What to bring back, relative to DIR; everything if none is given
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Check everything and print what would be done, but change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run")]
    pub json: bool,
}

/// Runs the tool.
///
/// # Errors
/// What the verb says.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    match cli.command {
        Command::Create(args) => create::run(&args),
        Command::List(args) => list::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Extract(args) => extract::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
