//! What reads the name of its database: a load evaluates it under the name that the database has in the end.

use crate::kit::{content, databases, dump_to, pg_snap};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use test_kit::Postgres;
use test_kit::postgres::{Options, Release};

const VIEWS: &str = "
    create table public.t (a int); insert into public.t values (1);
    create materialized view public.direct as select current_database()::text as db, a from public.t;
    create view public.plain as select CURRENT_CATALOG::text as db;
    create materialized view public.by_view as select db from public.plain;
    create materialized view public.by_schema as
      select table_catalog::text as db from information_schema.tables where table_name = 't';
    create function public.name_of() returns text language sql stable as 'select current_database()::text';
    create materialized view public.z_by_function as select public.name_of() as db;
    create materialized view public.a_by_others as
      select a.db from public.by_view a join public.z_by_function b on a.db = b.db;
    create materialized view public.not_filled as select current_database()::text as db with no data;
    create table public.ddl_log (tag text);
    create function public.log_ddl() returns event_trigger language plpgsql as $$
      begin insert into public.ddl_log values (tg_tag); end $$;
    create event trigger log_ddl on ddl_command_end execute function public.log_ddl();
    alter event trigger log_ddl enable always";

const NAMES: &str = "select (select db from direct) || ' ' || (select db from by_view) || ' ' || (select db from by_schema)
    || ' ' || (select db from z_by_function) || ' ' || (select db from a_by_others)
    || ' ' || (select count(*) from ddl_log) || ' ' || (select string_agg(evtenabled::text, '') from pg_event_trigger)
    || ' ' || (select relispopulated::text from pg_class where relname = 'not_filled')";

fn source(server: &Postgres, contents: &str) -> Result<()> {
    server.psql("postgres", "create database source template template0")?;
    server.psql("source", contents).map(drop)
}

fn left_out(record: &Path) -> Result<Value> {
    let record: Value = serde_json::from_slice(&std::fs::read(record)?)?;
    Ok(record["left_out"].clone())
}

#[test]
fn views_have_the_name_that_their_database_has_in_the_end() -> Result<()> {
    let server = Postgres::start()?;
    source(&server, VIEWS)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    let (omitted, record) = (dir.path().join("left-out.sql"), dir.path().join("record.json"));
    dump_to(&server, "source", &[], &file)?;
    let original = content(&server, "source")?;
    for options in
        [&[][..], &["--keep-previous"], &["--drop-first", "--jobs", "1"], &["--keep-going"]]
    {
        let mut load = pg_snap(&server, "copy");
        load.arg("load").args(options).arg("--left-out").arg(&omitted).arg("--record").arg(&record);
        let out = load.arg(&file).output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success() && !log.contains("left out"), "{options:?}: {log}");
        let names = server.psql("copy", NAMES)?;
        ensure!(names == "copy copy copy copy copy 0 A false", "{names}: {log}");
        ensure!(!omitted.exists() && left_out(&record)? == 0, "{options:?}");
        ensure!(content(&server, "copy")? == original, "{options:?}");
    }
    Ok(())
}

#[test]
fn a_view_that_fails_under_the_final_name_is_left_out_and_the_old_database_kept() -> Result<()> {
    let server = Postgres::start()?;
    source(
        &server,
        "create table public.t (a int); insert into public.t values (1), (2);
         create materialized view public.m as select a / (current_database() <> 'copy')::int as a from public.t",
    )?;
    server.psql("postgres", "create database copy template template0")?;
    server.psql("copy", "create table public.old (a int)")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    let (omitted, record) = (dir.path().join("left-out.sql"), dir.path().join("record.json"));
    dump_to(&server, "source", &[], &file)?;
    let mut load = pg_snap(&server, "copy");
    load.arg("load").arg("--left-out").arg(&omitted).arg("--record").arg(&record);
    let out = load.arg(&file).output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(3), "{log}");
    ensure!(log.contains("left out: materialized view public.m: ERROR 22012"), "{log}");
    ensure!(server.psql("copy", "select count(*) from public.t")? == "2");
    ensure!(left_out(&record)? == 1);
    let statements = std::fs::read_to_string(&omitted)?;
    ensure!(statements.contains("REFRESH MATERIALIZED VIEW \"public\".\"m\";"), "{statements}");
    ensure!(databases(&server)? == "copy copy_previous postgres source", "{log}");
    ensure!(server.psql("copy_previous", "select count(*) from public.old")? == "0");
    Ok(())
}

