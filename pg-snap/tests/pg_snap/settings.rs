//! Settings of a database, or of a role in it, that the server does not accept: reported before any harm.

use crate::kit::*;
use crate::preflight::{as_role, edited, passes, refused};
use anyhow::{Result, ensure};
use test_kit::likeness::{ensure_alike, state};
use test_kit::{Postgres, postgres};

fn source(server: &Postgres, settings: &str) -> Result<()> {
    server.psql("postgres", "drop database if exists source; create database source")?;
    server.psql("source", "create table t as select 1 as i")?;
    server.psql("postgres", settings).map(drop)
}

#[test]
fn a_value_that_the_server_does_not_accept_is_refused_before_anything_is_dropped() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("d.sql.gz");
    s.server.psql("postgres", "create role \"by role\"")?;
    source(
        &s.server,
        "alter database source set timezone = 'Asia/Kathmandu'; alter database source set lc_time = 'C';
         alter database source set default_toast_compression = 'pglz';
         alter role \"by role\" in database source set datestyle = 'SQL, DMY'",
    )?;
    dump_to(&s.server, "source", &[], &file)?;
    passes(&s.server, postgres::USER, &file)?;
    for (from, to, words) in [
        ("Asia/Kathmandu", "No/Where", "sets TimeZone = 'No/Where' for the database"),
        ("Asia/Kathmandu", "No/Where", "apt install tzdata-legacy"),
        ("\"lc_time\",\"value\":\"C\"", "\"lc_time\",\"value\":\"xx_XX\"", "locale-gen"),
        ("\"pglz\"", "\"none such\"", "default_toast_compression = 'none such' for the database"),
        ("SQL, DMY", "SQL, odd", "DateStyle = 'SQL, odd' for role by role in the database"),
    ] {
        let changed = edited(&s, &file, |text| text.replacen(from, to, 1))?;
        refused(&s.server, postgres::USER, &changed, words)?;
        let mut load = as_role(&s.server, postgres::USER);
        load.args(["load", "--drop-first"]).arg(&changed).assert().code(5);
        ensure!(s.databases()? == "piprio postgres source", "{words}");
    }
    Ok(())
}

#[test]
fn what_only_the_database_itself_can_look_up_and_lists_are_no_problem() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("d.sql.gz");
    source(
        &s.server,
        "set client_min_messages = error;
         alter database source set default_text_search_config = 'public.mine';
         alter database source set default_tablespace = 'nowhere';
         alter database source set default_table_access_method = 'nowhere';
         alter database source set search_path = '$user', 'odd, one', 'it''s \"mine\"';
         alter database source set session_preload_libraries = 'auto_explain', 'auto_explain';
         alter database source set app.value = 'a secret'",
    )?;
    dump_to(&s.server, "source", &[], &file)?;
    passes(&s.server, postgres::USER, &file)?;
    pg_snap(&s.server, "copy").arg("load").arg(&file).assert().success();
    ensure_alike(&state(&s.server, "source")?, &state(&s.server, "copy")?, "the state")
}

#[test]
fn a_setting_that_the_role_may_not_make_is_refused_without_its_value() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("d.sql.gz");
    s.server.psql(
        "postgres",
        "create role app login password 'x' createdb; alter database piprio owner to app",
    )?;
    let made = |settings: &str| -> Result<()> {
        source(&s.server, settings)?;
        s.server.psql(
            "source",
            "alter database source owner to app; alter table public.t owner to app",
        )?;
        dump_to(&s.server, "source", &[], &file)
    };
    made(
        "alter database source set work_mem = '8MB'; alter database source set search_path = a, b",
    )?;
    passes(&s.server, "app", &file)?;
    for (name, value) in [("app.secret", "hidden words"), ("log_statement", "ddl")] {
        made(&format!("alter database source set {name} = '{value}'"))?;
        let words = format!("sets {name} for the database, which requires a superuser");
        refused(&s.server, "app", &file, &words)?;
        let out = as_role(&s.server, "app").arg("preflight").arg(&file).output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(!log.contains(value), "{log}");
        passes(&s.server, postgres::USER, &file)?;
    }
    Ok(())
}

#[test]
fn what_makes_the_new_database_fail_at_its_end_fails_before_the_old_one_is_dropped() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let limit = "\"connection_limit\":-";
    let changed = edited(&s, &file, |t| t.replacen(&format!("{limit}1"), &format!("{limit}7"), 1))?;
    let before = content(&s.server, "piprio")?;
    let mut load = as_role(&s.server, postgres::USER);
    let out = load.args(["load", "--drop-first"]).arg(&changed).output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(1), "{log}");
    ensure!(log.contains("the old database was not dropped"), "{log}");
    ensure!(s.databases()? == "piprio postgres" && content(&s.server, "piprio")? == before);
    Ok(())
}
