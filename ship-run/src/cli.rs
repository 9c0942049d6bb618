//! The command line. Doc comments are the help.

use clap::{ArgGroup, Args, Parser, Subcommand};
use pipe_kit::log::Quiet;
use pipe_kit::progress::Progress;
use std::ffi::OsString;
use std::path::PathBuf;

const AFTER: &str = "\
The destinations are SHIP_1 to SHIP_9: s3://BUCKET[/PREFIX], a directory that exists, or
restic:REPOSITORY, which has its own encryption. A bundle is read and encrypted once for all buckets
and directories. Nothing is written unencrypted: without SHIP_RECIPIENTS, nothing is sent to them
(5). One destination that fails does not stop the others.

Beside each copy lies its description, NAME.tar.age.json: size and checksums of the copy, so that
`list` and `verify` need no keys that open it. A copy is complete with its description, which is
written last.

A copy that a destination has already is not made again. If the keys of a destination can only
upload, the record of this host counts (.restore/ship/shipped.json).

ENVIRONMENT, as deploy-env exports it
  SHIP_RECIPIENTS      file of age recipients; or gpg:KEY[,KEY] of gpg's keyring
  SHIP_n               destination, n from 1 to 9
  SHIP_n_ENDPOINT SHIP_n_REGION SHIP_n_CA_BUNDLE   the storage of s3://
  SHIP_n_ACCESS_KEY SHIP_n_SECRET_KEY              its keys, or …_FILE each; or SHIP_n_PROFILE
  SHIP_n_RETAIN_DAYS SHIP_n_RETAIN_MODE            lock each copy (Object Lock)
  SHIP_n_FORCE_PATH_STYLE                          yes or no [default: yes with an endpoint]
  SHIP_n_PASSWORD_FILE                             password of a restic repository
  SHIP_n_MAX_RATE                                  bytes per second
  SHIP_TIMEOUT_HOURS   end a shipment that takes longer [default: 24]; 0: never
  SHIP_KEEP_DAYS SHIP_KEEP_DAILY SHIP_KEEP_WEEKLY SHIP_KEEP_MONTHLY SHIP_KEEP_YEARLY
                       which copies are kept [default: BACKUP_KEEP_… of the same name]

EXAMPLES
  ship-run --newest
  ship-run --all
  ship-run backups/piprio_20260421T020000Z
  ship-run list
  ship-run verify --sample 5
  ship-run prune --dry-run
  ship-run fetch s3://offsite/host1/piprio_20260421T020000Z.tar.age > sealed

EXIT STATUS
  0  done
  1  failed: nothing was copied
  2  wrong usage, or no destination is set
  3  incomplete: some destinations failed, or had not ended after SHIP_TIMEOUT_HOURS; each is
     named on stderr
  4  the bundle is damaged, or a copy is
  5  refused: no recipients are set, a recipient's key is not usable, restic is missing, or
     another run is copying
  128+N  signal N";

/// Copy bundles, encrypted, to other places
#[derive(Parser, Debug)]
#[command(
    name = "ship-run",
    version,
    after_help = AFTER,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    group = ArgGroup::new("selection").args(["bundle", "newest", "all"]).required(true)
)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) send: Send,
    #[command(flatten)]
    pub(crate) progress: Progress,
    #[command(flatten)]
    pub(crate) quiet: Quiet,
}

/// Which bundles are sent.
#[derive(Args, Debug)]
pub struct Send {
    /// Bundle directory
    pub bundle: Option<PathBuf>,
    /// Copy the newest intact bundle of BACKUP_ROOT
    #[arg(long)]
    pub newest: bool,
    /// Copy every intact bundle of BACKUP_ROOT that a destination lacks, the newest first
    #[arg(long)]
    pub all: bool,
    /// Then remove old copies, as ship-run prune does, at each destination to which everything was sent
    #[arg(long)]
    pub prune: bool,
    /// Print a report as JSON
    #[arg(long)]
    pub json: bool,
}

/// What is done with the copies.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the copies of every destination
    List(List),
    /// Compare the copies with their descriptions
    Verify(Verify),
    /// Remove old copies, by the same rule as bundles
    Prune(Prune),
    /// Write a copy to standard output, checked against its description
    Fetch(Fetch),
    /// Create the restic repositories that do not exist
    Init(Init),
}

/// `ship-run init`
#[derive(Args, Debug)]
#[command(after_help = "\
Each SHIP_n that is restic:REPOSITORY needs SHIP_n_PASSWORD_FILE. Keep a copy of that password
elsewhere: without it, nobody can read the repository.

EXAMPLES
  ship-run init

EXIT STATUS
  0  all are there
  2  wrong usage, or no destination is set
  3  some could not be created; each is named on stderr")]
