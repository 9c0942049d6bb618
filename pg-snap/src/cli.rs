//! The command line. The doc comments are the text of `--help`.

use crate::client::Clients;
use crate::gzip::Level;
use crate::{compare, dump, extract, inspect, load, preflight, previous, status};
use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use pipe_kit::progress::Progress;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

const ENVIRONMENT: &str = "\
ENVIRONMENT:
  PGHOST PGPORT PGUSER PGPASSWORD PGPASSFILE PGDATABASE …   as every PostgreSQL client reads them
  PG_SNAP_EXEC   the same as --exec";

const STATUS: &str = "\
EXIT STATUS:
  0 done · 1 failed · 2 usage
  4 the dump is damaged or incomplete · 5 refused · 128+N signal N";

/// The statuses of a load, and so of the whole program.
const LOAD_STATUS: &str = "\
EXIT STATUS:
  0 done · 1 failed · 2 usage · 3 load: all rows are loaded, but some objects were omitted
  4 the dump is damaged or incomplete · 5 refused · 128+N signal N";

/// Dump, load and inspect one PostgreSQL database, using PostgreSQL's own clients.
///
/// A dump is a gzipped plain-SQL stream: `gunzip -c database.sql.gz | psql` restores it without
/// pg-snap. In a deployment, `bin/deploy-env -- pg-snap …` sets the environment.
#[derive(Parser)]
#[command(version, after_help = format!("{EXAMPLES}\n\n{ENVIRONMENT}\n\n{LOAD_STATUS}"))]
pub struct Cli {
    #[command(flatten)]
    quiet: Quiet,
    #[command(flatten)]
    progress: Progress,
    /// Command line to put before each client call, such as 'docker exec -i -e PGUSER db'
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
  0 the same · 1 they differ, or could not be compared (then no report is printed) · 2 usage
  4 the dump is damaged or incomplete · 128+N signal N";

#[derive(Subcommand)]
enum Command {
    /// Write the database to standard output as database.sql.gz
    ///
    /// Copies tables in several sessions that share one snapshot. The dump fails if a session cannot copy a
    /// table as the snapshot sees it. Prints a warning for everything that can cause trouble in a load
    /// (functions that need a search_path, invalid indexes, privileges of dropped roles …); inspect prints
    /// the warnings again.
    #[command(after_help = format!("EXAMPLES:\n  PGDATABASE=piprio pg-snap dump > database.sql.gz\n\n{ENVIRONMENT}\n\n{STATUS}"))]
    Dump {
        /// Number of sessions that copy tables at the same time [default: number of cores, at most 16]
        #[arg(long, value_name = "N")]
        jobs: Option<NonZero<usize>>,
        /// Compression level
        #[arg(long, value_enum, default_value_t = Level::Default)]
        level: Level,
        /// How long to wait for a table that another session holds locked
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        lock_wait: u32,
    },
    /// Replace the database with a dump
    ///
    /// Loads into a new database next to the old one, and swaps the names in one transaction when the
    /// load is complete. If the load fails, the old database is unchanged. Sessions connected to it are
    /// ended before the swap. Roles that the dump needs and the server lacks are created without login.
    ///
    /// Functions that are not PostgreSQL's own are evaluated under the search path of the source database, if
    /// the dump names it. A statement that fails because a name in it is not found runs again under that
    /// search path. If it still fails, so does the load, except with --keep-going, or if there is no
    /// database to fall back on (none of that name, or --drop-first): then all rows are loaded, and the
    /// old database is kept as <name>_previous if any object was omitted.
    ///
    /// With --schema, restores one schema of the dump into the current database and leaves everything
    /// else unchanged: in one transaction, renames the present schema to
    /// <name>_before_YYYYMMDDTHHMMSSZ, then creates and fills the schema of the dump. Refuses if any
    /// object outside the present schema depends on it.
    #[command(after_help = format!("{LOAD_EXAMPLES}\n\n{ENVIRONMENT}\n\n{LOAD_STATUS}"))]
    Load {
        /// Dump file, gzipped or plain; - reads standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Number of sessions that load at the same time [default: number of cores, at most 16]
        #[arg(long, value_name = "N")]
        jobs: Option<NonZero<usize>>,
        /// Drop the old database first, for a disk without room for both; a FILE is checked in full first
        #[arg(long, conflicts_with = "keep_previous")]
        drop_first: bool,
        /// Keep the old database as <name>_previous
        #[arg(long)]
        keep_previous: bool,
        /// Load all rows, omit indexes, constraints, views, grants and similar objects that cannot be
        /// created, print each with its error, and exit with status 3
        #[arg(long)]
        keep_going: bool,
        #[command(flatten)]
        files: load::OutputFiles,
        /// Restore only this schema of the dump, into the current database
        #[arg(long, conflicts_with_all = ["drop_first", "keep_previous", "keep_going", "left_out", "record", "jobs"])]
        schema: Option<String>,
        /// Restore the schema under this name [default: its own name]
        #[arg(long, value_name = "NAME", requires = "schema")]
        into: Option<String>,
    },
    /// Write one schema of a dump to standard output, as plain SQL
    ///
    /// Reads any plain dump of pg_dump, gzipped or not. Objects that belong to no schema (large objects,
    /// publications, subscriptions, event triggers, extensions) are omitted, and the log names them. In a
    /// dump of pg-snap, the rows of other schemas are not read. Complete output ends with the end marker;
    /// pg-snap inspect checks for it.
    #[command(after_help = format!("{EXTRACT_EXAMPLES}\n\n{ENVIRONMENT}\n\n{STATUS}"))]
    Extract {
        /// Dump file, gzipped or plain; - reads standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Name of the schema
        #[arg(long)]
        schema: String,
    },
    /// Check whether a dump can be loaded, changing nothing (status 5 if not)
    ///
    /// Checks versions, privileges, roles, extensions, locale, collations, tablespaces, dictionary files,
    /// libraries, values of settings, what prevents the database from being replaced, and free space on the
    /// server's disk.
    /// Where only an attempt gives the answer, it is made in a transaction that is rolled back. Reads only
    /// the head of the dump. Prints each problem on standard error, with its remedy.
    #[command(after_help = format!("EXAMPLES:\n  PGDATABASE=piprio pg-snap preflight database.sql.gz\n  PGDATABASE=piprio pg-snap preflight --json --drop-first database.sql.gz\n\n{ENVIRONMENT}\n\n{STATUS}"))]
    Preflight {
        /// Dump file, gzipped or plain; - reads standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Check for load --drop-first: count the space of the old database as free
        #[arg(long)]
        drop_first: bool,
        /// Check for load --keep-going: objects that the role may not create are notes
        #[arg(long)]
        keep_going: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a dump contains and whether it is complete (status 4 if not)
    ///
    /// Reads any plain dump of pg_dump, gzipped or not. In a dump of pg-snap, reads only the index at its
    /// end, which shows whether anything is missing; use --full to detect changed bytes. In a dump made of
    /// INSERTs, each statement counts as one row.
    ///
    /// With --definitions, prints a line for each entry of the dump that is not data (tables, constraints,
    /// indexes, functions, triggers, policies …), each right and each column: its kind and name, and a hash
    /// of its statements. Two such lists show what two dumps define differently.
    #[command(after_help = format!("EXAMPLES:\n  pg-snap inspect database.sql.gz\n  pg-snap inspect --full database.sql.gz\n  pg-snap inspect --json - < database.sql.gz\n  pg-snap inspect --definitions database.sql.gz\n\n{ENVIRONMENT}\n\n{STATUS}"))]
    Inspect {
        /// Dump file, gzipped or plain; - reads standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Read the whole dump, even if it has an index
        #[arg(long)]
        full: bool,
        /// List what the dump defines, with hashes
        #[arg(long, conflicts_with = "full")]
        definitions: bool,
        /// Print the report as JSON; with --definitions, one object per line
        #[arg(long)]
        json: bool,
    },
    /// Compare the database with a dump, changing nothing (status 1 if they differ)
    ///
    /// Compares schemas, tables and their exact row counts, next values of sequences, views, whether
    /// materialized views are populated, constraints and indexes with their validity, and the number of
    /// large objects. Does not compare the contents of rows. A constraint or index that is not valid in the
    /// dump itself is not a difference. In a dump of pg-snap, row counts come from the index at its end;
    /// another tool's dump is read in full.
    ///
    /// Counts under one snapshot, and locks each table in a mode that blocks neither reads nor writes.
    /// Prints one line per difference, and a summary as the last line.
    #[command(after_help = format!("{COMPARE_EXAMPLES}\n\n{COMPARE_AFTER}"))]
    Compare {
        /// Dump file, gzipped or plain; - reads standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Number of sessions that count rows at the same time [default: number of cores, at most 16]
        #[arg(long, value_name = "N")]
        jobs: Option<NonZero<usize>>,
        /// How long to wait for a table that another session holds locked
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        lock_wait: u32,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show whether the server answers, and the size, schemas and sessions of the database
    #[command(after_help = format!("EXAMPLES:\n  PGDATABASE=piprio pg-snap status --json\n\n{ENVIRONMENT}\n\n{STATUS}"))]
    Status {
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Swap back or drop the database that load --keep-previous has kept
    ///
    /// Kept databases are named <name>_previous and, once a later load has renamed them,
    /// <name>_previous_YYYYMMDDTHHMMSSZ. Dropping one that does not exist is not an error.
    #[command(after_help = format!("EXAMPLES:\n  PGDATABASE=piprio pg-snap previous swap\n  PGDATABASE=piprio pg-snap previous drop\n\n{ENVIRONMENT}\n\n{STATUS}"))]
    Previous {
        /// What to do with <name>_previous
        #[arg(value_enum)]
        action: PreviousAction,
        /// Choose the kept database by its oid, which a rename does not change; drop takes several
        #[arg(long)]
        oid: Vec<u32>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum PreviousAction {
    /// Make it the database again, in one transaction; the current one becomes <name>_previous
    Swap,
    /// Drop it
    Drop,
}

/// Limit of the default number of sessions: a server accepts a hundred unless configured otherwise.
const MAX_DEFAULT_JOBS: NonZero<usize> = NonZero::new(16).expect("not zero");

fn jobs_or_default(jobs: Option<NonZero<usize>>) -> NonZero<usize> {
    let cores = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    jobs.unwrap_or_else(|| cores.min(MAX_DEFAULT_JOBS))
}

/// Runs the subcommand.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    cli.progress.apply();
    let clients = Clients::new(cli.exec.as_deref())?;
    match cli.command {
        Command::Dump { jobs, level, lock_wait } => {
            let (jobs, lock_wait) = (jobs_or_default(jobs), Duration::from_secs(lock_wait.into()));
            dump::run(&clients, &dump::DumpOptions { level, jobs, lock_wait })?;
        }
        Command::Load { file, schema: Some(schema), into, .. } => {
            let into = into.unwrap_or_else(|| schema.clone());
            load::tenant::run(&clients, &load::tenant::SchemaOptions { file, schema, into })?;
        }
        Command::Extract { file, schema } => extract::run(&file, &schema)?,
        Command::Load { file, jobs, drop_first, keep_previous, keep_going, files, .. } => {
            let jobs = jobs_or_default(jobs);
            let options =
                load::LoadOptions { file, jobs, drop_first, keep_previous, keep_going, files };
            return load::run(&clients, &options);
        }
        Command::Preflight { file, drop_first, keep_going, json } => {
            let keep_previous = !drop_first;
            let load =
                preflight::Replacement { file: &file, drop_first, keep_previous, keep_going };
            return preflight::run(&clients, &load, json);
        }
        Command::Inspect { file, definitions: true, json, .. } => {
            return inspect::list_definitions(&file, json);
        }
        Command::Inspect { file, full, json, .. } => return inspect::run(&file, json, full),
        Command::Compare { file, jobs, lock_wait, json } => {
            let (jobs, lock_wait) = (jobs_or_default(jobs), Duration::from_secs(lock_wait.into()));
            return compare::run(
                &clients,
                &compare::CompareOptions { file, jobs, lock_wait, json },
            );
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
