//! A PostgreSQL cluster of one's own.

mod initdb;
mod release;

pub use initdb::{LC_MESSAGES, PASSWORD, USER, initdb};
pub use release::{Release, has_locale, programs};

use crate::process::{ATTEMPTS, Server, free_port, wait_until};
use crate::user::{as_server_user, give_to_server_user};
use anyhow::{Context, Result, bail, ensure};
use pipe_kit::child;
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// How a cluster is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Arguments to `initdb` besides those that are always given: locale and encoding.
    pub initdb: Vec<String>,
    /// `name=value` settings for the server.
    pub settings: Vec<String>,
    /// Directory of the server's programs; the newest release of this machine by default.
    pub programs: Option<PathBuf>,
    /// Directory of the clients; that of the server's programs by default.
    pub clients: Option<PathBuf>,
    /// Directory to make it in, which the server's user may enter; the system's temporary one by
    /// default.
    pub place: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            initdb: vec!["--locale=C.UTF-8".into(), "--encoding=UTF8".into()],
            settings: Vec::new(),
            programs: None,
            clients: None,
            place: None,
        }
    }
}

/// A running cluster with one superuser, [`USER`], and password authentication on TCP and socket
/// alike. Dropped, it is gone, with its data.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Server>,
    port: u16,
    programs: PathBuf,
    clients: PathBuf,
    settings: Vec<String>,
    dir: TempDir,
}

/// What a server that accepts sessions says of itself in its file.
const UP: [&str; 2] = ["ready", "standby"];

