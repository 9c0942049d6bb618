//! A server, to which queries and statements go through psql.

mod sessions;

pub use crate::server_error::sqlstate_of;
pub use sessions::{MAY_END, Sessions};

use crate::client::Client;
use crate::libpq;
use crate::server_error::{LOCK_NOT_AVAILABLE, OBJECT_IN_USE, ServerError};
use crate::sql;
use crate::version::Version;
use anyhow::{Context, Result, anyhow};
use pipe_kit::child::{self, Finished, Running};
use pipe_kit::warning;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// What every session of pg-snap needs, whatever the settings of the database or role are. Set when the session
/// starts: a limit of the database's own could end the first statement, even the one that removes it. No commit
/// waits for a standby: without it, the commit would never end.
const SESSION: &str = "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 \
     -c idle_in_transaction_session_timeout=0 -c synchronous_commit=local";

/// Limits on a session that an older server does not know, with the major that brought them.
const LATER_LIMITS: [(u32, &str); 2] = [(14, "idle_session_timeout"), (17, "transaction_timeout")];

/// What keeps event triggers from a session, those of its own login among them, with the major that brought it. Only a
/// superuser may set it.
const NO_EVENT_TRIGGERS: (u32, &str) = (17, " -c event_triggers=off");

/// How long a statement of a short script may wait for a lock, and how long it may take: to make or drop
/// a large database takes minutes.
const BOUNDS: &str = "SET lock_timeout = '30s'; SET statement_timeout = '1h';\n";
/// How long such a script's psql may take; the server's own bound comes first.
const PATIENCE: Duration = Duration::from_secs(3700);

/// These let libpq notice within minutes that the server's host is gone.
const KEEPALIVES: &str = "keepalives_idle=60 keepalives_interval=15 keepalives_count=4";

/// How often a rename or a drop is tried again when a session is in the way. The server itself
/// waits 5 seconds each time.
const TRIES: u32 = 6;

/// Names of databases by oid.
pub type Databases = BTreeMap<u32, String>;

/// A server, reached by one psql client.
#[derive(Clone)]
pub struct Server {
    psql: Client,
    /// Of the server.
    pub version: Version,
    /// The database to connect to for what concerns the whole server.
    pub maintenance: String,
    /// The name of its sessions, if they must be found again.
    name: Option<String>,
    /// Whether event triggers see its sessions.
    event_triggers: bool,
}

impl Server {
    pub fn new(psql: Client, version: Version, maintenance: &str) -> Self {
        Self {
            psql,
            version,
            maintenance: maintenance.to_owned(),
            name: None,
            event_triggers: true,
        }
    }

