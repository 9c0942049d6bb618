//! What would keep a dump from being loaded is reported before any harm: by `preflight`, and by `load` in
//! the same words. Nothing on the server changes by it.

use crate::kit::*;
use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use predicates::str::contains;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use test_kit::user::is_root;
use test_kit::{Postgres, postgres};

/// All of a server that a load could change but should not.
fn whole_server(server: &Postgres) -> Result<String> {
    server.psql(
        "postgres",
        "select oid, datname, datdba from pg_database order by oid;
         select rolname, rolcanlogin, rolcreatedb from pg_roles order by rolname;
         select roleid, member from pg_auth_members order by 1, 2",
    )
}

pub fn as_role(server: &Postgres, role: &str) -> Command {
    let mut command = pg_snap(server, "piprio");
    if role != postgres::USER {
        command.env("PGUSER", role).env("PGPASSWORD", "x");
    }
    command
}

fn last_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().last().unwrap_or_default().to_owned()
}

/// Preflight and load both refuse, in the same words, of which `words` is a part.
pub fn refused(server: &Postgres, role: &str, file: &Path, words: &str) -> Result<()> {
    let before = whole_server(server)?;
    let preflight = as_role(server, role).args(["preflight", "--json"]).arg(file).output()?;
    let log = String::from_utf8_lossy(&preflight.stderr).into_owned();
    ensure!(preflight.status.code() == Some(5), "{words}: {:?} {log}", preflight.status);
    ensure!(log.lines().any(|line| line.contains(words)), "{words}: {log}");
    let report: serde_json::Value = serde_json::from_slice(&preflight.stdout)?;
    let problems = report["problems"].as_array().context("problems")?;
    ensure!(problems.len() == log.lines().count(), "{log}");
    ensure!(problems.iter().any(|p| p.as_str().is_some_and(|p| p.contains(words))), "{report}");

    let load = as_role(server, role).arg("load").arg(file).output()?;
    ensure!(load.status.code() == Some(5), "{words}: {}", last_line(&load.stderr));
    ensure!(last_line(&load.stderr) == last_line(&preflight.stderr), "{log}");
    ensure!(whole_server(server)? == before, "{words}: the server changed");
    Ok(())
}

