//! Text that means something else under other settings, and statements that psql misreads.

use crate::kit::{by_psql, content, dump_to, pg_dump_to, pg_snap};
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use test_kit::Postgres;

#[test]
fn a_products_own_settings_hold_before_the_first_row_is_loaded() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    for setting in
        ["app.currency = 'EUR'", "\"DateStyle\" = 'SQL, DMY'", "array_nulls = off", "app.a = 'x y'"]
    {
        server.psql("postgres", &format!("alter database piprio set {setting}"))?;
    }
    server.psql(
        "piprio",
        "create function public.currency() returns text language sql immutable
           as $$ select current_setting('app.currency') $$;
         create table public.priced (id int primary key, at date, words text[],
           currency text generated always as (public.currency()) stored,
           check (public.currency() = 'EUR'));
         set array_nulls = on;
         insert into priced (id, at, words) values (1, '02/01/2026', '{a,NULL}'), (2, '31/12/2026', array['NULL'])",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    let rows = "set datestyle = iso; select id, at, words[1] is null, words[2] is null, currency from priced order by id";
    let original = server.psql("piprio", rows)?;
    pg_snap(&server, "copy").arg("load").arg(&file).assert().success();
    ensure!(server.psql("copy", rows)? == original);
    server.psql("postgres", "create database plain template template0")?;
    for setting in ["app.currency = 'EUR'", "array_nulls = off"] {
        server.psql("postgres", &format!("alter database plain set {setting}"))?;
    }
    let text = crate::kit::gunzip(&file)?;
    let mut psql = assert_cmd::Command::from_std(server.client("psql"));
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "plain"])
        .write_stdin(text)
        .assert()
        .success();
    ensure!(server.psql("plain", rows)? == original);
    Ok(())
}

#[test]
fn settings_of_an_application_hold_before_the_first_row_whatever_their_names() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    for setting in [
        "app.session_timeout = '30 min'",
        "app.extra_preload_libraries = 'a'",
        "log_app.level = 'yes'",
        "auto_explain.log_timing = off",
    ] {
        server.psql("postgres", &format!("alter database piprio set {setting}"))?;
    }
    server.psql(
        "piprio",
        "create table public.seen (id int primary key, ago interval,
           check (ago <= 2 * current_setting('app.session_timeout')::interval));
         insert into seen values (1, '10 min'), (2, '50 min');
         create materialized view public.live as select id from seen
           where ago < coalesce(current_setting('app.session_timeout', true), '0')::interval
             and current_setting('app.extra_preload_libraries', true) = 'a' and current_setting('log_app.level', true) = 'yes'",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    pg_snap(&server, "copy").args(["load", "--keep-going"]).arg(&file).assert().success();
    ensure!(server.psql("copy", "select string_agg(id::text, ' ') from live")? == "1");
    Ok(())
}

#[test]
fn a_view_is_filled_under_the_databases_own_reading_of_null_in_arrays() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("postgres", "alter database piprio set array_nulls = off")?;
    server.psql(
        "piprio",
        "create schema app; create table app.listed (words text); insert into app.listed values ('{NULL,a}');
         create materialized view app.split as select words::text[] as words from app.listed",
    )?;
    let nulls = |schema: &str| format!("select words[1] is null from {schema}.split");
    ensure!(server.psql("piprio", &nulls("app"))? == "f");
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    pg_snap(&server, "copy").arg("load").arg(&file).assert().success();
    let one = ["load", "--schema", "app", "--into", "again"];
    pg_snap(&server, "copy").args(one).arg(&file).assert().success();
    server.psql("postgres", "create database plain template template0")?;
    server.psql("postgres", "alter database plain set array_nulls = off")?;
    let mut psql = assert_cmd::Command::from_std(server.client("psql"));
    let psql = psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "plain"]);
    psql.write_stdin(crate::kit::gunzip(&file)?).assert().success();
    for (database, schema) in [("copy", "app"), ("copy", "again"), ("plain", "app")] {
        ensure!(server.psql(database, &nulls(schema))? == "f", "{database} {schema}");
    }
    Ok(())
}

#[test]
fn money_is_the_same_amount_wherever_it_is_loaded() -> Result<()> {
    let server = Postgres::start()?;
    let locale = ["es_AR.UTF-8", "de_DE.UTF-8", "es_AR.utf8", "de_DE.utf8"]
        .into_iter()
        .find(|locale| server.psql("postgres", &format!("set lc_monetary = '{locale}'")).is_ok());
    let Some(locale) = locale else {
        test_kit::skipped!("no locale with a decimal comma (es_AR, de_DE) on this machine");
        return Ok(());
    };
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("postgres", &format!("alter database piprio set lc_monetary = '{locale}'"))?;
    server.psql(
        "piprio",
        "create table public.fee (id int primary key, amount money default 0.5::numeric::money,
           check (amount < 99999.5::numeric::money));
         insert into fee values (1, 12.34::numeric::money), (2, 0.99::numeric::money), (3, (-1234.5)::numeric::money);
         create index large on fee (id) where amount > '1000'::money;
         create materialized view public.shown as select id, amount::text from fee",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    pg_snap(&server, "copy").arg("load").arg(&file).assert().success();
    by_psql(&server, "plain", &file)?;
    let amounts = "select string_agg(amount::numeric::text, ' ' order by id) from fee";
    let original = server.psql("piprio", amounts)?;
    for database in ["copy", "plain"] {
        ensure!(server.psql(database, amounts)? == original, "{database}");
    }
    let shown = "select string_agg(amount, ' ' order by id) from shown";
    ensure!(server.psql("copy", shown)? == server.psql("piprio", shown)?);
    ensure!(content(&server, "copy")? == content(&server, "piprio")?);
    Ok(())
}

