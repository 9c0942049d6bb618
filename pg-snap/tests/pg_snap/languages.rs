//! A server that speaks another language than English is understood alike.

use crate::kit::*;
use crate::running::{LOADS, Running};
use anyhow::{Result, ensure};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use test_kit::postgres::{Options, has_locale};
use test_kit::{Postgres, tool};

const GERMAN: &str = "de_DE.UTF-8";
const SKIPPED: &str = "no locale de_DE.UTF-8, or no German messages of PostgreSQL";

/// None where this machine lacks the locale, or the server its messages.
fn german() -> Result<Option<Setup>> {
    if !has_locale(GERMAN) {
        return Ok(None);
    }
    let settings = vec![format!("lc_messages={GERMAN}")];
    Setup::of(Postgres::with(Options { settings, ..Options::default() })?).map(Some)
}

#[test]
fn sessions_that_come_back_at_once_do_not_keep_a_german_server_from_swapping_names() -> Result<()> {
    let Some(s) = german()? else {
        test_kit::skipped!("{SKIPPED}");
        return Ok(());
    };
    let file = s.dump("d.sql.gz")?;
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !end.load(Ordering::Relaxed) {
                    let mut psql = s.server.client("psql");
                    psql.args(["-X", "-d", "piprio", "-c", "select pg_sleep(0.05)"]);
                    let _ = psql.stdout(Stdio::null()).stderr(Stdio::null()).status();
                }
            });
        }
        let loads = (0..4).map(|_| s.pg_snap("piprio").arg("load").arg(&file).output());
        let loads: Result<Vec<_>, _> = loads.collect();
        end.store(true, Ordering::Relaxed);
        for out in loads? {
            ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(())
    })
}

#[test]
fn a_german_server_without_the_usual_databases_is_dumped() -> Result<()> {
    let Some(s) = german()? else {
        test_kit::skipped!("{SKIPPED}");
        return Ok(());
    };
    s.server.psql("piprio", "drop database postgres")?;
    s.pg_snap("piprio").arg("dump").assert().success();
    s.pg_snap("none").arg("dump").assert().code(1).stderr(contains("has no database none"));
    let status = s.pg_snap("none").args(["status", "--json"]).assert().success();
    status.stdout(contains("\"exists\":false"));
    Ok(())
}

#[test]
fn an_error_of_a_german_server_is_shown_in_its_words_without_its_source() -> Result<()> {
    let Some(s) = german()? else {
        test_kit::skipped!("{SKIPPED}");
        return Ok(());
    };
    let broken = s.path("broken.sql");
    let mut text = gunzip(&s.dump("d.sql.gz")?)?;
    let end = end_marker(&text)?;
    text.splice(end..end, *b"SELECT 1 FROM nowhere;\n");
    std::fs::write(&broken, text)?;
    // psql's own language must not matter, either.
    let mut load = Command::new(tool("pg-snap"));
    load.args(["load"]).arg(&broken).envs(s.server.env()).env("PGDATABASE", "piprio");
    load.env("LC_ALL", GERMAN).env("LANGUAGE", "de");
    assert_cmd::Command::from_std(load)
        .assert()
        .code(1)
        .stderr(contains("nowhere").and(contains("ERROR 42P01: ")).and(contains(".c:").not()));
    Ok(())
}

#[test]
fn settings_and_locales_that_a_german_server_lacks_are_known() -> Result<()> {
    let Some(s) = german()? else {
        test_kit::skipped!("{SKIPPED}");
        return Ok(());
    };
    let text = String::from_utf8(gunzip(&s.dump("d.sql.gz")?)?)?;
    let file = s.path("changed.sql");
    let setting = r#""settings":[{"role":null,"name":"no_such_setting","value":"1"}"#;
    let changed = text.replacen("\"settings\":[", &format!("{setting}@"), 1);
    let changed = changed.replacen("}@]", "}]", 1).replacen("}@{", "},{", 1);
    std::fs::write(
        &file,
        changed.replacen("\"collate\":\"C.UTF-8\"", "\"collate\":\"xx_XX.UTF-8\"", 1),
    )?;
    let found = s.pg_snap("piprio").arg("preflight").arg(&file).assert().code(5);
    found.stdout(contains("no_such_setting")).stderr(contains("xx_XX.UTF-8"));
    Ok(())
}

#[test]
fn a_table_that_somebody_holds_makes_a_german_dump_wait() -> Result<()> {
    let Some(s) = german()? else {
        test_kit::skipped!("{SKIPPED}");
        return Ok(());
    };
    let lock = "begin; lock table public.tenants; select pg_sleep(3)";
    let mut psql = s.server.client("psql");
    psql.args(["-X", "-q", "-d", "piprio", "-c", lock]).stdout(Stdio::null());
    let mut holder = psql.spawn()?;
    let held = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    wait_for(&s.server, held, "1")?;
    let mut dump = Running::start(&s.server, &["dump", "--lock-wait", "60"], s.path("out"))?;
    assert_eq!(dump.code()?, Some(0), "{}", dump.stderr());
    holder.wait()?;
    wait_for(&s.server, &format!("select count(*) from pg_stat_activity where {LOADS}"), "0")
}