const CHECKED: &str = "
    create function public.is_here(text) returns boolean language sql stable as 'select $1 = current_database()';
    create domain public.here as text check (value = current_database());
    create table public.node (id int primary key, db text default current_database()
      constraint named check (db = current_database()));
    comment on constraint named on public.node is 'kept';
    create table public.by_function (id int primary key, db text check (public.is_here(db)));
    create table public.of_domain (id int primary key, db public.here);
    create table public.parts (id int, db text, check (db = CURRENT_CATALOG)) partition by list (id);
    create table public.part1 partition of public.parts for values in (1);
    create table public.above (db text check (db = current_database()), unchecked text check (unchecked <> '') no inherit);
    create table public.below (id int) inherits (public.above);
    create table public.also_own (db text constraint above_db_check check (db = current_database())) inherits (public.above);
    create domain public.derived as public.here;
    create table public.of_derived (id int, db public.derived);
    insert into public.below values ('source', '', 1); insert into public.also_own values ('source', '');
    insert into public.of_derived values (1, 'source');
    insert into public.node values (1); insert into public.by_function values (1, 'source');
    insert into public.of_domain values (1, 'source'); insert into public.parts values (1, 'source')";

#[test]
fn rows_whose_checks_read_the_name_are_checked_under_the_final_one() -> Result<()> {
    let server = Postgres::start()?;
    source(&server, CHECKED)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "source", &[], &file)?;
    let original = content(&server, "source")?;
    let valid = "select count(*) from pg_constraint where contype = 'c' and not convalidated";
    for (options, piped) in [
        (&[][..], false),
        (&[], true),
        (&["--keep-going", "--jobs", "1"], false),
        (&["--drop-first"], false),
    ] {
        let mut load = pg_snap(&server, "source");
        load.arg("load").args(options);
        if piped {
            load.arg("-").pipe_stdin(&file)?
        } else {
            load.arg(&file)
        };
        let out = load.output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success() && !log.contains("warning"), "{options:?} {piped}: {log}");
        ensure!(server.psql("source", valid)? == "0", "{log}");
        ensure!(content(&server, "source")? == original, "{options:?} {piped}: {log}");
        ensure!(databases(&server)? == "postgres source", "{log}");
    }
    // Under another name, the rows do not fit.
    let out = pg_snap(&server, "copy").arg("load").arg(&file).output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(3), "{log}");
    ensure!(log.contains("not validated: check constraint public.node: ERROR 23514"), "{log}");
    ensure!(
        server.psql("copy", "select count(*) from node, by_function, of_domain, parts")? == "1"
    );
    Ok(())
}

/// From PostgreSQL 17 on, it sees the sessions that evaluate what reads the name, too.
const LOGINS: &str = "
    create table public.logins (n serial);
    create function public.log_in() returns event_trigger language plpgsql as $$
      begin if current_database() <> 'source' then insert into public.logins default values; end if; end $$;
    create event trigger z_log_in on login execute function public.log_in();
    alter event trigger z_log_in enable always";

#[test]
fn on_every_major_views_have_the_final_name_and_no_event_trigger_sees_that() -> Result<()> {
    let releases = Release::all()?;
    let newest = releases.iter().rev().find(|release| release.has_own_clients());
    let newest = newest.context("no clients")?.clients.clone();
    let path = format!("{}:{}", newest.display(), std::env::var("PATH")?);
    for release in &releases {
        let major = release.major;
        let (programs, clients) = (Some(release.programs.clone()), Some(release.clients.clone()));
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        let (logins, triggers) = if major >= 17 { (LOGINS, "AA") } else { ("", "A") };
        source(&server, &format!("{logins}; {VIEWS}"))?;
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("d.sql.gz");
        let run = |database: &str, verb: &str| {
            let mut command = pg_snap(&server, database);
            command.env("PATH", &path).arg(verb);
            command
        };
        let out = run("source", "dump").output()?;
        ensure!(out.status.success(), "{major}: {}", String::from_utf8_lossy(&out.stderr));
        std::fs::write(&file, out.stdout)?;
        let out = run("copy", "load").arg(&file).output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{major}: {log}");
        if major >= 17 {
            let asks = "select count(*) from public.logins";
            ensure!(server.psql("copy", asks)? == "1", "{major}: {log}");
        }
        let names = server.psql("copy", NAMES)?;
        let expected = format!("copy copy copy copy copy 0 {triggers} false");
        ensure!(names == expected, "{major}: {names}: {log}");
    }
    Ok(())
}

