//! A running process of the tool, and what holds it up where a test needs it.

use crate::kit::pg_snap;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use test_kit::process::wait_until;
use test_kit::{Postgres, tool};

/// The sessions of dumps.
pub const DUMPS: &str = "application_name like 'pg-snap dump %'";
/// A question to the catalog before a dump, which waits a second for a lock, and whose failure is a warning.
pub const SURVEY: &str =
    "query like '%tablesample%' or query like '%regcollation%' or query like '%convalidated%'";
/// The sessions of loads.
pub const LOADS: &str = "application_name = 'piprio_pg_snap_incoming'";

/// A process of the tool; dropped, it is killed.
pub struct Running {
    child: Child,
    /// Its standard output.
    pub out: PathBuf,
    errors: PathBuf,
}

impl Running {
    /// Starts the tool on `piprio`, with its output to a file.
    pub fn start(server: &Postgres, arguments: &[&str], out: PathBuf) -> Result<Self> {
        let errors = out.with_extension("errors");
        let mut command = Command::new(tool("pg-snap"));
        command.args(arguments).envs(server.env()).env("PGDATABASE", "piprio");
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&errors)?);
        Ok(Self { child: command.spawn()?, out, errors })
    }

    /// Waits for its end.
    pub fn end(&mut self) -> Result<ExitStatus> {
        let mut status = None;
        let waited = wait_until("pg-snap to end", || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        });
        waited.with_context(|| self.stderr())?;
        status.context("no status")
    }

    /// Its status, once it has ended.
    pub fn code(&mut self) -> Result<Option<i32>> {
        Ok(self.end()?.code())
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.child.id(), name)
    }

    /// The clients that it runs, by their processes.
    pub fn clients(&self) -> Result<Vec<u32>> {
        let own = self.child.id().to_string();
        let mut clients = Vec::new();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // The program's name, in parentheses, may hold anything.
            let mut rest = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            if let (Some(state), Some(parent)) = (rest.next(), rest.next())
                && parent == own
                && state != "Z"
            {
                clients.extend(entry.file_name().to_str().and_then(|pid| pid.parse::<u32>().ok()));
            }
        }
        clients.sort_unstable();
        Ok(clients)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(pid: u32, name: &str) -> Result<()> {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status()?;
    ensure!(sent.success(), "kill -{name} {pid}");
    Ok(())
}

/// A session that has done something and stays; dropped, it is gone, and so is what it held.
pub struct Held {
    stdin: Option<ChildStdin>,
    psql: Child,
}

impl Held {
    /// Runs SQL in a database, and stays, inside a transaction if one was begun.
    pub fn by(server: &Postgres, database: &str, sql: &str) -> Result<Self> {
        let mut psql = server.client("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = psql.stdin.take().context("no pipe")?;
        writeln!(stdin, "{sql};\n\\echo held")?;
        let lines = BufReader::new(psql.stdout.take().context("no pipe")?).lines();
        let held = lines.map_while(Result::ok).any(|line| line == "held");
        ensure!(held, "psql has ended instead: {sql}");
        Ok(Self { stdin: Some(stdin), psql })
    }

    /// Runs SQL without waiting for it: it may itself have to wait.
    pub fn send(&mut self, sql: &str) -> Result<()> {
        writeln!(self.stdin.as_mut().context("no pipe")?, "{sql};").context("writing to psql")
    }

    /// Ends the session once it has executed everything.
    pub fn release(mut self) -> Result<()> {
        drop(self.stdin.take());
        ensure!(self.psql.wait()?.success(), "psql failed");
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

/// The server processes of the sessions that fit a condition on `pg_stat_activity`.
pub fn sessions(server: &Postgres, which: &str) -> Result<Vec<u32>> {
    let own = "pid <> pg_backend_pid()";
    let ask = format!("select pid from pg_stat_activity where {own} and ({which}) order by pid");
    let answer = server.psql("postgres", &ask)?;
    answer.lines().map(|pid| pid.parse().context("a pid")).collect()
}

/// Waits until there are `count` sessions.
pub fn wait_for_sessions(server: &Postgres, which: &str, count: usize) -> Result<()> {
    let mut now = Vec::new();
    let waited = wait_until(&format!("{count} sessions where {which}"), || {
        now = sessions(server, which)?;
        Ok(now.len() == count)
    });
    waited.with_context(|| format!("there are {now:?}"))
}

/// Waits until the sessions no longer change, and one of them sleeps or waits for a lock: the others then
/// wait for that one.
pub fn settled(server: &Postgres, which: &str) -> Result<Vec<u32>> {
    const TIMES: u32 = 5;
    let ask = format!(
        "select string_agg(concat(pid, state, query_start), ' ' order by pid),
           bool_or(wait_event_type = 'Lock' or wait_event = 'PgSleep') from pg_stat_activity where {which}"
    );
    let (mut last, mut times) = (String::new(), 0);
    wait_until("sessions to settle", || {
        let now = server.psql("postgres", &ask)?;
        times = if now == last && now.ends_with("|t") { times + 1 } else { 0 };
        last = now;
        Ok(times == TIMES)
    })?;
    sessions(server, which)
}

/// Waits until a dump's questions to the catalog are answered, or no longer wait for a lock.
pub fn surveyed(server: &Postgres) -> Result<()> {
    wait_for_sessions(server, &format!("{DUMPS} and ({SURVEY})"), 0)
}

/// Terminates a session, and waits until it is gone. False if it had ended by itself.
pub fn terminate(server: &Postgres, pid: u32) -> Result<bool> {
    // Each line of the log begins with the code.
    let count = || server.log().matches(" 57P01 ").count();
    let before = count();
    server.psql("postgres", &format!("select pg_terminate_backend({pid})"))?;
    wait_for_sessions(server, &format!("pid = {pid}"), 0)?;
    Ok(count() > before)
}

/// The output of a dump that failed is not a whole dump.
pub fn ensure_not_whole(server: &Postgres, file: &Path, what: &str) -> Result<()> {
    let bytes = std::fs::read(file)?;
    let out = pg_snap(server, "").arg("inspect").write_stdin(bytes).output()?;
    ensure!(out.status.code() == Some(4), "{what}: inspect ended with {:?}", out.status);
    let out = pg_snap(server, "").arg("inspect").arg(file).output()?;
    ensure!(
        out.status.code() == Some(4),
        "{what}: inspect of the file ended with {:?}",
        out.status
    );
    Ok(())
}