    /// Names its sessions, so that those left by a killed process can be found.
    pub fn naming_sessions(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// The same with sessions that no event trigger sees, where the server has that and the role may set it.
    pub fn without_event_triggers(&self, superuser: bool) -> Self {
        let is_known = self.version.major >= NO_EVENT_TRIGGERS.0;
        Self { event_triggers: !(superuser && is_known), ..self.clone() }
    }

    /// The psql in use.
    pub fn psql(&self) -> &Client {
        &self.psql
    }

    /// The connection string of a database, with the settings of every session and `options`, which are further
    /// ones, as on the server's command line.
    pub fn target_with(&self, database: &str, options: &str) -> String {
        let since = LATER_LIMITS.iter().filter(|(major, _)| *major <= self.version.major);
        let limits: String = since.map(|(_, limit)| format!(" -c {limit}=0")).collect();
        // The operator's own, which these would replace.
        let own = std::env::var("PGOPTIONS").unwrap_or_default();
        let triggers = if self.event_triggers { "" } else { NO_EVENT_TRIGGERS.1 };
        let all = format!("{own} {SESSION}{limits}{triggers} {options}");
        format!("{} options={}", self.address(database), quoted(all.trim()))
    }

    /// The connection string of a database, with the settings of every session.
    pub fn target(&self, database: &str) -> String {
        self.target_with(database, "")
    }

    /// The connection string of a database, in which a name with `=` or `://` stays a name. It holds the
    /// sessions' name, too, because a command prefix may not pass the environment on.
    fn address(&self, database: &str) -> String {
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
        let target = self.target(database);
        let script = format!("{BOUNDS}SET search_path = '';\n{script}");
        let ran = self.run_script(database, &target, options, &script);
        ran.map_err(|error| self.with_holders(database, error))
    }

    /// Adds to a lock timeout who holds locks on objects that all databases share.
    fn with_holders(&self, database: &str, error: anyhow::Error) -> anyhow::Error {
        if sqlstate_of(&error) != Some(LOCK_NOT_AVAILABLE) {
            return error;
        }
        let target = self.target(database);
        let who = self.run_script(
            database,
            &target,
            &["-A", "-t"],
            include_str!("psql/lock_holders.sql"),
        );
        match who.as_deref().unwrap_or_default().trim() {
            "" => error,
            who => {
                error.context(format!("locked by {who}; end that session, or wait until it ends"))
            }
        }
    }

    /// Runs a script with nothing before it.
    fn run_script(
        &self,
        database: &str,
        target: &str,
        options: &[&str],
        script: &str,
    ) -> Result<String> {
        let mut command = self.psql_on(target);
        command.args(options).env("PGCLIENTENCODING", "UTF8");
        let mut running = child::spawn_captured(&mut command, format!("psql on {database}"))?;
        let (done, wait_done) = channel::<()>();
        let pid = Pid::from_raw(running.id().cast_signed());
        let watch = thread::spawn(move || {
            // The process has not been waited for yet, so the id is still its own.
            if wait_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
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

    /// Runs one query with the database's own search path.
    pub fn query_only(&self, database: &str, sql: &str) -> Result<String> {
        self.query_at(database, &self.target(database), sql)
    }

    /// Runs one query with nothing set before it, and with `options` alone set when the session starts: behind a
    /// pooler, the session may serve another client next.
    pub fn query_with(&self, database: &str, options: Option<&str>, sql: &str) -> Result<String> {
        let target = match options {
            Some(options) => self.target_with(database, options),
            None => self.address(database),
        };
        self.query_at(database, &target, sql)
    }

    fn query_at(&self, database: &str, target: &str, sql: &str) -> Result<String> {
        self.run_script(database, target, &["-A", "-t"], &format!("{sql};\n"))
    }

    /// Runs SQL and returns the rows, unaligned, a line each.
    pub fn query(&self, database: &str, sql: &str) -> Result<String> {
        self.run(database, &["-A", "-t"], sql)
    }

    /// Runs statements one after another, up to the first error.
    pub fn execute(&self, database: &str, sql: &str) -> Result<()> {
        self.run(database, &[], sql).map(drop)
    }

    /// Every database of the server.
    pub fn databases(&self) -> Result<Databases> {
        let answer = self.query(
            &self.maintenance,
            "select pg_catalog.json_object_agg(oid, datname) from pg_catalog.pg_database",
        )?;
        serde_json::from_str(&answer).context("listing databases")
    }

    /// The oid of the database of that name, if there is one.
    pub fn oid_of(&self, name: &str) -> Result<Option<u32>> {
        Ok(self.databases()?.into_iter().find(|(_, n)| n == name).map(|(oid, _)| oid))
    }

    /// Whether the server has a database of that name.
    pub fn has_database(&self, name: &str) -> Result<bool> {
        Ok(self.oid_of(name)?.is_some())
    }

    /// Drops a database, if there is one of that name, and ends its sessions.
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

    /// Ends sessions, as far as the role may; returns how many.
    pub fn end_sessions(&self, sessions: Sessions<'_>) -> Result<u64> {
        let statement = sessions.end_statement(self.version.major);
        let ended = self.query(&self.maintenance, &statement)?;
        ended.trim().parse().with_context(|| format!("'{}' sessions ended", ended.trim()))
    }

    /// Ends sessions while something else has failed. A server that is down has none.
    pub fn end_sessions_or_warn(&self, sessions: Sessions<'_>) {
        if let Err(error) = self.end_sessions(sessions)
            && self.query(&self.maintenance, "SELECT 1").is_ok()
        {
            warning!("sessions {sessions} may still be running: {error:#}");
        }
    }

    /// Runs statements that no session in the named databases may block. Ends those that the role may end.
    ///
    /// # Errors
    /// If the server refuses, with the sessions that were in the way.
    pub fn without_sessions(&self, databases: &[&str], statements: &str) -> Result<()> {
        let sessions = Sessions::InDatabases(databases);
        let script = format!(
            "SET client_min_messages = error;\n{};\n{statements}",
            sessions.end_statement(self.version.major)
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
                "SELECT pg_catalog.string_agg(usename || ' (pid ' || pid || ')', ', ') \
                 FROM pg_catalog.pg_stat_activity WHERE {} AND usesysid IS NOT NULL \
                 AND pid <> pg_catalog.pg_backend_pid()",
                sessions.condition()
            ),
        )?;
        Err(match who.trim() {
            "" => last,
            who => last.context(format!("sessions of {who} are still connected; end them")),
        })
    }
}

/// A value in a connection string.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The reason why a psql of [`Server::psql_command`] has ended, with the code that [`sqlstate_of`] finds.
pub fn why(finished: &Finished) -> anyhow::Error {
    ServerError::of(finished).into()
}

/// Writes a script to a psql and reads its output. If psql ended early, its status shows that later.
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
/// [`pipe_kit::Stop::usage`] if it is not set.
pub fn wanted_database() -> Result<String> {
    match std::env::var("PGDATABASE") {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(pipe_kit::Stop::usage(
            "PGDATABASE is not set; name the database (PGDATABASE=piprio pg-snap …, or deploy-env -- pg-snap …)",
        )
        .into()),
    }
}
