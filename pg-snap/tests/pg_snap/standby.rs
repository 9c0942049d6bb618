//! Dumps of a standby.

use crate::kit::*;
use anyhow::{Result, ensure};
use predicates::str::{contains, starts_with};
use test_kit::Postgres;

/// They exist since PostgreSQL 15.
#[test]
fn unlogged_sequences_of_tables_that_a_standby_has_are_warned_of() -> Result<()> {
    let mut server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    server.psql(
        "piprio",
        "create table kept (id serial); insert into kept default values; create unlogged table fast (id serial);
         alter sequence kept_id_seq set unlogged",
    )?;
    server.start_again_as_standby()?;
    let dump = pg_snap(&server, "piprio").arg("dump").assert().code(0);
    let log = String::from_utf8_lossy(&dump.get_output().stderr).into_owned();
    ensure!(
        log.contains("sequence public.kept_id_seq is unlogged: its value is not in the dump"),
        "{log}"
    );
    ensure!(!log.contains("fast_id_seq"), "{log}");
    Ok(())
}

#[test]
fn unlogged_tables_of_a_standby_are_in_its_dump_without_their_rows() -> Result<()> {
    let mut server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    server.psql(
        "piprio",
        "create table kept (id integer); insert into kept values (1), (2);
         create unlogged table fast (id serial, c regclass); insert into fast (c) values ('kept'), ('pg_class');
         create unlogged table last (id integer primary key)",
    )?;
    server.start_again_as_standby()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    for jobs in ["1", "3"] {
        let out = pg_snap(&server, "piprio").args(["dump", "--jobs", jobs]).output()?;
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success(), "{log}");
        let warned = "table public.fast is unlogged: its rows are not in the dump";
        ensure!(log.contains(warned) && !log.contains("incomplete"), "{log}");
        std::fs::write(&file, out.stdout)?;
    }
    let target = Postgres::start()?;
    pg_snap(&target, "piprio").arg("load").arg(&file).assert().success();
    let compare = pg_snap(&target, "piprio").arg("compare").arg(&file).assert().success();
    compare.stdout(starts_with("Same; "));
    let counts = "select (select count(*) from kept), (select count(*) from fast),
         (select relpersistence from pg_class where relname = 'last')";
    ensure!(target.psql("piprio", counts)? == "2|0|u");
    let refused = pg_snap(&server, "piprio").arg("load").arg(&file).assert().code(5);
    refused.stderr(contains("standby"));
    Ok(())
}
