//! The session that holds the snapshot for as long as the dump takes.

use super::catalog::{self, Contents};
use super::copy;
use super::run::Run;
use crate::psql_session::PsqlSession;
use anyhow::{Context, Result};

const LAST_LINE: &str = "all told";

/// See the module.
pub struct Keeper {
    session: PsqlSession,
    /// What other sessions name to see the same.
    pub snapshot: String,
}

impl Keeper {
    /// Takes a snapshot.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn open(run: &Run<'_>) -> Result<Self> {
        let mut session = copy::open(run)?;
        session.send(
            b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\nSELECT pg_catalog.pg_export_snapshot();\n",
        )?;
        let snapshot = session.line().context("taking a snapshot")?;
        Ok(Self { session, snapshot })
    }

    /// What the database holds, as the snapshot sees it.
    ///
    /// # Errors
    /// If the server does not answer; if a table stays locked.
    pub fn contents(&mut self, run: &Run<'_>) -> Result<Contents> {
        // A table's size is asked of its files, for which it is locked for a moment.
        let ask = format!(
            "SET LOCAL lock_timeout = {};\nSET LOCAL quote_all_identifiers = off;\n{}\\echo {LAST_LINE}\n",
            run.lock_wait.as_millis(),
            catalog::ask()
        );
        self.session.send(ask.as_bytes())?;
        let mut contents = Contents::default();
        loop {
            let line = self
                .session
                .line()
                .with_context(|| format!("listing tables{}", run.locked(None)))?;
            if line == LAST_LINE {
                return Ok(contents);
            }
            contents.add(&line)?;
        }
    }

    /// Ends the transaction. That it still stood means that the snapshot was held all the time.
    ///
    /// # Errors
    /// If it did not.
    pub fn close(mut self) -> Result<()> {
        self.session.send(b"SELECT 'still here';\nCOMMIT;\n")?;
        self.session.line().context("the session that held the snapshot")?;
        self.session.close().context("the session that held the snapshot")
    }
}
