//! Functions that a load evaluates find the same functions and operators as in the source database, also where
//! PostgreSQL has one of the same name: under an empty search path it would take that one, without an error.

use crate::kit::{content, dump_to, pg_dump_to, pg_snap};
use anyhow::{Result, ensure};
use test_kit::Postgres;

/// Under an empty search path, each function compares text where it should compare citext.
const CONTENTS: &str = "
    create extension citext;
    create function is_abc(c citext) returns boolean immutable language sql as $$ select c = 'abc' $$;
    create function is_like(c citext) returns boolean immutable language plpgsql
      as $$ begin return c like '%b%'; end $$;
    create function keyed(c citext) returns text immutable language sql
      as $$ select case when c = 'abc' then 'one' else c::text end $$;
    create domain alphabet as citext check (is_abc(value));
    create schema app;
    create table app.t (id int primary key, c citext, ok boolean generated always as (is_abc(c)) stored,
      alike boolean generated always as (is_like(c)) stored, check (is_abc(c) or id > 1));
    insert into app.t values (1, 'ABC'), (2, 'xBx'), (3, 'x');
    create index by_value on app.t (is_abc(c));
    create index of_some on app.t (id) where is_like(c);
    create unique index once on app.t (keyed(c));
    create table app.alphabets (id int primary key, a alphabet);
    insert into app.alphabets values (1, 'aBC');
    create schema parted;
    create table parted.parts (id int, c citext) partition by list (is_abc(c));
    create table parted.part_abc partition of parted.parts for values in (true);
    create table parted.part_rest partition of parted.parts default;
    insert into parted.parts values (1, 'ABC'), (2, 'B');
    create table app.excluded (id int, c citext, exclude using btree (keyed(c) with =));
    insert into app.excluded values (1, 'ABC');
    create materialized view app.filled as select id, is_abc(c) as ok from app.t;
    create view app.between as select id, is_like(c) as ok from app.t;
    create materialized view app.filled_by_view as select id, ok from app.between";

/// Rows found by the index where there is one for the question.
const ASKED: [&str; 7] = [
    "select string_agg(concat(id, c, ok, alike), ' ' order by id) from app.t",
    "select string_agg(id::text, ' ' order by id) from app.t where is_abc(c)",
    "select string_agg(id::text, ' ' order by id) from app.t where is_like(c)",
    "select string_agg(id::text, ' ' order by id) from app.t where keyed(c) = 'one'",
    "select string_agg(concat(id, ok), ' ' order by id) from app.filled",
    "select string_agg(concat(id, ok), ' ' order by id) from app.filled_by_view",
    "select string_agg(concat(tableoid::regclass, id), ' ' order by id) from parted.parts",
];

fn asked(server: &Postgres, database: &str) -> Result<Vec<String>> {
    let ask = |sql| server.psql(database, &format!("set enable_seqscan = off; {sql}"));
    ASKED.into_iter().map(ask).collect()
}

#[test]
fn functions_compare_as_they_do_in_the_source_database() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", CONTENTS)?;
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &dump)?;
    let original = asked(&server, "piprio")?;
    ensure!(original[0] == "1ABCtt 2xBxft 3xff", "{original:?}");
    for (copy, from_pipe) in [("copy", false), ("piped", true)] {
        let mut load = pg_snap(&server, copy);
        load.arg("load");
        if from_pipe {
            load.pipe_stdin(&dump)?.arg("-")
        } else {
            load.arg(&dump)
        };
        let out = load.output()?;
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success(), "{log}");
        for object in ["table app.t", "app.by_value", "view data app.filled "] {
            let line = log.lines().find(|l| l.contains(object) && l.contains("search path"));
            ensure!(line.is_some(), "{object} is not reported: {log}");
        }
        ensure!(asked(&server, copy)? == original, "{:?}", asked(&server, copy)?);
        ensure!(content(&server, copy)? == content(&server, "piprio")?);
    }
    pg_snap(&server, "piprio").args(["load", "--schema", "app"]).arg(&dump).assert().success();
    ensure!(asked(&server, "piprio")? == original, "{:?}", asked(&server, "piprio")?);
    Ok(())
}

