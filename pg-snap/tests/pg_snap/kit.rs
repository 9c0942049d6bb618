//! What the tests share.

use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_kit::{Postgres, postgres, tool};

/// A cluster with the fixture in `piprio`, and a folder to work in.
pub struct Setup {
    pub server: Postgres,
    pub dir: TempDir,
}

impl Setup {
    pub fn new() -> Result<Self> {
        Self::of(Postgres::start()?)
    }

    pub fn of(server: Postgres) -> Result<Self> {
        let setup = Self { server, dir: tempfile::tempdir()? };
        setup.server.create_tenants("piprio", 3, 200)?;
        Ok(setup)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn pg_snap(&self, database: &str) -> Command {
        pg_snap(&self.server, database)
    }

    /// Dumps `piprio` to a file of that name.
    pub fn dump(&self, name: &str) -> Result<PathBuf> {
        let out = self.pg_snap("piprio").arg("dump").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let path = self.path(name);
        std::fs::write(&path, out.stdout)?;
        Ok(path)
    }

    pub fn databases(&self) -> Result<String> {
        databases(&self.server)
    }
}

pub fn databases(server: &Postgres) -> Result<String> {
    let ask =
        "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";
    server.psql("postgres", ask)
}

/// What a database holds, whatever its name.
pub fn content(server: &Postgres, database: &str) -> Result<String> {
    let mut command = server.client("pg_dump");
    postgres::canonical(&pipe_kit::child::capture(command.args(["-d", database]), "pg_dump")?)
}

pub fn pg_snap(server: &Postgres, database: &str) -> Command {
    let mut command = std::process::Command::new(tool("pg-snap"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command.envs(server.env()).env("PGDATABASE", database).env("RUST_BACKTRACE", "0");
    Command::from_std(command)
}

/// Dumps a database to a file.
pub fn dump_to(server: &Postgres, database: &str, options: &[&str], file: &Path) -> Result<()> {
    let out = pg_snap(server, database).arg("dump").args(options).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::write(file, out.stdout).context("writing a dump")
}

/// `pg_dump | gzip`.
pub fn pg_dump_to(server: &Postgres, database: &str, options: &[&str], file: &Path) -> Result<()> {
    let words = file.with_extension("words");
    let mut pg_dump = server.client("pg_dump");
    pg_dump.args(["-d", database]).args(options).stdout(Stdio::piped());
    let mut pg_dump = pg_dump.stderr(File::create(&words)?).spawn()?;
    let mut gzip = std::process::Command::new("gzip");
    gzip.arg("-1").stdin(pg_dump.stdout.take().context("no pipe")?).stdout(File::create(file)?);
    let zipped = gzip.status()?.success();
    ensure!(pg_dump.wait()?.success() && zipped, "{}", std::fs::read_to_string(words)?);
    Ok(())
}

/// `gunzip | psql` into a new database.
pub fn by_psql(server: &Postgres, database: &str, file: &Path) -> Result<()> {
    server.psql("postgres", &format!("create database {database} template template0"))?;
    let mut gunzip = std::process::Command::new("gunzip");
    let mut gunzip = gunzip.arg("-c").arg(file).stdout(Stdio::piped()).spawn()?;
    let mut psql = server.client("psql");
    psql.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", database]);
    let out = psql.stdin(gunzip.stdout.take().context("no pipe")?).output()?;
    ensure!(out.status.success(), "psql to {database}: {}", String::from_utf8_lossy(&out.stderr));
    ensure!(gunzip.wait()?.success(), "gunzip");
    Ok(())
}

pub fn gunzip(file: &Path) -> Result<Vec<u8>> {
    let out = std::process::Command::new("gunzip").arg("-c").arg(file).output()?;
    ensure!(out.status.success());
    Ok(out.stdout)
}

pub fn wait_for(server: &Postgres, ask: &str, answer: &str) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    while server.psql("postgres", ask)? != answer {
        ensure!(Instant::now() < until, "{ask} never became {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Where the end marker stands; the fixture holds its text in a function, too.
pub fn end_marker(text: &[u8]) -> Result<usize> {
    let marker = b"\n-- PostgreSQL database dump complete";
    Ok(text.windows(marker.len()).rposition(|w| w == marker).context("no end marker")? + 1)
}

pub fn memfind(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|w| w == needle)
}

pub fn shell_quote(word: &str) -> String {
    format!("'{word}'")
}
