//! A database held against a dump: what differs is found, and nothing else.

use crate::kit::*;
use crate::running::Held;
use anyhow::{Context, Result, ensure};
use differences::DIFFERENCES;
use predicates::prelude::*;
use predicates::str::{contains, ends_with, starts_with};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use test_kit::extension::Extended;
use test_kit::postgres::{self, Options};
use test_kit::{Postgres, oddities};

/// Tables of every kind, and what hangs on them.
const CONTENTS: &str = r#"
    create schema shop;
    create table shop.customer (id bigint generated always as identity primary key, name text not null,
      twice int generated always as (length(name) * 2) stored);
    insert into shop.customer (name) select 'c ' || n from generate_series(1, 50) n;
    create table shop.orders (id serial primary key, customer bigint references shop.customer, amount int,
      constraint positive check (amount > 0));
    insert into shop.orders (customer, amount) select 1 + n % 50, n from generate_series(1, 200) n;
    alter table shop.orders add constraint large check (amount > 10) not valid;
    create index by_amount on shop.orders (amount);
    create table shop.parent (a int); create table shop.child (b int) inherits (shop.parent);
    insert into shop.parent values (1); insert into shop.child values (2, 3), (4, 5);
    create unlogged table shop.cache (a int); insert into shop.cache values (1), (2);
    create table shop.event (at date, what text) partition by range (at);
    create index event_at on shop.event (at);
    create table shop.event_1 partition of shop.event for values from ('2020-01-01') to ('2021-01-01');
    create table shop.event_2 partition of shop.event for values from ('2021-01-01') to ('2022-01-01');
    insert into shop.event select '2020-06-01'::date + n, 'e' from generate_series(1, 300) n;
    create index partly on only shop.event (what);
    create type shop.color as enum ('red', 'green', 'blue');
    create table shop.colored (c shop.color) partition by hash (c);
    create table shop.colored_0 partition of shop.colored for values with (modulus 2, remainder 0);
    create table shop.colored_1 partition of shop.colored for values with (modulus 2, remainder 1);
    insert into shop.colored select (enum_range(null::shop.color))[1 + n % 3] from generate_series(1, 90) n;
    create domain shop.positive as int constraint above check (value > 0);
    create sequence shop.down increment -3 maxvalue 100 start 100; select nextval('shop.down');
    create materialized view shop.totals as select customer, sum(amount) from shop.orders group by 1;
    create materialized view shop.empty as select 1 as a with no data;
    create view shop.names as select name from shop.customer;
    create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere;
    create foreign table shop.far (a int) server nowhere;
    select lo_from_bytea(4711, 'x');
    create table shop.empty_table ();
    create table public."Odd "".; name" (a int); insert into public."Odd "".; name" values (1)"#;

mod differences;

struct Scene {
    server: Postgres,
    dir: TempDir,
}

impl Scene {
    fn new() -> Result<Self> {
        let scene = Self { server: Postgres::start()?, dir: tempfile::tempdir()? };
        scene.server.psql("postgres", "create database piprio")?;
        scene.server.psql("piprio", CONTENTS)?;
        dump_to(&scene.server, "piprio", &[], &scene.file())?;
        Ok(scene)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("d.sql.gz")
    }

    fn compare(&self) -> assert_cmd::Command {
        let mut command = pg_snap(&self.server, "piprio");
        command.arg("compare").arg(self.file());
        command
    }

    /// That a change shows as these lines, and that it is gone when it is taken back.
    fn ensure_finds(&self, change: &str, lines: &[&str], back: &str) -> Result<()> {
        self.server.psql("piprio", change)?;
        let out = self.compare().output()?;
        let (text, errors) = (String::from_utf8(out.stdout)?, String::from_utf8(out.stderr)?);
        let found: Vec<&str> = text.lines().collect();
        let (last, found) = found.split_last().context("no line")?;
        ensure!(found == lines, "{change}: {text}{errors}");
        ensure!(out.status.code() == Some(1) && last.starts_with("Differs: "), "{change}: {last}");
        self.server.psql("piprio", back)?;
        self.compare().assert().code(0).stdout(starts_with("Same; "));
        Ok(())
    }
}

