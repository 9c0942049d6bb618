//! One load of a database at a time, and no session left by a killed load. The server itself is asked,
//! because a load may be started from any host.

use crate::psql::{Server, Sessions};
use crate::psql_session::PsqlSession;
use crate::sql::with_values;
use anyhow::{Context, Result, bail};
use pipe_kit::{Stop, info};
use std::time::{Duration, Instant};

/// How long the sessions of a killed load may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long those of a load that has ended may take, before they count as left.
const GRACE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(100);

/// Held for the whole load, by a session that the server ends when the load ends in any way.
pub struct AdvisoryLock {
    session: PsqlSession,
    server_major: u32,
}

impl AdvisoryLock {
    /// Takes the lock, and ends the sessions that an earlier load of the database has left running: a psql
    /// continues with what it was sent after its load was killed, and might still swap names.
    ///
    /// # Errors
    /// [`Stop::refused`] if another load of the database is running.
    pub fn take(server: &Server, database: &str) -> Result<Self> {
        let session = PsqlSession::open(server, &server.maintenance, &["-A", "-t"])?;
        let mut lock = Self { session, server_major: server.version.major };
        lock.try_lock(database)?;
        lock.end_sessions_left(database)?;
        Ok(lock)
    }

    /// Fails if the lock is lost: then another load of the database may have begun.
    pub fn check(&mut self) -> Result<()> {
        self.query("SELECT 1").map(drop)
    }

    /// Runs a query whose answer is one line.
    fn query(&mut self, sql: &str) -> Result<String> {
        self.session.send(format!("{sql};\n").as_bytes())?;
        let answer = self.session.line().context("the session that holds the advisory lock")?;
        Ok(answer.trim().to_owned())
    }

    /// Waits a while: the server may still be releasing the lock of a load that was killed just now.
    fn try_lock(&mut self, database: &str) -> Result<()> {
        let query =
            with_values(include_str!("advisory_lock/try_lock.sql"), &[("database", database)]);
        if self.wait_until(PATIENCE, |lock| Ok(lock.query(&query)? == "t"))? {
            return Ok(());
        }
        Err(Stop::refused(format!(
            "another load of database {database} is running; nothing was changed; wait until it ends"
        ))
        .into())
    }

    fn end_sessions_left(&mut self, database: &str) -> Result<()> {
        let left = Sessions::WithOwnName;
        let from = format!(
            "FROM pg_catalog.pg_stat_activity WHERE {} AND pid <> pg_catalog.pg_backend_pid()",
            left.condition()
        );
        let count = format!("SELECT pg_catalog.count(*) {from}");
        let are_gone = |lock: &mut Self| Ok(lock.query(&count)? == "0");
        // Those of a load that has just ended are ending, too.
        if self.wait_until(GRACE, are_gone)? {
            return Ok(());
        }
        let ended = self.query(&left.end_statement(self.server_major))?;
        if ended != "0" {
            info!("ended the sessions that an earlier load of {database} had left ({ended})");
        }
        if !self.wait_until(PATIENCE, are_gone)? {
            let who = self.query(&format!(
                "SELECT pg_catalog.string_agg(usename || ' (pid ' || pid || ')', ', ') {from}"
            ))?;
            bail!(
                "sessions that an earlier load of {database} has left do not end: {who}; end them"
            );
        }
        Ok(())
    }

    fn wait_until(
        &mut self,
        limit: Duration,
        mut condition: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<bool> {
        let until = Instant::now() + limit;
        while !condition(self)? {
            if Instant::now() > until {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(true)
    }
}
