//! One load of a database at a time, and nothing of a killed one still at work: the server itself is
//! asked, because a load may be started from any host.

use crate::psql::{MAY_END, Server};
use crate::session::Session;
use crate::sql::literal;
use anyhow::{Context, Result, bail};
use pipe_kit::{Stop, say};
use std::time::{Duration, Instant};

/// How long what a killed load has left may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// Held for as long as a load runs, by a session that the server ends with us, however we end.
pub struct Lease(Session);

impl Lease {
    /// Takes it, and ends what an earlier load of the database has left at work: psql goes on with
    /// what it was told when the load that told it is killed, and might yet swap names.
    ///
    /// # Errors
    /// [`Stop::refused`] if another load of the database is running; if leftovers cannot be ended.
    pub fn take(server: &Server, database: &str) -> Result<Self> {
        let mut lease = Self(Session::open(server, &server.maintenance, &["-A", "-t"])?);
        lease.lock(database)?;
        lease.end_leftovers(database)?;
        Ok(lease)
    }

    /// Without it, another load of the database may have begun.
    ///
    /// # Errors
    /// If its session has ended.
    pub fn still_held(&mut self) -> Result<()> {
        self.ask("SELECT 1").map(drop)
    }

    /// Asks a question whose answer is one line.
    fn ask(&mut self, sql: &str) -> Result<String> {
        self.0.send(format!("{sql};\n").as_bytes())?;
        let answer = self.0.line().context("the session that keeps other loads away")?;
        Ok(answer.trim().to_owned())
    }

    /// The lease of a load killed just now is still being given back.
    fn lock(&mut self, database: &str) -> Result<()> {
        let keys = [literal("pg-snap load"), literal(database)]
            .map(|text| format!("pg_catalog.hashtext({text})"));
        // A lock is of the database that its session is in, which may be another for another role.
        let elsewhere = format!(
            "SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 \
             AND (classid, objid) = ({}::bit(32)::bigint::oid, {}::bit(32)::bigint::oid) \
             AND pid <> pg_catalog.pg_backend_pid()",
            keys[0], keys[1]
        );
        let ask = format!(
            "SELECT CASE WHEN pg_catalog.pg_try_advisory_lock({}) THEN NOT EXISTS ({elsewhere}) ELSE false END",
            keys.join(", ")
        );
        let free = self.within_patience(|lease| Ok(lease.ask(&ask)? == "t"))?;
        if free {
            return Ok(());
        }
        Err(Stop::refused(format!(
            "another load of database {database} is running; nothing was changed; wait for its end"
        ))
        .into())
    }

    fn end_leftovers(&mut self, database: &str) -> Result<()> {
        let of_loads = "FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid() \
             AND application_name = pg_catalog.current_setting('application_name')";
        let ended = self.ask(&format!(
            "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) {of_loads} AND ({MAY_END})"
        ))?;
        if ended != "0" {
            say!("ended {ended} session(s) that an earlier load of {database} had left at work");
        }
        let gone = self.within_patience(|lease| {
            Ok(lease.ask(&format!("SELECT count(*) {of_loads}"))? == "0")
        })?;
        if !gone {
            let who = self.ask(&format!(
                "SELECT pg_catalog.string_agg(usename || ' (pid ' || pid || ')', ', ') {of_loads}"
            ))?;
            bail!(
                "sessions that an earlier load of {database} has left do not end: {who}; end them"
            );
        }
        Ok(())
    }

    fn within_patience(
        &mut self,
        mut is_so: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<bool> {
        let until = Instant::now() + PATIENCE;
        while !is_so(self)? {
            if Instant::now() > until {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(true)
    }
}