const COMPUTED: &str = "
    create function public.name_of() returns text language sql immutable as 'select current_database()::text';
    create table public.computed (id int primary key, v text, constant text generated always as (public.name_of()) stored,
      by_value text generated always as (v || public.name_of()) stored);
    create table public.changes (what text);
    create function public.log_change() returns trigger language plpgsql as $$
      begin insert into public.changes values (tg_name); return new; end $$;
    create trigger before_each before update on public.computed for each row execute function public.log_change();
    create trigger after_all after update on public.computed execute function public.log_change();
    create trigger never after update on public.computed execute function public.log_change();
    create rule also as on update to public.computed do also insert into public.changes values ('rule');
    alter table public.computed enable always trigger after_all; alter table public.computed disable trigger never;
    alter table public.computed enable always rule also;
    insert into public.computed values (1, 'source'), (2, 'source'), (3, 'other');
    create table public.parts (id int, constant text generated always as (public.name_of()) stored) partition by list (id);
    create table public.part1 partition of public.parts for values in (1);
    insert into public.parts values (1);
    create index by_name on public.computed (v) where v = public.name_of();
    create unique index others on public.computed (v) where v <> public.name_of();
    comment on index public.others is 'kept';
    create materialized view public.of_computed as select constant from public.computed";

/// The index holds rows of that name only, so that a scan of it finds none where it was built under another.
const BY_NAME: &str = "set enable_seqscan = off; set enable_bitmapscan = off; select count(*) from computed where v = name_of()";

#[test]
fn what_is_computed_from_the_name_is_computed_from_the_final_one_on_every_major() -> Result<()> {
    let releases = Release::all()?;
    let newest = releases.iter().rev().find(|release| release.has_own_clients());
    let newest = newest.context("no clients")?.clients.clone();
    let path = format!("{}:{}", newest.display(), std::env::var("PATH")?);
    for release in &releases {
        let major = release.major;
        let (programs, clients) = (Some(release.programs.clone()), Some(release.clients.clone()));
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        source(&server, COMPUTED)?;
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("d.sql.gz");
        let out = pg_snap(&server, "source").env("PATH", &path).arg("dump").output()?;
        ensure!(out.status.success(), "{major}: {}", String::from_utf8_lossy(&out.stderr));
        std::fs::write(&file, out.stdout)?;
        let original = content(&server, "source")?;
        let mut load = pg_snap(&server, "source");
        let out = load.env("PATH", &path).arg("load").arg(&file).output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success() && !log.contains("warning"), "{major}: {log}");
        ensure!(content(&server, "source")? == original, "{major}: {log}");
        for (ask, expected) in [
            (
                "select string_agg(distinct constant || by_value, ' ') from computed where id < 3",
                "sourcesourcesource",
            ),
            ("select constant from parts", "source"),
            ("select string_agg(distinct constant, ' ') from of_computed", "source"),
            ("select count(*) from changes", "0"),
            ("select count(*) from pg_trigger where tgname ~ 'pg_snap'", "0"),
            (BY_NAME, "2"),
        ] {
            ensure!(server.psql("source", ask)? == expected, "{major}: {ask}: {log}");
        }
    }
    Ok(())
}

#[test]
fn columns_and_indexes_that_fail_under_the_final_name_are_left_out() -> Result<()> {
    let server = Postgres::start()?;
    source(
        &server,
        "create function public.is_copy() returns boolean language sql immutable as
           'select current_database() = ''copy''';
         create table public.g (a int, b int generated always as (a / (not public.is_copy())::int) stored);
         create table public.i (a text);
         insert into public.g values (1); insert into public.i values ('x'), ('x');
         create unique index u on public.i (a) where public.is_copy()",
    )?;
    let dir = tempfile::tempdir()?;
    let (file, omitted) = (dir.path().join("d.sql.gz"), dir.path().join("left-out.sql"));
    dump_to(&server, "source", &[], &file)?;
    let mut load = pg_snap(&server, "copy");
    let out = load.arg("load").arg("--left-out").arg(&omitted).arg(&file).output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(3), "{log}");
    ensure!(log.contains("left out: generated columns of table public.g: ERROR 22012"), "{log}");
    ensure!(log.contains("left out: index public.u: ERROR 23505"), "{log}");
    // Once it has the name under which they can be computed, the file computes them.
    server.psql("postgres", "alter database source rename to other")?;
    server.psql("postgres", "alter database copy rename to source")?;
    server.psql("source", &std::fs::read_to_string(&omitted)?)?;
    ensure!(
        server.psql("source", "select count(*) from pg_index where indexrelid = 'u'::regclass")?
            == "1"
    );
    Ok(())
}

