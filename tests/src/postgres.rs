//! A PostgreSQL cluster of one's own.

use crate::process::{ATTEMPTS, Server, free_port, wait_until};
use crate::tools::write_private;
use crate::user::{as_server_user, give_to_server_user};
use anyhow::{Context, Result, bail, ensure};
use pipe_kit::child;
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The superuser of every throwaway cluster.
pub const USER: &str = "piprio";
/// Its password unless another is asked for.
pub const PASSWORD: &str = "pass word's $ecret";

/// The variable that names the locale whose language every throwaway cluster speaks.
pub const LC_MESSAGES: &str = "PIPRIO_TEST_LC_MESSAGES";

/// Whether this machine has a locale, and PostgreSQL its language: without, the server speaks English.
#[must_use]
pub fn speaks(locale: &str) -> bool {
    let all = Command::new("locale").arg("-a").output().map(|out| out.stdout).unwrap_or_default();
    let plain = |name: &str| name.to_lowercase().replace('-', "");
    let has = String::from_utf8_lossy(&all).lines().any(|name| plain(name) == plain(locale));
    let language = locale.split(['_', '.']).next().unwrap_or_default();
    let catalogs = format!("/usr/share/locale/{language}/LC_MESSAGES");
    let files = std::fs::read_dir(catalogs).into_iter().flatten().flatten();
    has && files.into_iter().any(|f| f.file_name().to_string_lossy().starts_with("postgres-"))
}

/// How a cluster is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Arguments to `initdb` beside those that are always given: locale and encoding.
    pub initdb: Vec<String>,
    /// `name=value` settings for the server.
    pub settings: Vec<String>,
    /// Where the programs are; looked for where it is not said.
    pub programs: Option<PathBuf>,
    /// Where the clients are; beside the programs where it is not said.
    pub clients: Option<PathBuf>,
    /// The directory to make it in, which the server's user may enter; the system's temporary one
    /// where it is not said.
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

/// The directory with the newest PostgreSQL server on this machine: in `/usr/lib/postgresql`, else
/// on PATH.
///
/// # Errors
/// If there is none.
pub fn programs() -> Result<PathBuf> {
    let major = |dir: &Path| dir.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|dir| dir.join("bin/initdb").exists())
        .filter_map(|dir| Some((major(&dir)?, dir.join("bin"))))
        .max();
    if let Some((_, dir)) = newest {
        return Ok(dir);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
        .context("no PostgreSQL server is installed (initdb and postgres not found)")
}

/// A release of PostgreSQL that tests can run: that of this machine, and those of other majors that
/// `scripts/postgres-majors.sh` has fetched.
#[derive(Debug)]
pub struct Release {
    /// Such as 15.
    pub major: u32,
    /// The directory of its programs.
    pub programs: PathBuf,
    /// The directory of clients for it: its own, or those of the newest release that has any.
    pub clients: PathBuf,
    _copy: Option<TempDir>,
}

/// The folder below Cargo's target directory with a `VERSION/bin` for each release fetched.
const FETCHED: &str = "postgres-majors";

impl Release {
    /// All that there are, oldest first, one of each major: this machine's own goes before.
    ///
    /// # Errors
    /// If this machine has none, or one that is there does not run.
    pub fn all() -> Result<Vec<Self>> {
        let mut releases = vec![Self::of(programs()?)?];
        let this = std::env::current_exe().context("this program's path")?;
        let fetched = this.ancestors().map(|dir| dir.join(FETCHED)).find(|dir| dir.is_dir());
        for version in fetched.iter().flat_map(std::fs::read_dir).flatten().flatten() {
            if version.path().join("bin/postgres").exists() {
                releases.push(Self::of(version.path().join("bin"))?);
            }
        }
        releases.sort_by_key(|release| release.major);
        releases.dedup_by_key(|release| release.major);
        let newest = releases.iter().rev().find(|release| release.has_own_clients());
        let newest = newest.context("no release has clients")?.clients.clone();
        for release in releases.iter_mut().filter(|release| !release.has_own_clients()) {
            release.clients.clone_from(&newest);
        }
        Ok(releases)
    }

    /// Whether it came with clients: some releases fetched are servers alone.
    #[must_use]
    pub fn has_own_clients(&self) -> bool {
        self.programs.join("psql").exists()
    }

    fn of(programs: PathBuf) -> Result<Self> {
        // Clients are run as us, who can go where they lie.
        let clients = programs.clone();
        let mut release = Self { major: 0, programs, clients, _copy: None };
        // Asked by a program of that user's: starting one, root itself still opens the way to it.
        let mut test = as_server_user("test");
        if child::capture(test.arg("-x").arg(release.programs.join("postgres")), "test").is_err() {
            release.copy()?;
        }
        let mut postgres = as_server_user(release.programs.join("postgres"));
        let banner = child::capture(postgres.arg("--version"), "postgres --version")?;
        // `postgres (PostgreSQL) 15.18 (Debian …)`
        let version = banner.split_whitespace().nth(2).unwrap_or_default();
        let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        release.major = major.parse().with_context(|| format!("postgres says {banner}"))?;
        Ok(release)
    }

    /// The target directory may lie where the server's user cannot go.
    fn copy(&mut self) -> Result<()> {
        let copy = tempfile::Builder::new().prefix("pg-").tempdir().context("a copy's folder")?;
        give_to_server_user(copy.path())?;
        let all = self.programs.parent().context("a release's folder")?;
        child::capture(Command::new("cp").arg("-R").arg(all.join(".")).arg(copy.path()), "cp")?;
        self.programs = copy.path().join("bin");
        self._copy = Some(copy);
        Ok(())
    }
}

/// Makes a cluster's data directory, `data`, in a directory of the server's user.
///
/// # Errors
/// If `initdb` fails.
pub fn initdb(programs: &Path, data: &Path, password: &str, arguments: &[String]) -> Result<()> {
    let home = data.parent().context("a data directory lies in another")?;
    let pwfile = home.join(".password");
    write_private(&pwfile, password.as_bytes())?;
    give_to_server_user(&pwfile)?;
    let mut command = as_server_user(programs.join("initdb"));
    command.arg("-D").arg(data).args(["-U", USER, "-A", "scram-sha-256", "--no-sync"]);
    command.arg(format!("--pwfile={}", pwfile.display())).args(arguments).current_dir("/");
    if let Some(locale) = std::env::var(LC_MESSAGES).ok().filter(|locale| !locale.is_empty()) {
        command.arg(format!("--lc-messages={locale}"));
    }
    let done = child::capture(&mut command, "initdb");
    std::fs::remove_file(&pwfile).context("removing a password file")?;
    done.map(drop)
}

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
            let says = std::fs::read_to_string(&pid_file).unwrap_or_default();
            up = says.lines().nth(7).is_some_and(|status| status.trim() == "ready");
            Ok(up || server.ended()?.is_some())
        })?;
        if !up {
            let is_taken = TcpListener::bind(("127.0.0.1", self.port)).is_err();
            ensure!(is_taken, "PostgreSQL does not start: {}", server.said());
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
pub const TENANTS: &str = include_str!("../fixtures/tenants.sql");

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
        // psql stops reading at the first error, and tells it better than a broken pipe does.
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
