//! Talking to a server through psql.

use crate::client::{Client, Clients};
use crate::libpq;
use crate::sql;
use crate::version::Version;
use anyhow::{Context, Result, anyhow};
use pipe_kit::child::{self, Running};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// What our own sessions need, whatever the database's or the role's settings say.
const SESSION: &str = "SET default_transaction_read_only = off; SET statement_timeout = 0; \
     SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;\n";

/// Limits on a session that an older server does not know, with the major that brought them.
const LATER_LIMITS: [(u32, &str); 2] = [(14, "idle_session_timeout"), (17, "transaction_timeout")];

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
    /// The database to be connected to while the wanted one is created, renamed or dropped.
    pub maintenance: String,
    /// What our sessions are called, where they must be known again.
    name: Option<String>,
}

impl Server {
    /// Finds psql and asks the server its version.
    ///
    /// # Errors
    /// If there is no psql or the server does not answer.
    pub fn connect(clients: &Clients, database: &str) -> Result<Self> {
        let mut server = Self {
            psql: clients.psql()?,
            version: Version { major: 0, minor: 0 },
            maintenance: if database == "postgres" { "template1" } else { "postgres" }.into(),
            name: None,
        };
        const ASK: &str = "select current_setting('server_version_num')";
        let answer = match server.query(&server.maintenance, ASK) {
            Err(error)
                if server.maintenance == "postgres"
                    && format!("{error:#}").contains("not exist") =>
            {
                server.maintenance = "template1".into();
                server.query("template1", ASK)
            }
            answer => answer,
        }?;
        let number = answer.trim().parse().with_context(|| format!("server version '{answer}'"))?;
        server.version = Version::from_number(number);
        Ok(server)
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
        let quote = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        let name = self.name.as_ref().map(|name| format!(" application_name={}", quote(name)));
        let name = name.unwrap_or_default();
        format!("dbname={}{name}{}", quote(database), libpq::later_settings())
    }

    /// `psql -X -v ON_ERROR_STOP=1` on a database, quiet, with stdin and stdout piped.
    pub fn psql_command(&self, database: &str) -> Command {
        let mut command = self.psql.command();
        command
            .args(["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", &self.target(database)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    fn run(&self, database: &str, options: &[&str], script: &str) -> Result<String> {
        let mut command = self.psql_command(database);
        command.args(options).env("PGCLIENTENCODING", "UTF8");
        let mut running = child::spawn_captured(&mut command, format!("psql on {database}"))?;
        feed(&mut running, &format!("{}{script}", self.session()))?;
        let mut text = String::new();
        if let Some(mut out) = running.take_stdout() {
            out.read_to_string(&mut text).context("reading from psql")?;
        }
        let finished = running.finish()?;
        if finished.status.success() {
            return Ok(text);
        }
        let detail = finished.stderr.iter().find(|line| line.starts_with("DETAIL:")).cloned();
        let status = finished.status;
        let error = finished.into_error();
        let error = match detail {
            Some(detail) => anyhow!("{error} ({detail})"),
            None => error,
        };
        Err(libpq::explained(status, error))
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
                Err(error) if format!("{error:#}").contains("being accessed by other users") => {
                    last = error;
                }
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

/// Writes a script to a psql; a psql that ended early tells its reason through its status, later.
fn feed(running: &mut Running, script: &str) -> Result<()> {
    let mut stdin = running.take_stdin().context("psql has no input pipe")?;
    match stdin.write_all(script.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to psql")
        }
        _ => Ok(()),
    }
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