/// The server validates no check of a domain that a column holds inside of another type.
const INSIDE: &str = "
    create domain public.here as text check (value = current_database());
    create type public.pair as (a public.here, b int);
    create table public.arrays (id int, a public.here[]);
    create table public.pairs (id int, p public.pair, q public.pair[]);
    create function public.is_allowed(text) returns boolean language sql stable as 'select true';
    create domain public.allowed as text check (public.is_allowed(value));
    create table public.lists (id int, a public.allowed[]);
    create table public.more_lists (id int, a public.allowed[]);
    insert into public.arrays values (1, '{source,source}'), (2, null); insert into public.pairs values (1, '(source,1)', '{}');
    insert into public.lists values (1, '{x}'); insert into public.more_lists values (1, '{x}');
    create or replace function public.is_allowed(text) returns boolean language sql stable as
      'select (select count(*) from public.lists) + (select count(*) from public.more_lists) > 1 and $1 = ''x'''";

#[test]
fn rows_with_a_domain_inside_of_another_type_are_checked_by_a_query() -> Result<()> {
    let server = Postgres::start()?;
    source(&server, INSIDE)?;
    let dir = tempfile::tempdir()?;
    let (file, omitted) = (dir.path().join("d.sql.gz"), dir.path().join("left-out.sql"));
    dump_to(&server, "source", &[], &file)?;
    let load = |database: &str, options: &[&str]| {
        let mut load = pg_snap(&server, database);
        load.arg("load").args(options).arg("--left-out").arg(&omitted).arg(&file).output()
    };
    let rows = "select (select count(*) from arrays) + (select count(*) from pairs) + (select count(*) from lists)";
    for options in [&[][..], &["--keep-going", "--jobs", "1"]] {
        let out = load("source", options)?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{options:?}: {log}");
        // They stay not valid, which a comparison reports.
        let others = log.lines().filter(|line| !line.contains("all rows fit it"));
        ensure!(
            log.contains("all rows fit it") && !others.clone().any(|l| l.contains("warning")),
            "{log}"
        );
        ensure!(server.psql("source", rows)? == "4", "{log}");
        let checks = "select count(*) from pg_constraint where contypid >= 16384";
        ensure!(server.psql("source", checks)? == "2", "{log}");
        ensure!(databases(&server)? == "postgres source" && !omitted.exists(), "{log}");
        let insert = "insert into public.arrays values (3, '{other}')";
        ensure!(server.psql("source", insert).is_err(), "{log}");
    }
    // Under another name, the rows do not fit.
    let out = load("copy", &[])?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(3), "{log}");
    ensure!(
        log.contains("not validated: check constraint public.") && log.contains("ERROR 23514"),
        "{log}"
    );
    let statements = std::fs::read_to_string(&omitted)?;
    ensure!(!statements.contains("VALIDATE CONSTRAINT"), "{statements}");
    server.psql("postgres", "alter database source rename to other")?;
    server.psql("postgres", "alter database copy rename to source")?;
    server.psql("source", &statements)?;
    server.psql("postgres", "create database copy template template0")?;
    let out = pg_snap(&server, "copy").arg("load").arg(&file).output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(1) && log.contains("ERROR 23514"), "{log}");
    Ok(())
}

#[test]
fn the_file_of_another_database_is_named_only_where_something_is_left_out() -> Result<()> {
    let server = Postgres::start()?;
    source(
        &server,
        "create materialized view public.m as select 1 / (current_database() <> 'copy')::int as a",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "source", &[], &file)?;
    let statements = dir.path().join(".restore/left-out.sql");
    std::fs::create_dir(dir.path().join(".restore"))?;
    let of_other = "-- Statements of the dump that failed when database other was loaded, each below its error.\n";
    std::fs::write(&statements, of_other)?;
    for (database, status, warnings) in [("source", 0, 0), ("copy", 3, 1)] {
        let mut load = pg_snap(&server, database);
        let out = load.env("PIPRIO_DEPLOY", dir.path()).arg("load").arg(&file).output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.code() == Some(status), "{database}: {log}");
        ensure!(log.matches("are not written").count() == warnings, "{database}: {log}");
        ensure!(std::fs::read_to_string(&statements)? == of_other);
    }
    Ok(())
}
