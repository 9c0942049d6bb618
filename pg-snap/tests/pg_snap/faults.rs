//! Loads and dumps that fail, are signalled or killed.

use crate::kit::*;
use anyhow::{Context, Result};
use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use std::io::Read;
use std::process::Stdio;
use std::time::Instant;
use test_kit::tool;

#[test]
fn a_load_that_psql_refuses_leaves_nothing_behind() -> Result<()> {
    let s = Setup::new()?;
    let original = content(&s.server, "piprio")?;
    let mut text = gunzip(&s.dump("d.sql.gz")?)?;
    let end = end_marker(&text)?;
    text.splice(end..end, b"SELECT 1/0;\n".iter().copied());
    s.pg_snap("piprio")
        .arg("load")
        .write_stdin(text.clone())
        .assert()
        .code(1)
        .stderr(contains("ERROR 22012").and(contains("the old database is as it was")));
    let none = "loading fresh failed (there was no such database before): ";
    s.pg_snap("fresh").arg("load").write_stdin(text).assert().code(1).stderr(contains(none));
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

fn start_load(s: &Setup, file: &std::path::Path) -> Result<std::process::Child> {
    let mut load = std::process::Command::new(tool("pg-snap"));
    load.args(["load", "--keep-previous"])
        .arg(file)
        .envs(s.server.env())
        .env("PGDATABASE", "piprio");
    Ok(load.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

#[test]
fn a_load_killed_at_any_moment_leaves_the_old_or_the_new_and_the_next_cleans_up() -> Result<()> {
    const MOMENTS: u32 = 8;
    let s = Setup::new()?;
    s.server.psql(
        "piprio",
        "create table big as select md5(i::text) a from generate_series(1, 20000) i; create index on big (a)",
    )?;
    let file = s.dump("d.sql.gz")?;
    let new = content(&s.server, "piprio")?;
    let time = Instant::now();
    assert!(start_load(&s, &file)?.wait()?.success());
    let time = time.elapsed();
    let drop = || s.pg_snap("piprio").args(["previous", "drop"]).assert().success();
    drop();
    let (mut old_left, mut new_left) = (0, 0);
    for moment in 1..=MOMENTS {
        s.server.psql("piprio", "create table if not exists public.old ()")?;
        let old = content(&s.server, "piprio")?;
        let mut load = start_load(&s, &file)?;
        // The last ones may come too late to kill anything.
        std::thread::sleep(time * moment * 5 / (MOMENTS * 4));
        load.kill()?;
        load.wait()?;
        // Straight away: what the killed one has left may still be at work.
        let look = || content(&s.server, "piprio");
        // While it swaps the names, it ends all sessions of the database, this one too.
        let there = look().or_else(|_| look()).or_else(|_| look());
        let again = s.pg_snap("piprio").args(["load"]).arg(&file).output()?;
        assert!(again.status.success(), "{moment}: {}", String::from_utf8_lossy(&again.stderr));
        let there = there.with_context(|| format!("{moment}: no database"))?;
        assert!(there == old || there == new, "{moment}: neither old nor new");
        *(if there == new { &mut new_left } else { &mut old_left }) += 1;
        assert!(content(&s.server, "piprio")? == new);
        drop();
        assert_eq!(s.databases()?, "piprio postgres", "{moment}");
    }
    println!(
        "killed {MOMENTS} times: the old database was left {old_left} times, the new one {new_left}"
    );
    Ok(())
}

#[test]
fn what_a_killed_load_left_at_work_is_ended_before_the_next_begins() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql("piprio", "create table slow (i int)")?;
    let text = String::from_utf8(gunzip(&s.dump("d.sql.gz")?)?)?;
    // The killed load's psql is in the middle of a statement that it will continue.
    let slow = text.replacen(
        "CREATE TABLE public.slow",
        "SELECT pg_sleep(600);\nCREATE TABLE public.slow",
        1,
    );
    let file = s.path("slow.sql");
    std::fs::write(&file, slow)?;
    let mut load = start_load(&s, &file)?;
    let at_work = "select count(*) from pg_stat_activity where datname = 'piprio_pg_snap_incoming' and query like '%pg_sleep%'";
    wait_for(&s.server, at_work, "1")?;

    let good = s.path("d.sql.gz");
    s.pg_snap("piprio").arg("load").arg(&good).assert().code(5).stderr(contains("another load"));
    assert_eq!(s.server.psql("postgres", at_work)?, "1");
    load.kill()?;
    load.wait()?;
    assert_eq!(s.server.psql("postgres", at_work)?, "1");
    s.pg_snap("piprio")
        .arg("load")
        .arg(&good)
        .assert()
        .success()
        .stderr(contains("ended the sessions that an earlier load of piprio had left (1)"));
    assert_eq!(s.server.psql("postgres", at_work)?, "0");
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}

#[test]
fn the_old_database_of_an_interrupted_swap_is_kept_while_nothing_else_is_in_its_place() -> Result<()>
{
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("postgres", "alter database piprio rename to piprio_pg_snap_outgoing")?;
    s.pg_snap("piprio").arg("load").write_stdin("SELECT 1/0;\n").assert().code(4);
    let mut text = gunzip(&file)?;
    let end = end_marker(&text)?;
    text.splice(end..end, b"SELECT 1/0;\n".iter().copied());
    s.pg_snap("piprio").arg("load").write_stdin(text).assert().code(1);
    assert_eq!(s.databases()?, "piprio_pg_snap_outgoing postgres");
    s.pg_snap("piprio").args(["load", "--keep-previous"]).arg(&file).assert().success();
    assert_eq!(s.databases()?, "piprio piprio_previous postgres");
    Ok(())
}
