//! `pg-snap compare`: compares a database with a dump, without changing anything.

mod catalog;
mod comparison;
mod count;
mod dumped_objects;
mod encoding;
mod inserts;
mod report;
mod statement;

use crate::client::Clients;
use crate::connections;
use crate::psql::{self, Server, Sessions, sqlstate_of};
use crate::psql_session::PsqlSession;
use crate::random_token::random_token;
use crate::server_error::INSUFFICIENT_PRIVILEGE;
use anyhow::{Context, Result};
use bundle_format::report::CompareReport;
use catalog::Catalog;
use count::CountRun;
use dumped_objects::DumpedObjects;
use encoding::Encoding;
use pipe_kit::{Exit, cleanup};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

pub use statement::{DumpStatement, parse as parse_statement};

const LAST_LINE: &str = "end of the catalog";

pub struct CompareOptions {
    pub file: PathBuf,
    /// Number of sessions that count rows.
    pub jobs: NonZero<usize>,
    /// How long to wait for a table that another session holds locked.
    pub lock_wait: Duration,
    pub json: bool,
}

/// Compares `PGDATABASE` with a dump, and prints what differs.
///
/// # Errors
/// [`pipe_kit::Stop::damaged`] if the dump is incomplete. A difference is not an error, but status 1.
pub fn run(clients: &Clients, options: &CompareOptions) -> Result<Exit> {
    let database = psql::wanted_database()?;
    let (dumped, sections) = DumpedObjects::read(&options.file)?;
    // The sessions of no other run have this name.
    let name = format!("pg-snap compare {}", random_token()?);
    let server = Server::connect(clients, &database)?.naming_sessions(&name);
    let ending = (server.clone(), name.clone());
    let sessions =
        cleanup::on_failure(move || ending.0.end_sessions_or_warn(Sessions::Named(&ending.1)));

    let own = server.query(&database, "SHOW server_encoding")?;
    let encoding = Encoding::of(own.trim());
    let mut dumped = encoding.converted(&server, &database, dumped)?;
    dumped.add_sections(sections);
    let run = CountRun {
        server: &server,
        database: &database,
        name: &name,
        encoding: encoding.of_sessions(),
        bytewise: encoding.is_bytewise(),
        lock_wait: options.lock_wait,
    };
    let mut holder = run.open_session()?;
    let (catalog, snapshot) = read_catalog(&run, &mut holder)?;
    let jobs = match accepted_connections(&server, &database) {
        Ok(accepted) => connections::limit_jobs(options.jobs, connections::BESIDE_DUMP, accepted),
        // The role may not ask.
        Err(error) if sqlstate_of(&error) == Some(INSUFFICIENT_PRIVILEGE) => options.jobs,
        Err(error) => return Err(error),
    };
    let counts = run.count(count::tasks(&dumped, &catalog), jobs, &snapshot)?;
    holder.close().context("the session that held the snapshot")?;
    sessions.disarm();

    let comparison = comparison::compare(&dumped, &catalog, &counts, server.version.major);
    let report = CompareReport {
        same: comparison.findings.is_empty(),
        database,
        server_version: server.version.to_string(),
        dump_version: dumped.server_version,
        comparison,
    };
    let text = if options.json {
        format!("{}\n", serde_json::to_string(&report)?)
    } else {
        report::to_text(&report)
    };
    pipe_kit::output::print(&text)?;
    Ok(if report.same { Exit::Done } else { Exit::Failed })
}

/// How many sessions of this run the server accepts.
fn accepted_connections(server: &Server, database: &str) -> Result<i64> {
    let ours = "pg_catalog.current_setting('application_name')";
    let ask = connections::accepted("pg_catalog.current_database()", ours);
    let accepted = server.query(database, &format!("SELECT {ask}"))?;
    accepted.trim().parse().with_context(|| format!("unexpected limit: {accepted}"))
}

/// Takes a snapshot, and reads the catalog under it.
fn read_catalog(run: &CountRun<'_>, session: &mut PsqlSession) -> Result<(Catalog, String)> {
    session.send_text(&format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\nSET LOCAL lock_timeout = {};\n\
         SELECT pg_catalog.pg_export_snapshot();\n{}\\echo {LAST_LINE}\n",
        run.lock_wait.as_millis(),
        catalog::QUERY
    ))?;
    let snapshot = session.line().context("taking a snapshot")?;
    let mut catalog = Catalog::default();
    loop {
        let line = session.line().context("reading the catalog")?;
        if line == LAST_LINE {
            return Ok((catalog, snapshot));
        }
        catalog.add_line(&line)?;
    }
}