/// That it is the same, by the file and by a pipe.
fn ensure_same(server: &Postgres, database: &str, file: &Path, what: &str) -> Result<()> {
    for piped in [false, true] {
        let mut command = pg_snap(server, database);
        command.args(["compare", "--json"]);
        let out = if piped { command.pipe_stdin(file)? } else { command.arg(file) }.output()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.code() == Some(0) && errors.is_empty(), "{what}: {text}{errors}");
        let report: Value = serde_json::from_str(&text)?;
        ensure!(report["same"] == true && report["findings"] == json!([]), "{what}: {text}");
    }
    Ok(())
}

#[test]
fn what_a_dump_was_made_of_and_what_it_was_loaded_into_are_the_same() -> Result<()> {
    let scene = Scene::new()?;
    oddities::create(&scene.server, "odd")?;
    scene.server.create_tenants("tenants", 3, 200)?;
    for database in ["piprio", "odd", "tenants"] {
        let file = scene.dir.path().join(database);
        dump_to(&scene.server, database, &[], &file)?;
        ensure_same(&scene.server, database, &file, database)?;
        pg_snap(&scene.server, "copy").arg("load").arg(&file).assert().success();
        ensure_same(&scene.server, "copy", &file, &format!("the copy of {database}"))?;
    }
    Ok(())
}

#[test]
fn dumps_of_pg_dump_are_read_whatever_its_options() -> Result<()> {
    let scene = Scene::new()?;
    scene.server.create_tenants("tenants", 2, 50)?;
    let all: [&[&str]; 6] = [
        &[],
        &["--inserts"],
        &["--column-inserts", "--rows-per-insert=7", "--quote-all-identifiers"],
        &["--load-via-partition-root", "--no-owner", "--no-acl"],
        &["--clean", "--if-exists", "--enable-row-security"],
        &["--no-unlogged-table-data", "--exclude-table-data=shop.orders"],
    ];
    for database in ["piprio", "tenants"] {
        for options in all {
            let file = scene.dir.path().join("theirs");
            pg_dump_to(&scene.server, database, options, &file)?;
            ensure_same(&scene.server, database, &file, &format!("{database} {options:?}"))?;
        }
    }
    // What a dump leaves out is not compared, and that is reported.
    let mut compare = pg_snap(&scene.server, "tenants");
    let file = scene.dir.path().join("theirs");
    pg_dump_to(&scene.server, "tenants", &["--schema-only"], &file)?;
    let last = ends_with("; the dump has no rows of 15 tables\n");
    compare.arg("compare").arg(file).assert().code(0).stdout(last);
    Ok(())
}

#[test]
fn a_difference_is_one_line_and_status_1() -> Result<()> {
    let scene = Scene::new()?;
    for (change, lines, back) in DIFFERENCES {
        scene.ensure_finds(change, lines, back)?;
    }
    // All of a schema is missing, and as much is there besides.
    scene.server.psql("piprio", "alter schema shop rename to other")?;
    let moved = scene.compare().assert().code(1);
    let moved = moved.stdout(contains("schema shop: missing\nschema other: not in the dump\n"));
    moved.stdout(contains("table shop.customer: missing\n").count(1));
    Ok(())
}

#[test]
fn the_report_as_json_has_the_documented_fields() -> Result<()> {
    let scene = Scene::new()?;
    scene.server.psql("piprio", "delete from shop.cache; drop index shop.by_amount")?;
    let out = scene.compare().arg("--json").output()?;
    ensure!(out.status.code() == Some(1) && out.stderr.is_empty());
    let mut report: Value = serde_json::from_slice(&out.stdout)?;
    let findings = json!([
        {"object": "table", "schema": "shop", "name": "cache", "finding": "rows", "expected": 2, "found": 0},
        {"object": "index", "schema": "shop", "name": "by_amount", "table": "orders", "finding": "missing"},
    ]);
    ensure!(report["findings"] == findings, "{report}");
    let report = report.as_object_mut().context("an object")?;
    for (field, value) in [
        ("same", json!(false)),
        ("database", json!("piprio")),
        ("schemas", json!(2)),
        ("rows", json!(50 + 200 + 1 + 2 + 2 + 300 + 90 + 1)),
        ("large_objects", json!(1)),
        ("materialized_views", json!(2)),
        ("not_compared", json!([])),
    ] {
        ensure!(report[field] == value, "{field}: {}", report[field]);
    }
    let mut fields: Vec<&str> = report.keys().map(String::as_str).collect();
    fields.sort_unstable();
    let documented = "constraints database dump_version findings indexes large_objects materialized_views \
        not_compared rows same schemas sequences server_version tables";
    ensure!(fields.join(" ") == documented, "{fields:?}");
    Ok(())
}

