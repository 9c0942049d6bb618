//! Talking to a server through psql.

use crate::client::{Client, Clients};
use crate::sql;
use crate::version::Version;
use anyhow::{Context, Result};
use pipe_kit::child::{self, Running};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// A server, reached by one psql client.
pub struct Server {
    psql: Client,
    /// Of the server.
    pub version: Version,
    /// The database to be connected to while the wanted one is created, renamed or dropped.
    pub maintenance: String,
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

    /// The psql in use.
    pub fn psql(&self) -> &Client {
        &self.psql
    }

    /// `psql -X -v ON_ERROR_STOP=1` on a database, quiet, with stdin and stdout piped.
    pub fn psql_command(&self, database: &str) -> Command {
        let mut command = self.psql.command();
        // As a connection string, so that a database whose name holds `=` or `://` stays a name.
        let target = format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"));
        command
            .args(["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", &target])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    fn run(&self, database: &str, options: &[&str], script: &str) -> Result<String> {
        let mut command = self.psql_command(database);
        command.args(options).env("PGCLIENTENCODING", "UTF8");
        let mut running = child::spawn_captured(&mut command, format!("psql on {database}"))?;
        feed(&mut running, script)?;
        let mut text = String::new();
        if let Some(mut out) = running.take_stdout() {
            out.read_to_string(&mut text).context("reading from psql")?;
        }
        running.wait()?;
        Ok(text)
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

    /// Whether the server has a database of that name.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn has_database(&self, name: &str) -> Result<bool> {
        let ask = format!(
            "select count(*) from pg_catalog.pg_database where datname = {}",
            sql::literal(name)
        );
        Ok(self.query(&self.maintenance, &ask)?.trim() == "1")
    }

    /// Drops a database, ending its sessions. None of that name is no error.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE);", sql::ident(name));
        self.execute(&self.maintenance, &format!("SET client_min_messages = error;\n{drop}"))
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
