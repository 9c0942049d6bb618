//! The command line. Doc comments are the help.

use crate::client::Clients;
use crate::{compare, dump, extract, gzip, inspect, load, preflight, previous, status};
use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

const AFTER: &str = "\
ENVIRONMENT:
  PGHOST PGPORT PGUSER PGPASSWORD PGPASSFILE PGDATABASE …   as every PostgreSQL client reads them
  PG_SNAP_EXEC   the same as --exec

EXIT STATUS:
  0 done · 1 failed · 2 usage · 3 all rows are loaded, but some objects were left out
  4 the dump is damaged or not whole · 5 refused · 128+N signal N";

/// Dump, load and inspect one PostgreSQL database, through PostgreSQL's own clients.
///
/// A dump is a gzipped plain-SQL stream: `gunzip -c database.sql.gz | psql` restores it without
/// this tool. In a deployment, `bin/deploy-env -- pg-snap …` sets the environment.
#[derive(Parser)]
#[command(version, after_help = format!("{EXAMPLES}\n\n{AFTER}"))]
pub struct Cli {
    #[command(flatten)]
    quiet: Quiet,
    /// Command line put before every client call, such as 'docker exec -i -e PGUSER db'
    #[arg(long, global = true, env = "PG_SNAP_EXEC", value_name = "CMD")]
    exec: Option<String>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
EXAMPLES:
  PGHOST=127.0.0.1 PGUSER=piprio PGDATABASE=piprio pg-snap dump > database.sql.gz
  PGDATABASE=piprio pg-snap load database.sql.gz
  pg-snap inspect database.sql.gz
  PGDATABASE=piprio pg-snap status";

const LOAD_EXAMPLES: &str = "\
EXAMPLES:
  PGDATABASE=piprio pg-snap load database.sql.gz
  pg-snap dump | PGDATABASE=copy pg-snap load
  PGDATABASE=piprio pg-snap load --schema tenant_0001 database.sql.gz
  PGDATABASE=piprio pg-snap load --schema tenant_0001 --into tenant_0001_look database.sql.gz";

const EXTRACT_EXAMPLES: &str = "\
EXAMPLES:
  pg-snap extract --schema tenant_0001 database.sql.gz > tenant_0001.sql
  pg-snap extract --schema tenant_0001 - < database.sql.gz | pg-snap inspect";

const COMPARE_EXAMPLES: &str = "\
EXAMPLES:
  PGDATABASE=piprio pg-snap compare database.sql.gz
  PGDATABASE=piprio pg-snap compare --json - < database.sql.gz";

const COMPARE_AFTER: &str = "\
EXIT STATUS:
  0 the same · 1 they differ, or they could not be compared (then there is no report) · 2 usage
  4 the dump is damaged or not whole · 128+N signal N";

#[derive(Subcommand)]
enum Command {
    /// Write the database to standard output as database.sql.gz
    ///
    /// Copies tables in several sessions that see one and the same moment. What a session cannot copy as
    /// that moment saw it fails the dump. What will be trouble when it is loaded (functions that need a
    /// search_path, invalid indexes, privileges of dropped roles …) is a warning each, and inspect repeats it.
    #[command(after_help = format!("EXAMPLES:\n  PGDATABASE=piprio pg-snap dump > database.sql.gz\n\n{AFTER}"))]
    Dump {
        /// Sessions that copy tables at the same time [default: the machine's cores, at most 16]
        #[arg(long, value_name = "N")]
        jobs: Option<NonZero<usize>>,
        /// How hard to compress
        #[arg(long, value_enum, default_value_t = Level::Default)]
        level: Level,
        /// How long to wait for a table that somebody holds locked
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        lock_wait: u32,
    },
    /// Replace the database by a dump
    ///
    /// Loads into a fresh database beside the old one and swaps the names in one transaction once
    /// the load is whole. A load that fails leaves the old database as it was. Sessions connected
    /// to it are ended before the swap. Roles that the dump needs and the server lacks are created
    /// without login.
    ///
    /// A statement of the dump that fails because a name in it is not found is run again under the search
    /// path that the source database had. What still fails ends the load, unless --keep-going is given,
    /// or there is no database to fall back on (none of that name, or --drop-first): then all rows are
    /// loaded, and the old database is kept as <name>_previous where anything was left out.
    ///
    /// With --schema, one schema of the dump comes back into the database in use, and nothing else
    /// of it is touched: in one transaction the present schema is renamed to
    /// <name>_before_YYYYMMDDTHHMMSSZ, and the dump's made and filled. Refused if anything outside
    /// depends on the present one.
    #[command(after_help = format!("{LOAD_EXAMPLES}\n\n{AFTER}"))]
    Load {
        /// The dump, gzipped or plain; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Sessions that load at the same time [default: the machine's cores, at most 16]
        #[arg(long, value_name = "N")]
        jobs: Option<NonZero<usize>>,
        /// Drop the old database first, for a host without room for two. A FILE is read through first
        #[arg(long, conflicts_with = "keep_previous")]
        drop_first: bool,
        /// Keep the old database as <name>_previous
        #[arg(long)]
        keep_previous: bool,
        /// Load all rows; leave out indexes, constraints, views, grants and the like that cannot be
        /// made, name each with its error, and end with status 3
        #[arg(long)]
        keep_going: bool,
        /// Write the statements of what was left out to this file
        #[arg(long, value_name = "FILE")]
        left_out: Option<PathBuf>,
        /// Bring this schema of the dump back into the database in use, and leave all else alone
        #[arg(long, conflicts_with_all = ["drop_first", "keep_previous", "keep_going", "left_out", "jobs"])]
        schema: Option<String>,
        /// Under this name [default: the schema's own]
        #[arg(long, value_name = "NAME", requires = "schema")]
        into: Option<String>,
    },
    /// Write one schema's part of a dump to standard output, as plain SQL
    ///
    /// Works on any plain dump of pg_dump, gzipped or not. What belongs to no schema (large objects,
    /// publications, subscriptions, event triggers, extensions) is left out, and said. Of a file of
    /// pg-snap's own, other schemas' rows are not read. The output is whole if it ends with the end
    /// marker, which pg-snap inspect tells.
    #[command(after_help = format!("{EXTRACT_EXAMPLES}\n\n{AFTER}"))]
    Extract {
        /// The dump, gzipped or plain; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// The schema
        #[arg(long)]
        schema: String,
    },
    /// Tell whether a dump can be loaded, changing nothing (status 5 if not)
    ///
    /// Checks versions, rights, roles, extensions, locale, collations, tablespaces, dictionaries' files,
    /// libraries, what holds the database that would be replaced, and room on the server's disk. What
    /// only trying shows is tried in transactions that are rolled back. Of the dump only the head is
    /// read. Each problem is a line on standard error, with its remedy.
    #[command(after_help = format!("EXAMPLES:\n  PGDATABASE=piprio pg-snap preflight database.sql.gz\n  PGDATABASE=piprio pg-snap preflight --json --drop-first database.sql.gz\n\n{AFTER}"))]
    Preflight {
        /// The dump, gzipped or plain; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// As for load: the room that the old database takes will be free
        #[arg(long)]
        drop_first: bool,
        /// Report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell what a dump holds, and whether it is whole (status 4 if not)
    ///
    /// Works on any plain dump of pg_dump, gzipped or not. A file of pg-snap's own is answered from the
    /// index at its end, which tells whether anything is missing; whether a byte was changed, only
    /// --full tells. Of a dump made of INSERTs, statements are counted as rows.
    #[command(after_help = format!("EXAMPLES:\n  pg-snap inspect database.sql.gz\n  pg-snap inspect --full database.sql.gz\n  pg-snap inspect --json - < database.sql.gz\n\n{AFTER}"))]
    Inspect {
        /// The dump, gzipped or plain; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Read all of it, whether or not it has an index
        #[arg(long)]
        full: bool,
        /// Report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare the database with a dump, changing nothing (status 1 if they differ)
    ///
    /// Compares schemas, tables and their exact numbers of rows, what sequences give next, views,
    /// whether materialized views are filled, constraints and indexes with whether they are valid, and
    /// the number of large objects. It does not compare what the rows hold. A constraint or an index
    /// that the dump itself leaves not valid is no difference. Of a file of pg-snap's own, rows are
    /// taken from the index at its end; of another tool's dump all is read.
    ///
    /// Counts under one snapshot, and holds each table with a lock that keeps nobody from reading or
    /// writing it. Each difference is a line, and the last line sums up what was compared.
    #[command(after_help = format!("{COMPARE_EXAMPLES}\n\n{COMPARE_AFTER}"))]
    Compare {
        /// The dump, gzipped or plain; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Sessions that count rows at the same time [default: the machine's cores, at most 16]
        #[arg(long, value_name = "N")]
        jobs: Option<NonZero<usize>>,
        /// How long to wait for a table that somebody holds locked
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        lock_wait: u32,
        /// Report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell whether the server answers, and the database's size, schemas and sessions
    #[command(after_help = format!("EXAMPLES:\n  PGDATABASE=piprio pg-snap status --json\n\n{AFTER}"))]
    Status {
        /// Report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Swap back, or drop, the database that load --keep-previous has kept
    ///
    /// Kept databases are <name>_previous and <name>_previous_YYYYMMDDTHHMMSSZ, to which a load
    /// renames an earlier one. One that is not there to be dropped is no error.
    #[command(after_help = format!("EXAMPLES:\n  PGDATABASE=piprio pg-snap previous swap\n  PGDATABASE=piprio pg-snap previous drop\n\n{AFTER}"))]
    Previous {
        /// What to do with <name>_previous
        #[arg(value_enum)]
        action: PreviousAction,
        /// The kept database with this oid, whatever load has renamed it to since; for drop, several
        #[arg(long)]
        oid: Vec<u32>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    /// In the least time, to about as many bytes as gzip -1
    Fast,
    /// To fewer bytes than gzip -6, in a third of its time
    Default,
    /// To fewer bytes still, in several times the time
    Small,
}

#[derive(Clone, Copy, ValueEnum)]
enum PreviousAction {
    /// Make it the database again, in one transaction; the present one becomes <name>_previous
    Swap,
    /// Drop it
    Drop,
}

impl From<Level> for gzip::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Fast => Self::Fast,
            Level::Default => Self::Default,
            Level::Small => Self::Small,
        }
    }
}

/// Sessions that are opened unasked: a server lets in a hundred, unless it is told otherwise.
const MOST: NonZero<usize> = NonZero::new(16).expect("not zero");

fn cores(jobs: Option<NonZero<usize>>) -> NonZero<usize> {
    let cores = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    jobs.unwrap_or_else(|| cores.min(MOST))
}

/// Runs what the command line asks for.
///
/// # Errors
/// See the subcommands.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    let clients = Clients::new(cli.exec.as_deref())?;
    match cli.command {
        Command::Dump { jobs, level, lock_wait } => {
            let (level, jobs) = (level.into(), cores(jobs));
            let lock_wait = Duration::from_secs(lock_wait.into());
            dump::run(&clients, &dump::Options { level, jobs, lock_wait })?;
        }
        Command::Load { file, schema: Some(schema), into, .. } => {
            let into = into.unwrap_or_else(|| schema.clone());
            load::tenant::run(&clients, &load::tenant::SchemaOptions { file, schema, into })?;
        }
        Command::Extract { file, schema } => extract::run(&file, &schema)?,
        Command::Load { file, jobs, drop_first, keep_previous, keep_going, left_out, .. } => {
            let jobs = cores(jobs);
            let options =
                load::LoadOptions { file, jobs, drop_first, keep_previous, keep_going, left_out };
            return load::run(&clients, &options);
        }
        Command::Preflight { file, drop_first, json } => {
            return preflight::run(&clients, &file, drop_first, json);
        }
        Command::Inspect { file, full, json } => return inspect::run(&file, json, full),
        Command::Compare { file, jobs, lock_wait, json } => {
            let (jobs, lock_wait) = (cores(jobs), Duration::from_secs(lock_wait.into()));
            return compare::run(&clients, &compare::Options { file, jobs, lock_wait, json });
        }
        Command::Status { json } => return status::run(&clients, json),
        Command::Previous { action: PreviousAction::Swap, oid } => {
            let ([] | [_]) = oid.as_slice() else {
                return Err(pipe_kit::Stop::usage("previous swap takes one --oid").into());
            };
            return previous::swap(&clients, oid.first().copied());
        }
        Command::Previous { action: PreviousAction::Drop, oid } => {
            return previous::drop(&clients, &oid);
        }
    }
    Ok(Exit::Done)
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
