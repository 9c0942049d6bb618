//! Limits of connections: fewer jobs, and no failure as long as a dump or load has room at all.

use crate::kit::*;
use anyhow::Result;
use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::path::Path;
use tempfile::TempDir;
use test_kit::Postgres;

/// An application's role, which owns the database.
fn owned() -> Result<(Postgres, TempDir)> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role app login createdb password 'x'; create database piprio owner app",
    )?;
    server.psql(
        "piprio",
        "set role app; create schema s;
         select format('create table s.t%s as select n from generate_series(1, 9) n', n)
         from generate_series(1, 40) n \\gexec",
    )?;
    Ok((server, tempfile::tempdir()?))
}

fn by_app(server: &Postgres, database: &str, arguments: &[&str]) -> Command {
    let mut command = pg_snap(server, database);
    command.env("PGUSER", "app").env("PGPASSWORD", "x").args(arguments);
    command
}

fn dump(server: &Postgres, file: &Path) -> Result<assert_cmd::assert::Assert> {
    let dump = by_app(server, "piprio", &["dump", "--jobs", "8"]).assert().code(0);
    std::fs::write(file, &dump.get_output().stdout)?;
    Ok(dump)
}

#[test]
fn a_limit_takes_jobs_and_neither_the_dump_nor_the_load() -> Result<()> {
    let (server, dir) = owned()?;
    let (file, again) = (dir.path().join("d.sql.gz"), dir.path().join("again.sql.gz"));
    dump(&server, &file)?.stderr(contains("jobs").not());
    let file = file.to_str().unwrap_or_default();
    let source = content(&server, "piprio")?;
    for limited in ["role app", "database piprio"] {
        server.psql("postgres", &format!("alter {limited} connection limit 6"))?;
        let fewer = || contains("using 2 of 8 jobs: the server accepts 6 sessions");
        dump(&server, &again)?.stderr(fewer());
        by_app(&server, "piprio", &["compare", "--jobs", "8", file])
            .assert()
            .code(0)
            .stderr(fewer());
        // The new database has no limit, until it has taken the place of the old one.
        let load = by_app(&server, "piprio", &["load", "--jobs", "8", file]).assert().code(0);
        let stderr = String::from_utf8_lossy(&load.get_output().stderr).into_owned();
        assert_eq!(stderr.contains("using 3 of 8 jobs"), limited == "role app", "{stderr}");
        assert_eq!(content(&server, "piprio")?, source);
        server.psql("postgres", &format!("alter {limited} connection limit -1"))?;
    }
    server.psql("postgres", "alter role app connection limit 3")?;
    let refused = by_app(&server, "piprio", &["load", file]).assert().code(5);
    refused.stderr(contains("ALTER ROLE \"app\" CONNECTION LIMIT 20;"));
    Ok(())
}

#[test]
fn what_other_sessions_have_is_not_counted_as_room() -> Result<()> {
    let (server, dir) = owned()?;
    let file = dir.path().join("d.sql.gz");
    server.psql("postgres", "alter role app connection limit 8")?;
    let mut held = server.client("psql");
    held.args(["-X", "-q", "-d", "piprio"]).env("PGUSER", "app").env("PGPASSWORD", "x");
    let mut held = held.stdin(std::process::Stdio::piped()).spawn()?;
    wait_for(&server, "select count(*) from pg_stat_activity where usename = 'app'", "1")?;
    let dumped = dump(&server, &file);
    drop(held.stdin.take());
    held.wait()?;
    dumped?.stderr(contains("using 3 of 8 jobs: the server accepts 7 sessions"));
    Ok(())
}
