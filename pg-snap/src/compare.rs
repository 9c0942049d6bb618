//! `pg-snap compare`: a database held against a dump. It changes nothing.

mod count;
mod database;
mod encoding;
mod holdings;
mod inserts;
mod report;
mod statement;
mod verdict;

use crate::client::Clients;
use crate::psql::{self, Server, Sessions};
use crate::psql_session::PsqlSession;
use crate::random_token::random_token;
use anyhow::{Context, Result};
use count::Run;
use database::Database;
use encoding::Encoding;
use holdings::Holdings;
use pipe_kit::{Exit, cleanup};
use report::Report;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

const LAST_LINE: &str = "end of the catalog";

/// What `compare` is asked for.
pub struct Options {
    pub file: PathBuf,
    /// Sessions that count rows.
    pub jobs: NonZero<usize>,
    /// How long to wait for a table that somebody holds locked.
    pub lock_wait: Duration,
    pub json: bool,
}

/// Compares `PGDATABASE` with a dump, and prints what differs.
///
/// # Errors
/// [`pipe_kit::Stop::damaged`] if the dump is not whole; if the server does not answer, or a table
/// cannot be counted. A difference is no error, and status 1.
pub fn run(clients: &Clients, options: &Options) -> Result<Exit> {
    let database = psql::wanted_database()?;
    let (held, sections) = Holdings::read(&options.file)?;
    // No other run anywhere has sessions of this name.
    let name = format!("pg-snap compare {}", random_token()?);
    let server = Server::connect(clients, &database)?.naming_sessions(&name);
    let ending = (server.clone(), name.clone());
    let sessions =
        cleanup::on_failure(move || ending.0.end_sessions_or_warn(Sessions::Named(&ending.1)));

    let own = server.query(&database, "SHOW server_encoding")?;
    let encoding = Encoding::of(own.trim());
    let mut held = encoding.names(&server, &database, held)?;
    held.add_sections(sections);
    let run = Run {
        server: &server,
        database: &database,
        name: &name,
        encoding: encoding.of_sessions(),
        bytewise: encoding.is_bytewise(),
        lock_wait: options.lock_wait,
    };
    let mut keeper = run.open()?;
    let (catalog, snapshot) = look(&run, &mut keeper)?;
    let counts = run.count(count::tasks(&held, &catalog), options.jobs, &snapshot)?;
    keeper.close().context("the session that held the snapshot")?;
    sessions.disarm();

    let compared = verdict::verdict(&held, &catalog, &counts, server.version.major);
    let report = Report {
        same: compared.findings.is_empty(),
        database,
        server_version: server.version.to_string(),
        dump_version: held.server_version,
        compared,
    };
    let text = if options.json {
        format!("{}\n", serde_json::to_string(&report)?)
    } else {
        report.to_text()
    };
    pipe_kit::output::print(&text)?;
    Ok(if report.same { Exit::Done } else { Exit::Failed })
}

/// Takes a snapshot, and looks at the catalog under it.
fn look(run: &Run<'_>, session: &mut PsqlSession) -> Result<(Database, String)> {
    session.send_text(&format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\nSET LOCAL lock_timeout = {};\n\
         SELECT pg_catalog.pg_export_snapshot();\n{}\\echo {LAST_LINE}\n",
        run.lock_wait.as_millis(),
        database::ASK
    ))?;
    let snapshot = session.line().context("taking a snapshot")?;
    let mut catalog = Database::default();
    loop {
        let line = session.line().context("reading the catalog")?;
        if line == LAST_LINE {
            return Ok((catalog, snapshot));
        }
        catalog.add(&line)?;
    }
}