/// Of a comparison of rows, PostgreSQL writes the operator of the first column alone.
const ROWS: &str = "
    create extension citext;
    create schema app;
    create table app.users (id int primary key, tenant int, email citext,
      check ((tenant, email) >= (1, 'ann'::citext)), check ((email, tenant) >= ('ann'::citext, 1)));
    create table app.allow (tenant int, email citext);
    insert into app.users values (1, 1, 'Ann@x.org'), (2, 1, 'bob@x.org');
    insert into app.allow values (1, 'ann@x.org');
    alter table app.users enable row level security;
    create policy p on app.users using ((tenant, email) in (select tenant, email from app.allow));
    create view app.number_first as select id from app.users
      where (tenant, email) in (select tenant, email from app.allow);
    create view app.text_first as select id from app.users
      where (email, tenant) in (select email, tenant from app.allow);
    create materialized view app.not_one as select id from app.users
      where (email, tenant) <> all (select email, tenant from app.allow);
    create view app.below as select id from app.users
      where (tenant, email) < any (select tenant + 0, email || 'z' from app.allow);
    create schema ops;
    create type ops.mood as enum ('sad', 'glad');
    create function ops.always(ops.mood, ops.mood) returns boolean immutable language sql as $$ select true $$;
    create operator ops.= (function = ops.always, leftarg = ops.mood, rightarg = ops.mood);
    set search_path = ops, public;
    create view app.moods as select nullif('sad'::ops.mood, 'glad'::ops.mood) is null as same";

#[test]
fn columns_of_rows_are_compared_as_in_the_source_database() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", ROWS)?;
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &dump)?;
    let ids = |relation: &str| {
        format!("(select string_agg(id::text, ' ' order by id) from app.{relation})")
    };
    let relations = ["number_first", "text_first", "not_one", "below"].map(ids).join(", ");
    let definitions = "(select pg_get_expr(polqual, polrelid) from pg_policy where polrelid = 'app.users'::regclass),
        (select string_agg(pg_get_constraintdef(oid), ' ' order by oid) from pg_constraint where conrelid = 'app.users'::regclass and contype = 'c')";
    let ask = format!("select {relations}, (select same from app.moods), {definitions}");
    let original = server.psql("piprio", &ask)?;
    ensure!(original.starts_with("1|1|2|1|t|"), "{original}");
    pg_snap(&server, "copy").arg("load").arg(&dump).assert().success();
    ensure!(server.psql("copy", &ask)? == original, "{}", server.psql("copy", &ask)?);
    ensure!(content(&server, "copy")? == content(&server, "piprio")?);
    pg_snap(&server, "piprio").args(["load", "--schema", "app"]).arg(&dump).assert().success();
    ensure!(server.psql("piprio", &ask)? == original, "{}", server.psql("piprio", &ask)?);
    let report = pg_snap(&server, "copy").args(["inspect", "--json"]).arg(&dump).output()?;
    let report: serde_json::Value = serde_json::from_slice(&report.stdout)?;
    let warnings = report["warnings"].to_string();
    for object in [
        "policy p of table app.users compares",
        "view app.text_first compares",
        "view app.moods compares",
    ] {
        ensure!(warnings.contains(object), "{warnings}");
    }
    Ok(())
}

#[test]
fn a_function_that_replaces_one_of_the_server_is_found_by_functions_alone() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", "alter database piprio set search_path = app, pg_catalog, public")?;
    server.psql(
        "piprio",
        "create schema app;
         create function app.lower(t text) returns text immutable language sql as $$ select 'own:' || t $$;
         create function app.slug(t text) returns text immutable language plpgsql as $$ begin return lower(t); end $$;
         create table app.t (id int primary key, a text, b text generated always as (slug(a)) stored);
         insert into app.t values (1, 'X');
         create index by_slug on app.t (slug(a));
         create unique index by_both on app.t (slug(a), pg_catalog.lower(a))",
    )?;
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &dump)?;
    pg_snap(&server, "copy").arg("load").arg(&dump).assert().success();
    let ask = "set enable_seqscan = off;
        select b || (select count(*) from app.t where slug(a) = 'own:X')
          || (select count(*) from app.t where slug(a) = 'own:X' and pg_catalog.lower(a) = 'x') from app.t";
    ensure!(server.psql("piprio", ask)? == "own:X11");
    ensure!(server.psql("copy", ask)? == "own:X11", "{}", server.psql("copy", ask)?);
    ensure!(content(&server, "copy")? == content(&server, "piprio")?);
    pg_snap(&server, "piprio").args(["load", "--schema", "app"]).arg(&dump).assert().success();
    ensure!(server.psql("piprio", ask)? == "own:X11");
    Ok(())
}

#[test]
fn a_dump_that_does_not_name_the_sources_search_path_is_loaded_as_it_is_written() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql(
        "piprio",
        "create function path() returns text immutable language plpgsql
           as $$ begin return current_setting('search_path'); end $$;
         create table t (id int primary key, path text generated always as (path()) stored);
         insert into t values (1)",
    )?;
    let dir = tempfile::tempdir()?;
    let plain = dir.path().join("plain.sql.gz");
    pg_dump_to(&server, "piprio", &[], &plain)?;
    pg_snap(&server, "copy").arg("load").arg(&plain).assert().success();
    ensure!(server.psql("copy", "select path from t")?.trim_matches('"').is_empty());
    Ok(())
}