impl Postgres {
    /// A cluster in UTF-8, locale `C.UTF-8`.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self> {
        Self::with(Options::default())
    }

    /// A cluster made otherwise.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub fn with(options: Options) -> Result<Self> {
        let programs = options.programs.map_or_else(programs, Ok)?;
        let place = options.place.unwrap_or_else(std::env::temp_dir);
        let dir = tempfile::Builder::new()
            .prefix("pg-")
            .tempdir_in(place)
            .context("a cluster's directory")?;
        give_to_server_user(dir.path())?;
        initdb(&programs, &dir.path().join("data"), PASSWORD, &options.initdb)?;
        let clients = options.clients.unwrap_or_else(|| programs.clone());
        let settings = options.settings;
        let mut cluster = Self { server: None, port: 0, programs, clients, settings, dir };
        for _ in 0..ATTEMPTS {
            cluster.port = free_port()?;
            if cluster.run()? {
                return Ok(cluster);
            }
        }
        bail!("PostgreSQL does not start: {}", cluster.log())
    }

    fn command(&self) -> Command {
        let mut command = as_server_user(self.programs.join("postgres"));
        command.arg("-D").arg(self.dir.path().join("data")).current_dir("/");
        command.args(["-p", &self.port.to_string()]);
        let own = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.dir.path().display()),
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "max_wal_size=4GB".to_owned(),
            "log_line_prefix=%m [%p] %e ".to_owned(),
        ];
        for setting in own.iter().chain(&self.settings) {
            command.args(["-c", setting]);
        }
        command
    }

    /// Whether it came up; false where its port was taken.
    fn run(&mut self) -> Result<bool> {
        let mut server = Server::spawn(&mut self.command(), &self.dir.path().join("log"))?;
        let pid_file = self.dir.path().join("data/postmaster.pid");
        let mut up = false;
        wait_until("PostgreSQL to start", || {
            // Its own word, not an answer on the port: another server may answer there.
            let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
            up = text.lines().nth(7).is_some_and(|status| UP.contains(&status.trim()));
            Ok(up || server.ended()?.is_some())
        })?;
        if !up {
            let is_taken = TcpListener::bind(("127.0.0.1", self.port)).is_err();
            ensure!(is_taken, "PostgreSQL does not start: {}", server.log());
            return Ok(false);
        }
        self.server = Some(server);
        Ok(true)
    }

    /// Stops it in an orderly way; sessions are ended.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn stop(&mut self) -> Result<()> {
        self.end(Signal::INT)
    }

    /// Ends all its processes at once, as a crash does.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill_hard(&mut self) -> Result<()> {
        self.end(Signal::QUIT)
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.end(signal))
    }

    /// Starts it again at the same port.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.stop()?;
        ensure!(self.run()?, "port {} was taken", self.port);
        Ok(())
    }

    /// Starts it again as a standby without a primary, on which sessions may read.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_again_as_standby(&mut self) -> Result<()> {
        self.stop()?;
        let signal = self.dir.path().join("data/standby.signal");
        std::fs::write(&signal, "").context("writing standby.signal")?;
        give_to_server_user(&signal)?;
        self.start_again()
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the server's programs.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The directory of the clients.
    #[must_use]
    pub fn clients(&self) -> &Path {
        &self.clients
    }

    /// What the server has logged since its last start.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// libpq's variables for it: `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`; no `PGDATABASE`.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", USER.to_owned()),
            ("PGPASSWORD", PASSWORD.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// One of PostgreSQL's own client programs, with [`Postgres::env`] set and other `PG*` unset.
    #[must_use]
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.clients.join(program));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.envs(self.env());
        command
    }

    /// Runs SQL in a database and gives what it answers: unaligned, no headers, no last newline.
    ///
    /// # Errors
    /// If a statement fails; with psql's words.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        psql(self.client("psql"), database, &[], sql)
    }

    /// Makes a database and fills it with the fixture: `tenants` schemas of `docs` documents each.
    ///
    /// # Errors
    /// If it exists, or the fixture fails.
    pub fn create_tenants(&self, database: &str, tenants: u32, docs: u32) -> Result<()> {
        self.psql("postgres", &format!("create database \"{database}\""))?;
        let variables = [format!("tenants={tenants}"), format!("docs={docs}")];
        psql(self.client("psql"), database, &variables, TENANTS).map(drop)
    }

    /// A canonical text of a database: pg_dump's, without the lines that differ each time.
    ///
    /// # Errors
    /// If pg_dump fails.
    pub fn dump(&self, database: &str) -> Result<String> {
        let mut command = self.client("pg_dump");
        command.args(["--create", "-d", database]);
        canonical(&child::capture(&mut command, "pg_dump")?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Killed, it would leave its backends to find out by themselves.
        let _ = self.kill_hard();
    }
}

/// The fixture database's SQL; it takes psql's variables `tenants` and `docs`.
pub const TENANTS: &str = include_str!("../../tests/fixtures/tenants.sql");

/// Runs SQL through a prepared `psql`.
///
/// # Errors
/// If a statement fails; with psql's words.
pub fn psql(
    mut command: Command,
    database: &str,
    variables: &[String],
    sql: &str,
) -> Result<String> {
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
    for variable in variables {
        command.args(["-v", variable]);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = child::spawn_captured(&mut command, "psql")?;
    let stdin = running.take_stdin().context("psql: no input pipe")?;
    let sql = sql.to_owned();
    let writer = std::thread::spawn(move || {
        let mut stdin = stdin;
        // psql stops reading at the first error, and reports it better than a broken pipe does.
        let _ = stdin.write_all(sql.as_bytes());
    });
    let mut answer = String::new();
    let read = std::io::Read::read_to_string(&mut running.into_reader()?, &mut answer);
    let _ = writer.join();
    read.context("running SQL")?;
    Ok(answer.trim_end_matches('\n').to_owned())
}

/// A dump without its random `\restrict` keys.
///
/// # Errors
/// If it does not end as a whole one does.
pub fn canonical(dump: &str) -> Result<String> {
    ensure!(dump.contains("\n-- PostgreSQL database dump complete"), "the dump is not whole");
    let random = |line: &&str| line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ");
    Ok(dump.lines().filter(|line| !random(line)).map(|line| format!("{line}\n")).collect())
}
