//! Talking to a server through psql.

pub use crate::server_error::sqlstate_of;

use crate::client::Client;
use crate::libpq;
use crate::server_error::{LOCK_NOT_AVAILABLE, OBJECT_IN_USE, ServerError};
use crate::sql;
use crate::version::Version;
use anyhow::{Context, Result, anyhow};
use pipe_kit::child::{self, Finished, Running};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// What our own sessions need, whatever the database's or the role's settings say. No commit waits for a
/// standby: one that is gone would hold it for ever.
const SESSION: &str = "SET default_transaction_read_only = off; SET statement_timeout = 0; \
     SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
     SET synchronous_commit = local;\n";

/// Limits on a session that an older server does not know, with the major that brought them.
const LATER_LIMITS: [(u32, &str); 2] = [(14, "idle_session_timeout"), (17, "transaction_timeout")];

/// How long a statement of a short script may wait for a lock, and how long it may take: to make or drop
/// a large database takes minutes.
const BOUNDS: &str = "SET lock_timeout = '30s'; SET statement_timeout = '1h';\n";
/// How long such a script's psql may take; the server's own bound comes first.
const PATIENCE: Duration = Duration::from_secs(3700);

/// What finds out, within minutes, that the server's host is gone while it is waited for.
const KEEPALIVES: &str = "keepalives_idle=60 keepalives_interval=15 keepalives_count=4";

/// How often a rename or a drop is tried again when a session is in the way. The server itself
/// waits 5 seconds each time.
const TRIES: u32 = 6;

/// Whether the connected role may end a session of `pg_stat_activity`.
pub const MAY_END: &str = "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) OR \
     (NOT (SELECT rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = usesysid) AND \
      (pg_catalog.pg_has_role(usesysid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))";

/// Names of databases by oid.
pub type Databases = BTreeMap<u32, String>;

/// A server, reached by one psql client.
#[derive(Clone)]
pub struct Server {
    psql: Client,
    /// Of the server.
    pub version: Version,
    /// The database to be connected to for what concerns the whole server: one that our role may use.
    pub maintenance: String,
    /// What our sessions are called, where they must be known again.
    name: Option<String>,
}

impl Server {
    pub fn new(psql: Client, version: Version, maintenance: &str) -> Self {
        Self { psql, version, maintenance: maintenance.to_owned(), name: None }
    }

    /// Gives its sessions a name, by which those that a killed process has left are found.
    pub fn naming_sessions(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// The statements that every session of ours begins with.
    pub fn session(&self) -> String {
        let since = LATER_LIMITS.iter().filter(|(major, _)| *major <= self.version.major);
        let limits: String = since.map(|(_, limit)| format!("SET {limit} = 0;\n")).collect();
        format!("{SESSION}{limits}")
    }

    /// The psql in use.
    pub fn psql(&self) -> &Client {
        &self.psql
    }

    /// A database as a connection string, so that one whose name holds `=` or `://` stays a name; with
    /// our sessions' name, which an environment may not be handed on for.
    pub fn target(&self, database: &str) -> String {
        let name = self.name.as_ref();
        let name = name.map(|name| format!(" application_name={}", quoted(name)));
        let name = name.unwrap_or_default();
        format!("dbname={} {KEEPALIVES}{name}{}", quoted(database), libpq::later_settings())
    }

    /// `psql -X -v ON_ERROR_STOP=1` on a database, quiet, with stdin and stdout piped. Its errors come
    /// with the server's code: see [`why`].
    pub fn psql_command(&self, database: &str) -> Command {
        self.psql_on(&self.target(database))
    }

    fn psql_on(&self, target: &str) -> Command {
        let mut command = self.psql.command();
        command
            .args(["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"])
            .args(["-d", target])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    fn run(&self, database: &str, options: &[&str], script: &str) -> Result<String> {
        let begin = format!("{}{BOUNDS}SET search_path = '';\n", self.session());
        let target = self.target(database);
        let ran = self.run_as_it_is(database, &target, options, &format!("{begin}{script}"));
        ran.map_err(|error| self.with_holders(database, error))
    }

    /// Who holds what a statement has waited for in vain, where that belongs to all databases.
    fn with_holders(&self, database: &str, error: anyhow::Error) -> anyhow::Error {
        const ASK: &str = "SELECT pg_catalog.string_agg(DISTINCT usename || ' (pid ' || pid || ')', ', ') \
             FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity USING (pid) \
             WHERE granted AND l.database = 0 AND locktype IN ('relation', 'object') \
             AND mode NOT IN ('AccessShareLock', 'RowShareLock') AND pid <> pg_catalog.pg_backend_pid()";
        if sqlstate_of(&error) != Some(LOCK_NOT_AVAILABLE) {
            return error;
        }
        let target = self.target(database);
        let who = self.run_as_it_is(database, &target, &["-A", "-t"], &format!("{ASK};\n"));
        match who.as_deref().unwrap_or_default().trim() {
            "" => error,
            who => error.context(format!("locked by {who}; end that session, or wait for its end")),
        }
    }

    /// Runs a script with nothing before it.
    fn run_as_it_is(
        &self,
        database: &str,
        target: &str,
        options: &[&str],
        script: &str,
    ) -> Result<String> {
        let mut command = self.psql_on(target);
        command.args(options).env("PGCLIENTENCODING", "UTF8");
        let mut running = child::spawn_captured(&mut command, format!("psql on {database}"))?;
        let (done, is_done) = channel::<()>();
        let pid = Pid::from_raw(running.id().cast_signed());
        let watch = thread::spawn(move || {
            // It has not been waited for before we are done, so the number is still its own.
            if is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
                && let Some(pid) = pid
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let answer = exchange(&mut running, script);
        drop(done);
        let _ = watch.join();
        let text = answer?;
        let finished = running.finish()?;
        if finished.status.success() {
            Ok(text)
        } else {
            Err(libpq::explained(finished.status, ServerError::detailed(&finished).into()))
        }
    }

    /// Runs one question on a database where nothing may be set, since the session may be somebody
    /// else's next. `options` are the session's, as on the server's command line.
    ///
    /// # Errors
    /// With psql's own words.
    pub fn ask_only(&self, database: &str, options: Option<&str>, sql: &str) -> Result<String> {
        let options = options.map(|options| {
            let own = std::env::var("PGOPTIONS").unwrap_or_default();
            format!(" options={}", quoted(format!("{own} {options}").trim()))
        });
        let target = format!("{}{}", self.target(database), options.unwrap_or_default());
        self.run_as_it_is(database, &target, &["-A", "-t"], &format!("{sql};\n"))
    }

    /// Runs SQL and gives the rows, unaligned, a line each.
    ///
    /// # Errors
    /// With psql's own words.
    pub fn query(&self, database: &str, sql: &str) -> Result<String> {
        self.run(database, &["-A", "-t"], sql)
    }

    /// Runs statements, one after the other, up to the first error.
    ///
    /// # Errors
    /// With psql's own words.
    pub fn execute(&self, database: &str, sql: &str) -> Result<()> {
        self.run(database, &[], sql).map(drop)
    }

    /// Every database of the server.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn databases(&self) -> Result<Databases> {
        let answer = self.query(
            &self.maintenance,
            "select pg_catalog.json_object_agg(oid, datname) from pg_catalog.pg_database",
        )?;
        serde_json::from_str(&answer).context("listing databases")
    }

    /// The oid of the database of that name, if there is one.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn oid_of(&self, name: &str) -> Result<Option<u32>> {
        Ok(self.databases()?.into_iter().find(|(_, n)| n == name).map(|(oid, _)| oid))
    }

    /// Whether the server has a database of that name.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn has_database(&self, name: &str) -> Result<bool> {
        Ok(self.oid_of(name)?.is_some())
    }

    /// Drops a database, ending its sessions. None of that name is no error.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        self.without_sessions(&[name], &format!("DROP DATABASE IF EXISTS {};\n", sql::ident(name)))
    }

