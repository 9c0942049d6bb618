//! Real private servers, and a process that holds one, to be killed.

mod container;
mod host;
mod leftovers;
mod refusals;

use super::{Preference, PrivateServer, ServerRequest, record, remove_leftover};
use anyhow::{Context, Result, bail};
use clap::Parser;
use pipe_kit::Exit;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
/// Names the drill's directory to the process that holds a server.
const DIR: &str = "DRILL_TEST_DIR";
/// What that process does: `hold`, `keep` or `remove`.
const MODE: &str = "DRILL_TEST_MODE";
/// The dump's major, for it.
const MAJOR: &str = "DRILL_TEST_MAJOR";

/// A driver that names an image, for it.
const DRIVER: &str = "DRILL_TEST_DRIVER";

/// A drill's directory in a directory that root alone can enter.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { root: tempfile::Builder::new().prefix("drill-").tempdir().unwrap() };
        private_directory(&place.dir());
        place
    }

    fn dir(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("drill_20260421T020000Z")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = remove_leftover(&self.dir());
    }
}

fn private_directory(path: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(path).unwrap();
}

fn request(dir: &Path) -> ServerRequest<'_> {
    ServerRequest {
        major: 9,
        bytes: 1 << 20,
        dir,
        user: "postgres",
        driver: Path::new("/no/driver"),
        service: None,
        source: Preference::Any,
        keep: false,
    }
}

/// Makes a shell script of mode 0700. Not by ourselves: a child of another thread would have it open to write, and
/// it could not be started.
pub fn write_script(path: &Path, script: &str) {
    let mut sh = Command::new("sh");
    sh.args(["-euc", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\"; chmod 700 \"$0\""]);
    assert!(sh.arg(path).arg(script).status().unwrap().success());
}

/// Whether this host has a server that we can run; without, the test is skipped.
fn has_postgres() -> bool {
    let account = super::Account::for_server("postgres");
    let has = account.is_ok_and(|account| !super::Programs::installed(&account).is_empty());
    if !has {
        skipped("no PostgreSQL server is installed");
    }
    has
}

/// Reports that a test is skipped, and why, even if its output is captured.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {why}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("PIPRIO_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
}

fn psql(server: &PrivateServer, sql: &str) -> Result<String> {
    let tool = server.tool("psql", "postgres").args(["-X", "-A", "-t", "-q", "-c", sql]);
    Ok(tool.capture()?.trim().to_owned())
}

/// The processes that show the mark of a directory: the server, and not its own children.
fn servers(dir: &Path) -> Vec<u32> {
    let mark = record::mark(dir);
    let is_server = |pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(is_server).collect()
}

fn assert_nothing_is_left(dir: &Path) {
    assert_eq!(servers(dir), [] as [u32; 0]);
    let left: Vec<_> = std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(left, [] as [PathBuf; 0]);
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that holds a server; dropped, it is killed.
struct Holder {
    child: Child,
    out: BufReader<ChildStdout>,
    /// A copy of this program, where any user can run it.
    _copy: TempDir,
}

impl Holder {
    /// Starts this program as `prefix` does, for a directory.
    fn start(prefix: &[&str], mode: &str, dir: &Path, extra: &[(&str, &str)]) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let copy = tempfile::Builder::new().prefix("drill-").tempdir().unwrap();
        std::fs::set_permissions(copy.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let program = copy.path().join("holder");
        // Not by ourselves, as a script.
        let mut cp = Command::new("cp");
        cp.arg(std::env::current_exe().unwrap()).arg(&program);
        assert!(cp.status().unwrap().success());
        let mut words = prefix.iter().map(Path::new).chain([program.as_path()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["--ignored", "--exact", "--nocapture", "--test-threads=1"]);
        command.arg("server::tests::holds_a_server").current_dir("/");
        // What leads to another database must not reach the clients.
        command.envs([("PGHOST", "/nowhere"), ("PGSERVICE", "none"), ("PG_SNAP_EXEC", "false")]);
        command.envs([("PGPASSWORD", "planted-secret"), ("PGOPTIONS", "-c piprio.leaked=1")]);
        command.env(DIR, dir).env(MODE, mode).envs(extra.iter().copied());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a holder");
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out, _copy: copy }
    }

    /// What it prints when the server is there, or when it has ended.
    fn line(&mut self) -> String {
        let lines = self.out.by_ref().lines().map_while(Result::ok);
        let mut lines = lines.filter_map(|line| Some(line.split_once("HOLDER ")?.1.to_owned()));
        lines.next().unwrap_or_else(|| "it has ended".to_owned())
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit status, after the end of its input.
    fn end(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes whatever arguments a test program has.
#[derive(Parser)]
struct AnyArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _all: Vec<String>,
}

/// Not a test: what [`Holder`] starts. It ends as a tool does, on a signal too.
#[test]
#[ignore = "started by other tests"]
fn holds_a_server() {
    let status = pipe_kit::main("drill-run", |_: AnyArguments| hold());
    assert_eq!(format!("{status:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
}

fn hold() -> Result<Exit> {
    let dir = PathBuf::from(std::env::var_os(DIR).context(DIR)?);
    let mode = std::env::var(MODE)?;
    let print = |line: &str| writeln!(std::io::stdout(), "HOLDER {line}");
    if mode == "remove" {
        remove_leftover(&dir)?;
        print("removed")?;
        return Ok(Exit::Done);
    }
    let mut wanted = ServerRequest { keep: mode == "keep", ..request(&dir) };
    if let Ok(major) = std::env::var(MAJOR) {
        wanted.major = major.parse()?;
    }
    let driver = std::env::var_os(DRIVER).map(PathBuf::from);
    if let Some(driver) = &driver {
        (wanted.driver, wanted.service, wanted.source) = (driver, Some("db"), Preference::Image);
        let server = PrivateServer::start(&wanted)?;
        print(server.version())?;
        std::io::stdin().read_to_end(&mut Vec::new())?;
        server.stop()?;
        return Ok(Exit::Done);
    }
    let server = PrivateServer::start(&wanted)?;
    let number = psql(&server, "show server_version_num")?;
    if psql(&server, "show piprio.leaked").is_ok() {
        bail!("a variable of ours reached the server");
    }
    let text = std::fs::read(format!("/proc/{}/environ", servers(&dir)[0]))?;
    if String::from_utf8_lossy(&text).contains("planted-secret") {
        bail!("a secret of ours reached the server");
    }
    print(&format!("{number} {} {}", server.version(), server.source()))?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    match mode.as_str() {
        "keep" => server.keep(),
        _ => server.stop()?,
    }
    Ok(Exit::Done)
}
