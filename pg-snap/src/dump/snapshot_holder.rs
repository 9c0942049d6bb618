//! The session that holds the snapshot for as long as the dump takes.

use super::catalog::{self, Contents};
use super::run::{self, DumpRun};
use super::session;
use crate::connections;
use crate::psql::Server;
use crate::psql_session::PsqlSession;
use anyhow::{Context, Result};
use std::time::Duration;

const LAST_LINE: &str = "end of the list";
const ENCODING: &str = "SHOW server_encoding;\n";
/// Asked before anything is set: what the database's and the role's own settings are.
const OWN_SETTINGS: &str = "SELECT pg_catalog.json_build_array(\
     pg_catalog.current_setting('standard_conforming_strings'), pg_catalog.current_setting('search_path'));\n";
/// Between two looks at the locks of pg_dump.
const PAUSE: Duration = Duration::from_millis(20);

pub struct SnapshotHolder {
    session: PsqlSession,
    /// The name under which other sessions use it.
    pub snapshot: String,
    pub settings: OwnSettings,
    /// Names of the sessions of dumps of this database, of this run too.
    pub dump_sessions: Vec<String>,
    /// How many sessions of this run the server accepts.
    pub connections: i64,
}

/// Settings of a session in which nothing was set.
#[derive(Clone)]
pub struct OwnSettings {
    /// Of the database.
    pub encoding: String,
    /// Whether strings are written in which backslashes are doubled.
    pub backslashes_escape: bool,
    pub search_path: String,
}

impl SnapshotHolder {
    /// Takes a snapshot.
    pub fn open(server: &Server, database: &str) -> Result<Self> {
        let mut session = session::connect(server, database)?;
        session.send(ENCODING.as_bytes())?;
        let encoding = session.line().context("taking a snapshot")?;
        session::set_client_encoding(&mut session, &encoding)?;
        session.send(OWN_SETTINGS.as_bytes())?;
        let line = session.line().context("taking a snapshot")?;
        let (strings, search_path): (String, String) = serde_json::from_str(&line)
            .with_context(|| format!("unexpected settings of the session: {line}"))?;
        session::set_up(&mut session)?;
        session.send(
            b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\nSELECT pg_catalog.pg_export_snapshot();\n",
        )?;
        let snapshot = session.line().context("taking a snapshot")?;
        session.send(run::list_sessions().as_bytes())?;
        let line = session.line().context("listing the sessions of dumps")?;
        let dump_sessions = serde_json::from_str(&line)
            .with_context(|| format!("unexpected list of sessions: {line}"))?;
        let accepted = connections::accepted(
            "pg_catalog.current_database()",
            "pg_catalog.current_setting('application_name')",
        );
        session.send(format!("SELECT {accepted};\n").as_bytes())?;
        let line = session.line().context("asking for the limits of connections")?;
        let connections = line.parse().with_context(|| format!("unexpected limit: {line}"))?;
        let backslashes_escape = strings == "off";
        let settings = OwnSettings { encoding, backslashes_escape, search_path };
        Ok(Self { session, snapshot, settings, dump_sessions, connections })
    }

    /// Adds the sequences, as the snapshot sees them.
    pub fn list_sequences(&mut self, run: &DumpRun<'_>, contents: &mut Contents) -> Result<()> {
        self.list(catalog::SEQUENCES, run, contents)
    }

    /// Adds everything else that the database holds, as the snapshot sees it.
    pub fn list_tables(&mut self, run: &DumpRun<'_>, contents: &mut Contents) -> Result<()> {
        self.list(&catalog::tables(), run, contents)
    }

    fn list(&mut self, query: &str, run: &DumpRun<'_>, contents: &mut Contents) -> Result<()> {
        // Reading a table's size locks the table for a moment. Compiling the plan of a query that reads
        // thousands of rows would take longer than running it.
        let query = format!(
            "SET LOCAL lock_timeout = {};\nSET LOCAL quote_all_identifiers = off;\nSET LOCAL jit = off;\n\
             {query}\\echo {LAST_LINE}\n",
            run.lock_wait.as_millis()
        );
        self.session.send(query.as_bytes())?;
        loop {
            let line = self
                .session
                .line()
                .with_context(|| format!("listing tables{}", run.lock_holders(None)))?;
            if line == LAST_LINE {
                return Ok(());
            }
            contents.add_line(&line)?;
        }
    }

    /// Waits until pg_dump holds all its locks, or no longer runs: on a server that has hardly room for
    /// them, it must not lack the last one because a worker has it.
    pub fn wait_for_locks(&mut self, run: &DumpRun<'_>, contents: &Contents) -> Result<()> {
        let Some(table) = contents.locked_last() else { return Ok(()) };
        // In a transaction, the server shows those sessions that were there when it was first asked.
        let ask = format!(
            "SELECT pg_catalog.pg_stat_clear_snapshot();\n\
             SELECT count(*) FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) \
             WHERE l.relation = {table} AND l.granted AND a.datname = pg_catalog.current_database() \
               AND a.application_name = pg_catalog.current_setting('application_name') \
               AND pid <> pg_catalog.pg_backend_pid();\n"
        );
        while !run.is_defined() {
            run.fail_if_abandoned()?;
            self.session.send(ask.as_bytes())?;
            self.session.line().context("waiting for pg_dump")?;
            if self.session.line().context("waiting for pg_dump")? != "0" {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Ends the transaction. If it is still open, the snapshot was held all the time.
    pub fn close(mut self) -> Result<()> {
        self.session.send(b"SELECT 'still here';\nCOMMIT;\n")?;
        self.session.line().context("the session that held the snapshot")?;
        self.session.close().context("the session that held the snapshot")
    }
}