    /// Renames databases in one transaction, ending the sessions that are in them.
    ///
    /// # Errors
    /// If sessions come back faster than they are ended; nothing is renamed then.
    pub fn rename_databases(&self, renames: &[(String, String)]) -> Result<()> {
        let names: Vec<&str> = renames.iter().map(|(from, _)| from.as_str()).collect();
        let mut script = String::from("BEGIN;\n");
        for (from, to) in renames {
            let (from, to) = (sql::ident(from), sql::ident(to));
            script += &format!("ALTER DATABASE {from} RENAME TO {to};\n");
        }
        script += "COMMIT;\n";
        self.without_sessions(&names, &script).context("swapping the databases' names")
    }

    /// Runs statements that no session in the named databases may be in the way of. Ends those that
    /// our role may end: autovacuum, which is nobody's, ends by itself. The kind of another's session
    /// is hidden from an ordinary role, so it is not asked for.
    ///
    /// # Errors
    /// If the server refuses, naming the sessions that were in the way.
    pub fn without_sessions(&self, databases: &[&str], statements: &str) -> Result<()> {
        let names: Vec<String> = databases.iter().map(|name| sql::literal(name)).collect();
        let others = format!(
            "FROM pg_catalog.pg_stat_activity WHERE datname IN ({}) AND usesysid IS NOT NULL \
             AND pid <> pg_catalog.pg_backend_pid()",
            names.join(", ")
        );
        let script = format!(
            "SET client_min_messages = error;\n\
             SELECT pg_catalog.pg_terminate_backend(pid) {others} AND ({MAY_END});\n{statements}"
        );
        let mut last = anyhow!("not tried");
        for _ in 0..TRIES {
            match self.query(&self.maintenance, &script) {
                Ok(_) => return Ok(()),
                Err(error) if sqlstate_of(&error) == Some(OBJECT_IN_USE) => last = error,
                Err(error) => return Err(error),
            }
        }
        let who = self.query(
            &self.maintenance,
            &format!(
                "SELECT pg_catalog.string_agg(usename || ' (pid ' || pid || ')', ', ') {others}"
            ),
        )?;
        Err(match who.trim() {
            "" => last,
            who => last.context(format!("sessions of {who} are in the way; end them")),
        })
    }
}

/// A value in a connection string.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Why a psql of [`Server::psql_command`] has ended, with the code that [`sqlstate_of`] finds.
pub fn why(finished: &Finished) -> anyhow::Error {
    ServerError::of(finished).into()
}

/// Writes a script to a psql and reads what it answers; a psql that ended early tells its reason through
/// its status, later.
fn exchange(running: &mut Running, script: &str) -> Result<String> {
    let mut stdin = running.take_stdin().context("psql has no input pipe")?;
    match stdin.write_all(script.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(error).context("writing to psql");
        }
        _ => drop(stdin),
    }
    let mut text = String::new();
    if let Some(mut out) = running.take_stdout() {
        out.read_to_string(&mut text).context("reading from psql")?;
    }
    Ok(text)
}

/// `PGDATABASE`, as every client of PostgreSQL reads it.
///
/// # Errors
/// A usage error if it is not set.
pub fn wanted_database() -> Result<String> {
    match std::env::var("PGDATABASE") {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(pipe_kit::Stop::usage(
            "PGDATABASE is not set; say which database (PGDATABASE=piprio pg-snap …, or deploy-env -- pg-snap …)",
        )
        .into()),
    }
}