#[test]
fn a_name_that_psql_takes_for_the_beginning_of_a_body_ends_no_load() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    // Each in a call of its own, which no psql reads.
    for sql in [
        "create table public.booking (id int primary key, begin timestamptz, \"end\" timestamptz)",
        "create function public.starts(int) returns timestamptz language sql stable \
         begin atomic select begin from public.booking where id = $1; select case when true then begin end from public.booking; end",
        "create function public.begin(begin int) returns int language sql as 'select $1'",
        "create procedure public.begin_all(begin int) language sql begin atomic insert into public.booking values ($1, now(), now()); end",
        "create table public.after_it (id int primary key)",
        "insert into public.after_it select generate_series(1, 1000)",
        "create view public.between as select begin, \"end\" from public.booking",
    ] {
        let mut psql = server.client("psql");
        ensure!(psql.args(["-X", "-q", "-d", "piprio", "-c", sql]).status()?.success(), "{sql}");
    }
    let dir = tempfile::tempdir()?;
    let (ours, plain) = (dir.path().join("ours.sql.gz"), dir.path().join("plain.sql.gz"));
    dump_to(&server, "piprio", &[], &ours)?;
    pg_dump_to(&server, "piprio", &[], &plain)?;
    let original = content(&server, "piprio")?;
    for file in [&ours, &plain] {
        let mut load = pg_snap(&server, "copy");
        load.arg("load").arg(file).timeout(Duration::from_secs(100)).assert().success();
        ensure!(content(&server, "copy")? == original, "{}", file.display());
    }
    by_psql(&server, "by_psql", &ours)?;
    ensure!(content(&server, "by_psql")? == original);
    Ok(())
}

#[test]
fn a_slice_up_to_a_column_of_the_name_of_a_psql_variable_is_no_variable() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    // One that psql can be without, one that it sets after each statement, and one that it always has.
    for sql in [
        "create table public.t (a int[], \"PORT\" int, \"ERROR\" int, \"AUTOCOMMIT\" int, s int[] generated always as (a[1:\"PORT\"]) stored)",
        "create view public.v as select a[1:\"ERROR\"] as e, a[\"PORT\":\"AUTOCOMMIT\"] as c from public.t",
        "create function public.f() returns setof int[] language sql stable begin atomic select a[1:\"PORT\"] from public.t; end",
        "insert into public.t values ('{1,2,3}', 2, 1, 3)",
    ] {
        let mut psql = server.client("psql");
        ensure!(psql.args(["-X", "-q", "-d", "piprio", "-c", sql]).status()?.success(), "{sql}");
    }
    let dir = tempfile::tempdir()?;
    let (ours, plain) = (dir.path().join("ours.sql.gz"), dir.path().join("plain.sql.gz"));
    dump_to(&server, "piprio", &[], &ours)?;
    pg_dump_to(&server, "piprio", &[], &plain)?;
    let original = content(&server, "piprio")?;
    for file in [&ours, &plain] {
        pg_snap(&server, "copy").arg("load").arg(file).assert().success();
        ensure!(content(&server, "copy")? == original, "{}", file.display());
    }
    by_psql(&server, "by_psql", &ours)?;
    ensure!(content(&server, "by_psql")? == original);
    Ok(())
}

#[test]
fn a_load_whose_psql_does_not_see_a_statements_end_ends_with_its_reason() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql(
        "piprio",
        "create table public.t (id int); create view public.swallowed as select 1 as one",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    // Stands in for a psql that reads a statement as another one: it sees a parenthesis that is not there.
    let exec = dir.path().join("exec");
    std::fs::write(
        &exec,
        "#!/bin/sh\ncase \"$1 $2\" in *psql*--version*) exec \"$@\" ;; *psql*) \
         sed -u 's/^CREATE VIEW public.swallowed AS/CREATE VIEW public.swallowed AS (/' | \"$@\" ;; *) exec \"$@\" ;; esac\n",
    )?;
    std::fs::set_permissions(&exec, std::fs::Permissions::from_mode(0o755))?;
    server.psql("postgres", "create database copy")?;
    let begun = Instant::now();
    let mut load = pg_snap(&server, "copy");
    load.env("PG_SNAP_EXEC", &exec).arg("load").arg(&file);
    let out = load.timeout(Duration::from_secs(120)).output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code().is_some_and(|code| code != 0), "{:?}: {log}", out.status);
    ensure!(begun.elapsed() < Duration::from_secs(115), "{log}");
    let line = log.lines().last().context("no error")?;
    ensure!(line.contains("does not see the end of a statement"), "{line}");
    ensure!(line.contains("the old database is as it was"), "{line}");
    Ok(())
}