pub struct Init {}

/// `ship-run list`
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES
  ship-run list
  ship-run list --json

EXIT STATUS
  0  done
  3  some destinations could not be listed")]
pub struct List {
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}

/// `ship-run verify`
#[derive(Args, Debug)]
#[command(after_help = "\
Without --sample, every copy is read whole. With it, every copy's size and description are
compared, and PERCENT of its parts, chosen at random, at least one of each copy. A restic repository
is checked by restic check, with its data or with PERCENT of it. What is found is recorded, after
another run that is copying has ended: a damaged copy is made again by the next run, and does not
count as a copy that retention keeps. A damaged repository takes nothing until a check without
--sample finds all of it intact.

EXAMPLES
  ship-run verify
  ship-run verify --sample 5 --json

EXIT STATUS
  0  every copy is as it was written, or not complete yet
  3  some destinations could not be read, as a repository that is in use, or what was found could
     not be recorded
  4  a copy is damaged, cut, replaced or incomplete; each is named on stderr")]
pub struct Verify {
    /// Read only this percentage of each copy
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub sample: Option<u32>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `ship-run prune`
#[derive(Args, Debug)]
#[command(after_help = "\
The newest complete copy of each destination is never removed, and nothing is while the alarm is
on or the clock is in doubt, as for bundles (bundle-prune). The alarm is also on where the newest
complete copy was made while it was on, unless this host has its bundle and the alarm is off here.
A locked copy is kept until its lock ends. Only copies of this deployment's domain are removed. A
snapshot in a restic repository is removed only if it is old by this rule and by restic's own
(restic forget, with the same numbers).

EXAMPLES
  ship-run prune --dry-run
  ship-run prune --keep-days 90
  ship-run prune --keep-days 7 --keep-weekly 5 --keep-monthly 12

EXIT STATUS
  0  done
  3  some destinations failed, or a copy was not removed; each is named on stderr")]
pub struct Prune {
    /// Remove copies older than this many days [default: SHIP_KEEP_DAYS, else BACKUP_KEEP_DAYS]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_days: Option<u32>,
    /// Keep at least this many of the newest complete copies of each destination, whatever their age
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub keep_last: usize,
    /// Keep the newest complete copy of each of the last N days that have one [default: SHIP_KEEP_DAILY,
    /// else BACKUP_KEEP_DAILY; the others alike]
    #[arg(long, value_name = "N")]
    pub keep_daily: Option<u32>,
    /// The same for weeks, which begin on Monday
    #[arg(long, value_name = "N")]
    pub keep_weekly: Option<u32>,
    /// The same for months
    #[arg(long, value_name = "N")]
    pub keep_monthly: Option<u32>,
    /// The same for years
    #[arg(long, value_name = "N")]
    pub keep_yearly: Option<u32>,
    /// Print each copy's verdict and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `ship-run fetch`
#[derive(Args, Debug)]
#[command(after_help = "\
COPY is one of
  s3://BUCKET/[PREFIX/]NAME.tar.age
  restic:REPOSITORY:BUNDLE   restic:BUNDLE: the repository of the settings, or of RESTIC_REPOSITORY
  SHIP_n:BUNDLE              at this destination, whatever it is

The settings of the destination that COPY lies in are used; on a host without any, the AWS_* and
RESTIC_* variables of the environment (obj-mirror --help). On a new host, SHIP_1 and SHIP_1_… in the
environment do as well. Only the exit status shows that the output is complete.

EXAMPLES
  ship-run fetch s3://offsite/host1/piprio_20260421T020000Z.tar.age > sealed
  ship-run fetch SHIP_1:piprio_20260421T020000Z > sealed

EXIT STATUS
  0  complete, and as its description has it
  1  failed: there is no such copy, or the storage cannot be reached
  2  wrong usage
  4  it is damaged, cut or replaced
  5  refused: a program is missing, there is not enough space, the keys are refused, or there are
     several snapshots of that name")]
pub struct Fetch {
    /// Copy to fetch, in one of the forms below
    pub copy: String,
    /// Restore a snapshot of restic into this directory, and print the bundle's path
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub into: Option<PathBuf>,
    /// File with the password of a restic repository that no setting has
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Write it to the standard input of this command instead, and end with its status
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let parse = |args: &[&str]| Cli::try_parse_from([&["ship-run"], args].concat());
        for good in [
            &["--newest"][..],
            &["--all", "--json"],
            &["b"],
            &["list"],
            &["verify", "--sample", "5"],
        ] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        for wrong in [&[][..], &["--all", "b"], &["verify", "--sample", "0"], &["--json"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
