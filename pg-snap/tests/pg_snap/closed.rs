//! A role that is let into the product's database alone: no other one is taken for granted.

use crate::kit::*;
use anyhow::{Context, Result};
use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use test_kit::{Postgres, postgres};

fn as_app(server: &Postgres) -> Command {
    let mut command = pg_snap(server, "piprio");
    command.env("PGUSER", "app").env("PGPASSWORD", "x");
    command
}

/// A role that may make databases, and connect to its own alone.
fn shut_in() -> Result<Postgres> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role app login createdb password 'x'; create database piprio owner app;
         revoke connect on database postgres, template1 from public",
    )?;
    let mut app = server.client("psql");
    app.env("PGUSER", "app").env("PGPASSWORD", "x");
    let rows = "create table kept as select n from generate_series(1, 1000) n;
         create schema part; create table part.t (n integer)";
    postgres::psql(app, "piprio", &[], rows)?;
    Ok(server)
}

fn dumped(server: &Postgres, dir: &tempfile::TempDir) -> Result<std::path::PathBuf> {
    let out = as_app(server).arg("dump").output()?;
    anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let file = dir.path().join("d.sql.gz");
    std::fs::write(&file, out.stdout)?;
    Ok(file)
}

fn rows(server: &Postgres, database: &str) -> Result<String> {
    server.psql(database, "select count(*) from kept")
}

#[test]
fn a_database_that_cannot_be_opened_is_reported_and_replaced() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let path = "select current_setting('data_directory') || '/base/' || oid from pg_database
                where datname = 'piprio'";
    for (is_lost, options) in [(true, &[][..]), (true, &["--drop-first"]), (false, &[])] {
        if is_lost {
            s.server.psql("postgres", "checkpoint")?;
            let path = s.server.psql("postgres", path)?;
            std::fs::remove_file(std::path::Path::new(&path).join("PG_VERSION"))?;
        } else {
            let closed = "update pg_database set datallowconn = false where datname = 'piprio'";
            s.server.psql("postgres", closed)?;
        }
        let status = s.pg_snap("piprio").args(["status", "--json"]).assert().success();
        let status: serde_json::Value = serde_json::from_slice(&status.get_output().stdout)?;
        assert_eq!(status["exists"], true);
        let why = status["unopened"].as_str().unwrap_or_default();
        anyhow::ensure!(why.contains("FATAL"), "{status}");
        s.pg_snap("piprio").arg("status").assert().success().stdout(contains("Cannot be opened"));
        s.pg_snap("piprio").arg("preflight").args(options).arg(&file).assert().success();
        s.pg_snap("piprio").arg("load").args(options).arg(&file).assert().success();
        s.pg_snap("piprio").arg("compare").arg(&file).assert().success();
    }
    Ok(())
}