pub fn passes(server: &Postgres, role: &str, file: &Path) -> Result<serde_json::Value> {
    let before = whole_server(server)?;
    let out = as_role(server, role).args(["preflight", "--json"]).arg(file).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    ensure!(whole_server(server)? == before, "the server changed");
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// A dump of a database of `app`'s, with a schema of `tenant`'s.
fn dump_of_app(s: &Setup) -> Result<PathBuf> {
    s.server.psql(
        "piprio",
        "create role app login password 'x'; create role tenant login; create role reader;
         create role unconcerned",
    )?;
    s.server.psql("postgres", "create database app owner app")?;
    s.server.psql(
        "app",
        "create schema t authorization tenant; set role tenant; create table t.t as select 1 as i;
         grant select on t.t to reader",
    )?;
    let out = s.pg_snap("app").arg("dump").output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let path = s.path("app.sql.gz");
    std::fs::write(&path, out.stdout)?;
    Ok(path)
}

/// The dump with its text changed.
pub fn edited(s: &Setup, file: &Path, change: impl FnOnce(String) -> String) -> Result<PathBuf> {
    let text = String::from_utf8(gunzip(file)?)?;
    let changed = change(text.clone());
    ensure!(changed != text, "nothing was changed");
    let path = s.path("edited.sql");
    std::fs::write(&path, changed)?;
    Ok(path)
}

#[test]
fn a_dump_of_roles_that_the_server_lacks_loads_for_who_may_create_them_only() -> Result<()> {
    let s = Setup::new()?;
    let file = dump_of_app(&s)?;
    let elsewhere = Postgres::start()?;
    elsewhere.psql(
        "postgres",
        "create role poor login password 'x'; create role plain login password 'x' createdb;
         create role rich login password 'x' createdb createrole",
    )?;
    refused(&elsewhere, "poor", &file, "ALTER ROLE \"poor\" CREATEDB;")?;
    refused(
        &elsewhere,
        "plain",
        &file,
        "CREATE ROLE \"tenant\" NOLOGIN; GRANT \"tenant\" TO \"plain\"",
    )?;

    let report = passes(&elsewhere, "rich", &file)?;
    assert_eq!((&report["exists"], &report["owner"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(report["dump_version"].as_str().map(|v| v.starts_with("1")), Some(true));
    let missing = report["roles_missing"].to_string();
    assert!(missing.contains(r#"{"login":true,"name":"tenant"}"#), "{missing}");
    assert!(missing.contains(r#"{"login":false,"name":"reader"}"#), "{missing}");
    assert!(!missing.contains("unconcerned"), "{missing}");
    let out = as_role(&elsewhere, "rich").arg("load").arg(&file).output()?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{log}");
    assert!(log.contains("ALTER ROLE \"tenant\" LOGIN; then \\password \"tenant\""), "{log}");
    assert!(content(&elsewhere, "piprio")? == content(&s.server, "app")?);

    // The same dump from pg_dump alone: its roles are seen in its text.
    let plain = s.path("plain.sql");
    let out = s.server.client("pg_dump").arg("app").output()?;
    std::fs::write(&plain, out.stdout)?;
    let fresh = Postgres::start()?;
    fresh.psql("postgres", "create role rich login password 'x' createdb createrole")?;
    let report = passes(&fresh, "rich", &plain)?;
    assert!(report["roles_missing"].to_string().contains("\"tenant\""), "{report}");
    Ok(())
}

#[test]
fn an_owner_whose_rights_are_not_ours_is_reported_with_the_grant() -> Result<()> {
    let s = Setup::new()?;
    let file = dump_of_app(&s)?;
    s.server.psql("postgres", "alter role app createdb")?;
    refused(&s.server, "app", &file, "GRANT \"tenant\" TO \"app\"")?;
    refused(&s.server, "app", &file, "database piprio belongs to role piprio")?;
    s.server.psql("postgres", "grant tenant to app; alter database piprio owner to app")?;
    passes(&s.server, "app", &file)?;
    as_role(&s.server, "app").arg("load").arg(&file).assert().success();
    assert!(content(&s.server, "piprio")? == content(&s.server, "app")?);
    Ok(())
}

#[test]
fn an_extension_a_locale_or_a_version_that_the_server_lacks_is_reported() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let dump = |change: fn(String) -> String| edited(&s, &file, change);
    let needs = dump(|t| t.replacen("\"extensions\":[]", "\"extensions\":[\"no_such\"]", 1))?;
    refused(&s.server, postgres::USER, &needs, "-no-such (or apt-cache search")?;
    let newer = dump(|t| t.replacen("from database version 1", "from database version 91", 1))?;
    refused(&s.server, postgres::USER, &newer, "cannot be loaded into an older major")?;
    let locale = dump(|t| t.replacen("\"collate\":\"", "\"collate\":\"xx_XX.", 1))?;
    refused(&s.server, postgres::USER, &locale, "locale-gen")?;

    // Another tool's dump: its extensions are seen in its text.
    let plain = s.path("plain.sql");
    let text = "CREATE EXTENSION IF NOT EXISTS missing_one WITH SCHEMA a;\nCOPY a FROM stdin;\n";
    std::fs::write(&plain, text)?;
    refused(&s.server, postgres::USER, &plain, "needs extension missing_one")?;

    // An extension that the server has, but that only a superuser may create.
    s.server.psql(
        "postgres",
        "create role app login password 'x' createdb; alter database piprio owner to app",
    )?;
    std::fs::write(&plain, text.replace("missing_one", "dblink"))?;
    refused(&s.server, "app", &plain, "creates extension dblink, which requires a superuser")?;
    std::fs::write(&plain, text.replace("missing_one", "citext"))?;
    passes(&s.server, "app", &plain).map(drop)
}

#[test]
fn a_damaged_head_a_silent_server_and_a_whole_dump_have_their_statuses() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let run =
        |input: &[u8]| s.pg_snap("piprio").args(["preflight", "-"]).write_stdin(input).assert();
    run(&std::fs::read(&file)?).success().stdout(contains("Problems: 0"));
    run(b"").code(4).stdout("");
    run(&std::fs::read(&file)?[..200]).code(4).stdout("");
    run(b"SELECT 1;\n").code(4).stdout("");
    let silent = s.pg_snap("piprio").env("PGPORT", "1").arg("preflight").arg(&file).assert();
    silent.code(1).stdout("").stderr(contains("Connection refused"));
    Ok(())
}

#[test]
fn what_holds_the_database_is_reported_with_the_words_to_type() -> Result<()> {
    let settings = ["wal_level=logical", "max_prepared_transactions=2"].map(str::to_owned);
    let options = postgres::Options { settings: settings.into(), ..Default::default() };
    let s = Setup::of(Postgres::with(options)?)?;
    let file = s.dump("d.sql.gz")?;
    let held = |by: &str, free: &str, words: &str| -> Result<()> {
        s.server.psql("piprio", by)?;
        refused(&s.server, postgres::USER, &file, words)?;
        s.server.psql("piprio", free)?;
        passes(&s.server, postgres::USER, &file).map(drop)
    };
    held(
        "begin; create table held (); prepare transaction 'it''s mine'",
        "rollback prepared 'it''s mine'",
        "ROLLBACK PREPARED 'it''s mine';",
    )?;
    held(
        "create subscription sub connection 'host=127.0.0.1 port=1' publication p with (connect = false)",
        "alter subscription sub set (slot_name = none); drop subscription sub",
        "DROP SUBSCRIPTION \"sub\";",
    )?;
    held(
        "select pg_create_logical_replication_slot('reader', 'pgoutput')",
        "select pg_drop_replication_slot('reader')",
        "SELECT pg_drop_replication_slot('reader');",
    )?;
    held(
        "alter database piprio is_template true",
        "alter database piprio is_template false",
        "IS_TEMPLATE false;",
    )?;

    // To a role that may not read all of pg_subscription, too.
    s.server.psql("piprio", "create subscription sub connection 'host=127.0.0.1 port=1' publication p with (connect = false)")?;
    s.server.psql(
        "piprio",
        "create role app login password 'x' createdb; alter database piprio owner to app",
    )?;
    refused(&s.server, "app", &file, "DROP SUBSCRIPTION \"sub\";")
}

#[test]
fn a_session_that_is_not_ours_to_end_is_reported_by_role_and_application() -> Result<()> {
    let s = Setup::new()?;
    let file = dump_of_app(&s)?;
    s.server.psql(
        "postgres",
        "alter role app createdb; alter database piprio owner to app; grant tenant to app",
    )?;
    let report = passes(&s.server, "app", &file)?;
    assert!(report["notes"].to_string().contains("GRANT pg_signal_backend"), "{report}");
    let mut session = s.server.client("psql");
    session
        .args(["-X", "-d", "piprio", "-c", "select pg_sleep(600)"])
        .env("PGAPPNAME", "the intruder");
    let mut session = session.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let present = "select count(*) from pg_stat_activity where application_name = 'the intruder'";
    wait_for(&s.server, present, "1")?;
    let result = refused(&s.server, "app", &file, "session of role piprio (the intruder, pid");
    // One of our own role is ended, as always.
    s.server.psql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'the intruder'")?;
    session.wait()?;
    result
}

/// A small file system of its own, where we may make one.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Or why there is none.
    fn new(mib: u32) -> Result<Result<Self, String>> {
        if !is_root() {
            return Ok(Err("making a small file system takes root".into()));
        }
        let dir = tempfile::tempdir()?;
        let size = format!("size={mib}m,mode=755");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .output()?;
        let why = String::from_utf8_lossy(&mount.stderr).trim().to_owned();
        Ok(if mount.status.success() { Ok(Self(dir)) } else { Err(why) })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_without_room_for_two_is_reported_with_the_remedy() -> Result<()> {
    let disk = match SmallDisk::new(120)? {
        Ok(disk) => disk,
        Err(why) => {
            test_kit::skipped!("{why}");
            return Ok(());
        }
    };
    let options = postgres::Options {
        place: Some(disk.0.path().to_owned()),
        settings: vec!["max_wal_size=32MB".into(), "min_wal_size=32MB".into()],
        initdb: vec!["--locale=C.UTF-8".into(), "--encoding=UTF8".into(), "--wal-segsize=1".into()],
        ..Default::default()
    };
    let s = Setup::of(Postgres::with(options)?)?;
    let file = s.dump("d.sql.gz")?;
    passes(&s.server, postgres::USER, &file)?;
    s.server.psql(
        "piprio",
        "create unlogged table big as select md5(i::text) from generate_series(1, 700000) i",
    )?;
    let file = s.dump("d.sql.gz")?;
    let before = whole_server(&s.server)?;
    let run =
        |options: &[&str]| s.pg_snap("piprio").arg("preflight").args(options).arg(&file).assert();
    run(&[]).code(5).stderr(contains("--drop-first drops the old database"));
    run(&["--drop-first"]).success();
    assert_eq!(whole_server(&s.server)?, before);
    refused(&s.server, postgres::USER, &file, "--drop-first drops the old database")
}
