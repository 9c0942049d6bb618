//! Loads and dumps that fail, are signalled or killed.

use crate::kit::*;
use anyhow::{Context, Result};
use assert_cmd::assert::OutputAssertExt;
use pipeline_tests::tool;
use predicates::prelude::*;
use predicates::str::contains;
use std::io::Read;
use std::process::Stdio;

#[test]
fn a_load_that_psql_refuses_leaves_nothing_behind() -> Result<()> {
    let s = Setup::new()?;
    let original = content(&s.server, "piprio")?;
    let mut text = gunzip(&s.dump("d.sql.gz")?)?;
    let end = end_marker(&text)?;
    text.splice(end..end, b"SELECT 1/0;\n".iter().copied());
    s.pg_snap("piprio")
        .arg("load")
        .write_stdin(text)
        .assert()
        .code(1)
        .stderr(contains("division by zero").and(contains("the old database is as it was")));
    assert!(content(&s.server, "piprio")? == original);
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}

#[test]
fn connected_sessions_are_ended_before_the_swap() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let mut session = s
        .server
        .client("psql")
        .args(["-X", "-d", "piprio", "-c", "select pg_sleep(600)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_for(
        &s.server,
        "select count(*) from pg_stat_activity where query like '%pg_sleep(600)'  and pid <> pg_backend_pid()",
        "1",
    )?;
    s.pg_snap("piprio").arg("load").arg(&file).assert().success();
    assert!(!session.wait()?.success());
    Ok(())
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_dump_leaves_no_whole_dump() -> Result<()> {
    let mut s = Setup::new()?;
    s.server.psql("piprio", "create table zz_big as select md5(i::text) a, md5(i::text || 'x') b from generate_series(1, 800000) i")?;
    let mut child = std::process::Command::new(tool("pg-snap"))
        .arg("dump")
        .envs(s.server.env())
        .env("PGDATABASE", "piprio")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut dump = vec![0; 64 * 1024];
    let mut pipe = child.stdout.take().context("no pipe")?;
    pipe.read_exact(&mut dump)?;
    s.server.kill_hard()?;
    pipe.read_to_end(&mut dump)?;
    assert_eq!(child.wait_with_output()?.status.code(), Some(1));
    s.pg_snap("").arg("inspect").write_stdin(dump).assert().code(4);
    Ok(())
}

#[test]
fn a_load_ended_by_a_signal_drops_what_it_had_loaded() -> Result<()> {
    for (signal, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let s = Setup::new()?;
        // Larger than what is read ahead, so that the load is under way when the signal comes.
        let fill = "create table big as select md5(i::text) from generate_series(1, 200000) i";
        s.server.psql("piprio", fill)?;
        let original = content(&s.server, "piprio")?;
        let text = gunzip(&s.dump("d.sql.gz")?)?;
        let mut child = std::process::Command::new(tool("pg-snap"))
            .arg("load")
            .envs(s.server.env())
            .env("PGDATABASE", "piprio")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no pipe")?;
        std::io::Write::write_all(&mut stdin, &text[..text.len() / 2])?;
        wait_for(
            &s.server,
            "select count(*) from pg_database where datname = 'piprio_pg_snap_incoming'",
            "1",
        )?;
        std::process::Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .assert()
            .success();
        let out = child.wait_with_output()?;
        drop(stdin);
        assert_eq!(out.status.code(), Some(status), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(s.databases()?, "piprio postgres", "{signal}");
        assert!(content(&s.server, "piprio")? == original);
    }
    Ok(())
}

#[test]
fn a_killed_loads_leftover_is_dropped_by_the_next() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("postgres", "create database piprio_pg_snap_incoming")?;
    s.pg_snap("piprio").arg("load").arg(&file).assert().success();
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}