#[test]
fn a_role_with_one_database_dumps_loads_and_swaps_it() -> Result<()> {
    let server = shut_in()?;
    let dir = tempfile::tempdir()?;
    let file = dumped(&server, &dir)?;
    as_app(&server)
        .args(["status", "--json"])
        .assert()
        .success()
        .stdout(contains("\"exists\":true"));
    as_app(&server).arg("preflight").arg(&file).assert().success().stdout(contains("Problems: 0"));
    // What a killed load has left is used, and goes.
    server.psql("postgres", "create database piprio_pg_snap_helper owner app")?;
    for options in [&["--keep-previous"][..], &[], &["--drop-first"]] {
        server.psql("piprio", "insert into kept values (0)")?;
        as_app(&server).arg("load").args(options).arg(&file).assert().success();
        assert_eq!(rows(&server, "piprio")?, "1000", "{options:?}");
        assert_eq!(databases(&server)?, "piprio piprio_previous postgres", "{options:?}");
    }
    as_app(&server).args(["load", "--schema", "part"]).arg(&file).assert().success();
    as_app(&server).args(["previous", "swap"]).assert().success();
    assert_eq!(rows(&server, "piprio")?, "1001");
    as_app(&server).args(["previous", "drop"]).assert().success();
    assert_eq!(databases(&server)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_load_leaves_to_another_the_database_that_both_are_connected_to() -> Result<()> {
    let server = shut_in()?;
    let dir = tempfile::tempdir()?;
    let file = dumped(&server, &dir)?;
    server.psql("postgres", "create database piprio_pg_snap_helper owner app")?;
    let mut other = server.client("psql");
    other.args(["-X", "-q", "-d", "piprio_pg_snap_helper", "-c", "select pg_sleep(60)"]);
    let mut other = other.stdout(std::process::Stdio::null()).spawn()?;
    let stands = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    wait_for(&server, stands, "1")?;
    as_app(&server).arg("load").arg(&file).assert().success();
    assert_eq!(server.psql("postgres", stands)?, "1");
    assert_eq!(databases(&server)?, "piprio piprio_pg_snap_helper postgres");
    server.psql(
        "postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'",
    )?;
    other.wait()?;
    as_app(&server).arg("load").arg(&file).assert().success();
    assert_eq!(databases(&server)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_load_that_fails_leaves_no_database_that_it_made_to_be_connected_to() -> Result<()> {
    let server = shut_in()?;
    let dir = tempfile::tempdir()?;
    let mut text = gunzip(&dumped(&server, &dir)?)?;
    let at = memfind(&text, b"COPY public.kept").context("no rows")?;
    text.splice(at..at, *b"SELECT 1 / 0;\n");
    let broken = dir.path().join("broken.sql");
    std::fs::write(&broken, text)?;
    as_app(&server).arg("load").arg(&broken).assert().code(1);
    assert_eq!(rows(&server, "piprio")?, "1000");
    assert_eq!(databases(&server)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_role_that_can_make_no_other_database_dumps_and_is_refused_a_load_with_what_to_grant()
-> Result<()> {
    let server = shut_in()?;
    let dir = tempfile::tempdir()?;
    let file = dumped(&server, &dir)?;
    server.psql("postgres", "alter role app nocreatedb")?;
    as_app(&server).arg("dump").assert().success();
    let grant = || contains("GRANT CONNECT ON DATABASE postgres TO \"app\"");
    as_app(&server).arg("load").arg(&file).assert().code(5).stderr(grant());
    as_app(&server).arg("preflight").arg(&file).assert().code(5).stderr(grant());
    server.psql("postgres", "create database piprio_previous owner app")?;
    as_app(&server).args(["previous", "swap"]).assert().code(5).stderr(grant());
    as_app(&server).args(["previous", "drop"]).assert().success();
    assert_eq!(databases(&server)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_role_that_pg_hba_conf_lets_into_one_database_dumps_and_is_refused_a_load() -> Result<()> {
    let server = shut_in()?;
    let dir = tempfile::tempdir()?;
    server.psql("postgres", "grant connect on database postgres, template1 to public")?;
    let hba = server.psql("postgres", "show hba_file")?;
    let lines = format!(
        "host piprio app 127.0.0.1/32 scram-sha-256\nhost all {} 127.0.0.1/32 scram-sha-256\n",
        postgres::USER
    );
    std::fs::write(&hba, lines)?;
    server.psql("postgres", "select pg_reload_conf()")?;
    wait_for(&server, "select count(*) from pg_hba_file_rules", "2")?;
    let refused = || -> Result<bool> {
        let mut app = server.client("psql");
        app.env("PGUSER", "app").env("PGPASSWORD", "x");
        Ok(postgres::psql(app, "postgres", &[], "select 1").is_err())
    };
    test_kit::process::wait_until("the new pg_hba.conf", refused)?;
    let file = dumped(&server, &dir)?;
    as_app(&server).args(["status", "--json"]).assert().success();
    let refused = || contains("pg_hba.conf").and(contains("nothing was changed"));
    as_app(&server).arg("load").arg(&file).assert().code(5).stderr(refused());
    assert_eq!(rows(&server, "piprio")?, "1000");
    assert_eq!(databases(&server)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_server_without_the_usual_databases_is_served_from_any_other() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("piprio", "create database other")?;
    s.server.psql("piprio", "drop database postgres")?;
    s.server.psql(
        "piprio",
        "update pg_database set datallowconn = false where datname = 'template1'",
    )?;
    let all = || {
        s.server.psql("other", "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate")
    };
    for what in [&["dump"][..], &["status"]] {
        s.pg_snap("piprio").args(what).assert().success();
    }
    s.pg_snap("none").arg("dump").assert().code(1).stdout("");
    s.pg_snap("piprio").arg("preflight").arg(&file).assert().success();
    s.pg_snap("piprio").arg("load").arg(&file).assert().success();
    s.pg_snap("piprio").args(["load", "--keep-previous"]).arg(&file).assert().success();
    s.pg_snap("piprio").args(["previous", "swap"]).assert().success();
    s.pg_snap("piprio").args(["previous", "drop"]).assert().success();
    assert_eq!(all()?, "other piprio");
    Ok(())
}

#[test]
fn a_load_is_refused_while_another_from_another_database_is_under_way() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("postgres", "create database elsewhere")?;
    let mut other = s.server.client("psql");
    let lease =
        "select pg_advisory_lock(hashtext('pg-snap load'), hashtext('piprio')), pg_sleep(300)";
    other.args(["-X", "-q", "-d", "elsewhere", "-c", lease]).stdout(std::process::Stdio::null());
    let mut other = other.spawn()?;
    let held = "select count(*) from pg_locks where locktype = 'advisory' and granted";
    wait_for(&s.server, held, "1")?;
    let load = s.pg_snap("piprio").arg("load").arg(&file).assert().code(5);
    load.stderr(contains("another load of database piprio is running"));
    other.kill()?;
    other.wait()?;
    Ok(())
}
