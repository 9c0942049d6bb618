//! The session that holds the snapshot for as long as the dump takes.

use super::catalog::{self, Contents};
use super::copy;
use super::run::DumpRun;
use crate::psql_session::PsqlSession;
use anyhow::{Context, Result};

const LAST_LINE: &str = "end of the list";

pub struct SnapshotHolder {
    session: PsqlSession,
    /// The name under which other sessions use it.
    pub snapshot: String,
}

impl SnapshotHolder {
    /// Takes a snapshot.
    pub fn open(run: &DumpRun<'_>) -> Result<Self> {
        let mut session = copy::open_session(run)?;
        session.send(
            b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\nSELECT pg_catalog.pg_export_snapshot();\n",
        )?;
        let snapshot = session.line().context("taking a snapshot")?;
        Ok(Self { session, snapshot })
    }

    /// What the database holds, as the snapshot sees it.
    pub fn contents(&mut self, run: &DumpRun<'_>) -> Result<Contents> {
        // Reading a table's size locks the table for a moment.
        let query = format!(
            "SET LOCAL lock_timeout = {};\nSET LOCAL quote_all_identifiers = off;\n{}\\echo {LAST_LINE}\n",
            run.lock_wait.as_millis(),
            catalog::QUERY
        );
        self.session.send(query.as_bytes())?;
        let mut contents = Contents::default();
        loop {
            let line = self
                .session
                .line()
                .with_context(|| format!("listing tables{}", run.lock_holders(None)))?;
            if line == LAST_LINE {
                return Ok(contents);
            }
            contents.add_line(&line)?;
        }
    }

    /// Ends the transaction. If it is still open, the snapshot was held all the time.
    pub fn close(mut self) -> Result<()> {
        self.session.send(b"SELECT 'still here';\nCOMMIT;\n")?;
        self.session.line().context("the session that held the snapshot")?;
        self.session.close().context("the session that held the snapshot")
    }
}