#[test]
fn a_damaged_dump_is_status_4_and_the_server_is_not_asked() -> Result<()> {
    let scene = Scene::new()?;
    let whole = std::fs::read(scene.file())?;
    let text = gunzip(&scene.file())?;
    let end = end_marker(&text)?;
    for (bytes, what) in [
        (&whole[..whole.len() / 2], "half of it"),
        (&text[..end], "no end marker"),
        (&text[..text.len() / 3], "cut text"),
        (&b""[..], "nothing"),
    ] {
        let file = scene.dir.path().join("damaged");
        std::fs::write(&file, bytes)?;
        let mut compare = pg_snap(&scene.server, "piprio");
        // Nobody answers there.
        compare.env("PGPORT", "1").arg("compare").arg(&file);
        let out = compare.output()?;
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.code() == Some(4) && out.stdout.is_empty(), "{what}: {errors}");
        ensure!(errors.lines().count() == 1, "{what}: {errors}");
    }
    let mut compare = pg_snap(&scene.server, "piprio");
    compare.env_remove("PGDATABASE").arg("compare").arg(scene.file()).assert().code(2);
    let mut compare = pg_snap(&scene.server, "nowhere");
    compare.arg("compare").arg(scene.file()).assert().code(1).stdout("");
    Ok(())
}

#[test]
fn a_table_that_stays_locked_is_waited_for_so_long_and_no_longer() -> Result<()> {
    let scene = Scene::new()?;
    let held = Held::by(&scene.server, "piprio", "begin; lock table shop.orders")?;
    let mut compare = scene.compare();
    let locked = compare.args(["--lock-wait", "1"]).assert().code(1).stdout("");
    locked.stderr(contains("shop.orders stayed locked for 1 seconds"));
    held.release()?;
    scene.compare().assert().code(0);
    Ok(())
}

#[test]
fn writers_and_readers_continue_while_rows_are_counted() -> Result<()> {
    let scene = Scene::new()?;
    // One who writes, and does not commit: his rows are not counted, and he is not in the way.
    let writer = Held::by(
        &scene.server,
        "piprio",
        "begin; insert into shop.cache values (3); delete from shop.orders; lock table shop.child in row exclusive mode",
    )?;
    scene.compare().args(["--lock-wait", "1", "--jobs", "3"]).assert().code(0);
    writer.release()?;
    let left =
        "select count(*) from pg_stat_activity where application_name like 'pg-snap compare%'";
    wait_for(&scene.server, left, "0")
}

#[test]
fn rows_that_a_role_may_not_see_are_an_error_and_not_a_smaller_number() -> Result<()> {
    let scene = Scene::new()?;
    scene.server.psql(
        "piprio",
        "create role limited login password 'x'; grant usage on schema shop to limited;
         grant select on all tables in schema shop, public to limited;
         grant select on all sequences in schema shop to limited;
         alter table shop.orders enable row level security;
         create policy a_few on shop.orders using (amount < 10)",
    )?;
    let limited = |file: &Path| {
        let mut compare = pg_snap(&scene.server, "piprio");
        compare.env("PGUSER", "limited").env("PGPASSWORD", "x").arg("compare").arg(file);
        compare
    };
    let refused = limited(&scene.file()).assert().code(1).stdout("");
    refused.stderr(contains("this role may not read shop.orders, or not all of its rows"));
    scene.server.psql("piprio", "alter role limited bypassrls")?;
    limited(&scene.file()).assert().code(0);
    scene.server.psql("piprio", "revoke select on shop.customer from limited")?;
    limited(&scene.file()).assert().code(1).stderr(contains("may not read shop.customer"));
    Ok(())
}

