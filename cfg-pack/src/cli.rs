//! The command line.

use clap::{Args, Parser, Subcommand};
use pipe_kit::log::Quiet;
use std::ffi::OsString;
use std::path::PathBuf;

const EXIT_STATUS: &str = "\
EXIT STATUS:
  0  done
  1  something failed
  2  wrong command line
  4  the archive is damaged or has a forbidden entry; nothing was changed
  5  refused by a safeguard; nothing was changed
  128+N  ended by signal N";

const AFTER: &str = "\
EXAMPLES:
  cfg-pack create --root /srv/deploy .env --optional secrets --optional certs > config.tar.gz
  cfg-pack list < config.tar.gz
  cfg-pack diff --root /srv/deploy < config.tar.gz
  cfg-pack extract --root /srv/deploy secrets certs < config.tar.gz

The archive is a plain tar.gz: tar xzf config.tar.gz extracts it without this toolkit.

";

const AFTER_CREATE: &str = "\
A PATH that is a link is followed. A link below it is stored as a link if its target is archived
too; otherwise its target's content is stored in its place, with a message. A dangling link, a
socket, a fifo or a device fails the run, and so does a file that changes while it is read.
The archive keeps access control lists, extended attributes (user.*, security.capability) and
owner names; a warning names each attribute that cannot be read or is not kept.
Copies kept by extract (NAME.before-YYYYMMDDTHHMMSSZ) are skipped.
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
Prints a unified diff of each .env file, from the deployment (-) to the archive (+). A value is
shown if its key is a setting that is not secret, ends in a word such as _HOST, _PORT or _FLAGS,
or begins with PUBLIC_, or if the value is yes, no, true, false, on, off or empty. Everything
else is ***, with `(differs)` where it differs. For other files, only the names are printed.
Modes, access control lists and extended attributes that differ are listed, and owners when run
as root.
The exit status is 0 whether or not anything differs. If nothing differs, standard error has the
line `no differences`.

EXAMPLES:
  cfg-pack diff --root /srv/deploy < config.tar.gz
  cfg-pack diff --root /srv/deploy .env < config.tar.gz
  cfg-pack diff --root /srv/deploy --json < config.tar.gz

";

const AFTER_EXTRACT: &str = "\
Checks the whole archive before it changes anything: absolute paths, `..`, links that leave the
deployment, devices and duplicate names are refused (4). A replaced file is kept beside the new
one as NAME.before-YYYYMMDDTHHMMSSZ. Identical files are left alone, and so are files that the
archive does not have. No link on disk is followed except DIR/TOP itself (secrets/ on another
disk). Modes, access control lists and extended attributes are the archive's. Files have no setuid,
setgid and sticky; a new directory has setgid if its group is the archive's, and sticky. As root, a replaced file keeps its owner and a new one gets the archive's, by
name if this host knows the name; otherwise the caller owns all files. If the group is not the
archive's, it gets no rights; if a list cannot be set, the file gets a mode that gives nobody
more access. Each of these is a warning, and so is a file that becomes accessible to more users
than before.

EXAMPLES:
  cfg-pack extract --root /srv/deploy --dry-run < config.tar.gz
  cfg-pack extract --root /srv/deploy secrets certs < config.tar.gz
  cfg-pack extract --root /srv/deploy .env --optional secrets < config.tar.gz

";

/// Archive the settings, secrets and certificates of a deployment, compare an archive with the
/// deployment, and extract it
#[derive(Debug, Parser)]
#[command(name = "cfg-pack", version, after_help = format!("{AFTER}{EXIT_STATUS}"))]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Log level
    #[command(flatten)]
    pub quiet: Quiet,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write an archive of PATHs to standard output
    #[command(after_help = format!("{AFTER_CREATE}{EXIT_STATUS}"))]
    Create(Create),
    /// Check an archive and list its entries
    #[command(after_help = format!("{AFTER_LIST}{EXIT_STATUS}"))]
    List(List),
    /// Show what the archive on standard input would change
    #[command(after_help = format!("{AFTER_DIFF}{EXIT_STATUS}"))]
    Diff(Diff),
    /// Restore files from the archive on standard input
    #[command(after_help = format!("{AFTER_EXTRACT}{EXIT_STATUS}"))]
    Extract(Extract),
}

/// Which part of a deployment is meant.
#[derive(Args, Debug)]
pub struct Chosen {
    /// The deployment's directory
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// PATH that may be missing; repeatable
    #[arg(long, value_name = "PATH")]
    pub optional: Vec<OsString>,
}

/// `create`
#[derive(Args, Debug)]
pub struct Create {
    /// Where
    #[command(flatten)]
    pub chosen: Chosen,
    /// Path to archive, relative to DIR; the run fails if it is missing
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
    /// Path to compare, relative to DIR; everything if none is given
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Show all values, and the lines of every text file
    #[arg(long, conflicts_with = "json")]
    pub reveal: bool,
    /// Print JSON instead: each path that differs, and how
    #[arg(long)]
    pub json: bool,
}

/// `extract`
#[derive(Args, Debug)]
pub struct Extract {
    /// Where
    #[command(flatten)]
    pub chosen: Chosen,
    /// Path to extract, relative to DIR; everything if none is given
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Check everything and print what would be done, without changing anything
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run")]
    pub json: bool,
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