#[test]
fn hostile_settings_of_a_database_change_nothing() -> Result<()> {
    let scene = Scene::new()?;
    let settings = [
        "row_security = on",
        "search_path = shop, nowhere",
        "quote_all_identifiers = on",
        "client_encoding = 'LATIN1'",
        "statement_timeout = '1ms'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "client_min_messages = 'debug5'",
        "standard_conforming_strings = off",
    ];
    let sql: String =
        settings.iter().map(|s| format!("alter database piprio set {s};\n")).collect();
    scene.server.psql("postgres", &sql)?;
    ensure_same(&scene.server, "piprio", &scene.file(), "hostile settings")?;
    dump_to(&scene.server, "piprio", &[], &scene.file())?;
    ensure_same(&scene.server, "piprio", &scene.file(), "a dump under hostile settings")
}

#[test]
fn names_in_any_encoding_are_known_again() -> Result<()> {
    let server = Postgres::start()?;
    let dir = tempfile::tempdir()?;
    for (encoding, letters) in
        [("LATIN1", "'Ünïcödé'"), ("EUC_JP", "'漢字'"), ("SQL_ASCII", r"E'\xff\xfe \xc3\x28'")]
    {
        let name = encoding.to_lowercase();
        server.psql(
            "postgres",
            &format!("create database {name} template template0 encoding '{encoding}' locale 'C'"),
        )?;
        let make = format!(
            "set client_encoding = 'UTF8';
             do $$ declare l text := {letters}; begin
               execute format('create schema %I', l);
               execute format('create table %I.%I (id serial primary key, %1$I int, constraint %3$I check (id > 0))', l, 't ' || l, 'c ' || l);
               execute format('insert into %I.%I default values', l, 't ' || l);
               execute format('create materialized view %I.%I as select * from %1$I.%3$I', l, 'm ' || l, 't ' || l);
             end $$"
        );
        server.psql(&name, &make).context(encoding)?;
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        dump_to(&server, &name, &[], &ours)?;
        pg_dump_to(&server, &name, &[], &theirs)?;
        ensure_same(&server, &name, &ours, &format!("{encoding}, ours"))?;
        ensure_same(&server, &name, &theirs, &format!("{encoding}, pg_dump's"))?;
        server.psql(&name, "do $$ declare t text; begin
            select quote_ident(schemaname) || '.' || quote_ident(tablename) into t from pg_tables where tablename like 't %';
            execute 'delete from ' || t; end $$")?;
        let differs = pg_snap(&server, &name).arg("compare").arg(&ours).assert().code(1);
        differs.stdout(contains(": 0 rows, 1 in the dump\nDiffers: 1 finding; "));
    }
    Ok(())
}

#[test]
fn of_an_extensions_table_the_rows_that_its_filter_chooses_are_counted() -> Result<()> {
    let extended = Extended::of(&postgres::programs()?)?;
    let programs = Some(extended.programs.clone());
    let server = Postgres::with(Options { programs, ..Options::default() })?;
    server.psql("postgres", "create database piprio")?;
    server
        .psql("piprio", "create extension odd_lookup; insert into lookup values ('mine', 'x')")?;
    let dir = tempfile::tempdir()?;
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    dump_to(&server, "piprio", &[], &ours)?;
    pg_dump_to(&server, "piprio", &[], &theirs)?;
    ensure_same(&server, "piprio", &ours, "ours")?;
    ensure_same(&server, "piprio", &theirs, "pg_dump's")?;
    server.psql("piprio", "delete from lookup where key = 'mine'")?;
    let differs = pg_snap(&server, "piprio").arg("compare").arg(&ours).assert().code(1);
    differs.stdout(contains("table public.lookup: ").and(contains("Differs: 1 finding; ")));
    Ok(())
}
