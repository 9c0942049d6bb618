//! Names that PostgreSQL looks up by the search path while a dump is loaded, which it loads with an
//! empty one: what needs another is made under the source's own.

use crate::kit::{content, dump_to, pg_dump_to, pg_snap};
use crate::tenant::schema_of;
use anyhow::{Result, ensure};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use test_kit::Postgres;

/// Each needs the schema `lib` on the search path: by a function's body, or by an operator that PostgreSQL
/// writes without its schema.
const CONTENTS: &str = "
    create schema lib;
    create table lib.words (word text primary key);
    insert into lib.words values ('a'), ('b');
    create function lib.plain(t text) returns text language plpgsql immutable
      as $$ begin return lower(t); end $$;
    create function public.slug(t text) returns text language plpgsql immutable
      as $$ begin return plain(t); end $$;
    create function public.known(t text) returns boolean language plpgsql stable
      as $$ begin return exists (select from words where word = lower(t)); end $$;
    create function lib.same(json, json) returns boolean language sql immutable
      as $$ select $1::text = $2::text $$;
    create operator lib.= (function = lib.same, leftarg = json, rightarg = json);
    create table public.generated (id int primary key, title text,
      slug text generated always as (public.slug(title)) stored);
    insert into generated (id, title) values (1, 'A'), (2, 'B');
    create table public.checked (id int primary key, name text check (public.slug(name) <> ''));
    insert into checked values (1, 'A');
    create domain public.slugged as text check (public.slug(value) <> '');
    create table public.of_domain (id int primary key, name public.slugged);
    insert into of_domain values (1, 'A');
    create table public.indexed (id int primary key, name text);
    insert into indexed select n, 'N' || n from generate_series(1, 500) n;
    create index by_slug on indexed (public.slug(name));
    create unique index by_slug_once on indexed (public.slug(name)) where public.slug(name) <> 'n1';
    create statistics public.on_slug on (public.slug(name)), id from indexed;
    create table public.parts (id int, name text) partition by list (public.slug(name));
    create table public.part_a partition of parts for values in ('a');
    insert into parts values (1, 'A');
    create materialized view public.filled as select id, public.slug(name) as slug from indexed;
    create view public.compared as select id from indexed where public.known(name) is distinct from true;
    create table public.pairs (id int primary key, p json, check (p is distinct from '[9]'::json));
    insert into pairs values (1, '[1]');
    create table public.nulled (id int primary key, p json, q boolean generated always as
      (nullif(p, '[1]'::json) is null) stored);
    insert into nulled (id, p) values (1, '[1]');
    create view public.chosen as select case p when '[1]'::json then 1 else 2 end as c from pairs;
    alter table pairs enable row level security;
    create policy not_nine on pairs using (p is distinct from '[9]'::json);
    create function public.nothing() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger when_distinct before update on pairs for each row
      when (old.p is distinct from new.p) execute function public.nothing();
    create rule no_nine as on delete to pairs where old.p is distinct from '[1]'::json do instead nothing;
    create table public.large (id int primary key, name text check (public.slug(name) <> ''));
    insert into large select n, repeat('x', 500) from generate_series(1, 3000) n";

fn source(server: &Postgres) -> Result<()> {
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", "alter database piprio set search_path = public, lib")?;
    server.psql("piprio", &format!("set search_path = public, lib; {CONTENTS}")).map(drop)
}

#[test]
fn what_needs_the_sources_search_path_is_made_under_it_and_reported() -> Result<()> {
    let server = Postgres::start()?;
    source(&server)?;
    let dir = tempfile::tempdir()?;
    let (ours, plain) = (dir.path().join("ours.sql.gz"), dir.path().join("plain.sql.gz"));
    dump_to(&server, "piprio", &[], &ours)?;
    pg_dump_to(&server, "piprio", &[], &plain)?;
    let original = content(&server, "piprio")?;
    for (file, piped) in [(&ours, false), (&ours, true), (&plain, false)] {
        // A plain dump does not carry the database's settings; what stands in its place does.
        let mut load = pg_snap(&server, "piprio");
        load.args(["load", "--keep-previous"]);
        if piped {
            load.pipe_stdin(file)?.arg("-")
        } else {
            load.arg(file)
        };
        let out = load.output()?;
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success(), "{}: {log}", file.display());
        for object in [
            "public.generated",
            "public.checked",
            "public.of_domain",
            "public.part_a",
            "by_slug",
            "by_slug_once",
            "filled",
            "table public.pairs",
            "table public.nulled",
            "view public.chosen",
            "pairs not_nine",
            "pairs when_distinct",
            "pairs no_nine",
        ] {
            let line =
                log.lines().find(|line| line.contains(object) && line.contains("search path"));
            ensure!(line.is_some(), "{object} is not reported: {log}");
        }
        ensure!(
            content(&server, "piprio")? == original,
            "{} loads to something else",
            file.display()
        );
        let slugs = "select string_agg(slug, ',' order by id) from public.generated";
        ensure!(server.psql("piprio", slugs)? == "a,b");
    }
    Ok(())
}

#[test]
fn a_view_is_filled_under_the_sources_search_path_or_the_servers_own() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql(
        "piprio",
        "create table public.t (id int primary key, path text default current_setting('search_path'));
         insert into t (id) values (1);
         create materialized view public.under as select current_setting('search_path') as path, id from t",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    let out = pg_snap(&server, "copy").arg("load").arg(&file).output()?;
    ensure!(out.status.success());
    let path = server.psql("copy", "select path from public.under")?;
    // PostgreSQL 17 and later set one of their own.
    ensure!(["piprio, public", "pg_catalog, pg_temp"].contains(&path.as_str()), "{path}");
    Ok(())
}

/// Each compares citext by an operator that PostgreSQL writes without its schema. Under an empty search path, the
/// server would compare text, without an error.
const HIDDEN: &str = "
    create extension citext;
    create table people (id int primary key, email citext, nick citext,
      is_same boolean generated always as (nullif(email, nick) is null) stored,
      check (email is distinct from 'NOBODY'));
    insert into people values (1, 'A@x', 'a@X'), (2, 'b', 'c');
    create table visits (email citext, at int);
    insert into visits values ('a@X', 1), ('B', 2);
    create view joined as select id, at from people join visits using (email);
    create materialized view joined_rows as select id, at from people join visits using (email);
    create view chosen as select case email when 'a@x' then 1 else 2 end as c from people;
    create view nulled as select nullif(email, nick) as n from people;
    create index distinct_ones on people (id) where email is distinct from nick;
    create domain somebody as citext check (value is distinct from 'NOBODY');
    alter table people enable row level security;
    create policy not_nobody on people using (email is distinct from 'NOBODY');
    create function nothing() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger changed before update on people for each row
      when (old.email is distinct from new.email) execute function nothing();
    create rule no_b as on delete to people where old.email is distinct from 'a@X' do instead nothing;
    create function is_one(a citext, b citext) returns boolean language sql immutable
      begin atomic select nullif(a, b) is null; end;
    create schema app;
    create table app.people (id int, email public.citext, nick public.citext);
    insert into app.people values (1, 'A@x', 'a@X'), (2, 'b', 'c');
    create view app.nulled as select nullif(email, nick) as n from app.people;
    create schema lib;
    create function lib.helper(t text) returns text language sql immutable as $$ select lower(t) $$;
    create function slug(t text) returns text language plpgsql immutable as $$ begin return helper(t); end $$;
    create index by_slug on app.people (slug(nullif(email, nick)::text))";

#[test]
fn an_operator_that_a_definition_cannot_name_is_that_of_the_source() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", "alter database piprio set search_path = public, lib")?;
    server.psql("piprio", HIDDEN)?;
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &dump)?;
    pg_snap(&server, "copy").arg("load").arg(&dump).assert().success();
    for ask in [
        "select (select count(*) from joined), (select count(*) from joined_rows), (select sum(c) from chosen),
           (select count(n) from nulled), (select count(*) from people where is_same), is_one('A', 'a')",
        "select classid::regclass, count(*) from pg_depend where refclassid = 'pg_operator'::regclass
           and refobjid in (select oid from pg_operator where oprnamespace = 'public'::regnamespace)
           and objid not in (select oid from pg_opclass) group by 1 order by 1",
    ] {
        ensure!(server.psql("copy", ask)? == server.psql("piprio", ask)?, "{ask}");
    }
    ensure!(content(&server, "copy")? == content(&server, "piprio")?);
    let one = ["load", "--schema", "app", "--into", "again"];
    pg_snap(&server, "piprio").args(one).arg(&dump).assert().success();
    ensure!(server.psql("piprio", "select count(n) from again.nulled")? == "1");
    let report = pg_snap(&server, "copy").args(["inspect", "--json"]).arg(&dump).output()?;
    let report: serde_json::Value = serde_json::from_slice(&report.stdout)?;
    let warnings = report["warnings"].to_string();
    for object in ["index app.by_slug compares", "index public.distinct_ones", "and 4 more"] {
        ensure!(warnings.contains(object), "{warnings}");
    }
    Ok(())
}

/// Names that are in the schema itself.
const OF_SCHEMA: &str = "
    create function app.own(t text) returns text language plpgsql immutable
      as $$ begin return ascii(t)::text; end $$;
    create function app.calls(t text) returns text language plpgsql immutable
      as $$ begin return own(t); end $$;
    create domain app.called as text check (app.calls(value) <> '');
    create domain app.twice as app.called;
    create table app.of_own (id int generated always as identity, \"Two words\" app.twice);
    insert into app.of_own (\"Two words\") values ('it''s'), (null), (E'a\\tb\\n\\\\.');
    create index \"By own\" on app.of_own (app.calls(\"Two words\"));
    create type app.mood as enum ('sad', 'glad');
    create table app.moods (mood app.mood, i int); insert into app.moods select 'glad', n from generate_series(1, 9) n";

#[test]
fn a_schema_alone_is_made_under_the_sources_search_path_too() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", "alter database piprio set search_path = public, lib")?;
    let contents = CONTENTS.replace("public.", "app.");
    server.psql(
        "piprio",
        &format!("create schema app; set search_path = app, lib; {contents}; {OF_SCHEMA}"),
    )?;
    let dir = tempfile::tempdir()?;
    let (ours, plain) = (dir.path().join("ours.sql.gz"), dir.path().join("plain.sql.gz"));
    let inserts = dir.path().join("inserts.sql.gz");
    dump_to(&server, "piprio", &[], &ours)?;
    pg_dump_to(&server, "piprio", &[], &plain)?;
    pg_dump_to(&server, "piprio", &["--inserts"], &inserts)?;
    let original = schema_of(&server, "piprio", "app")?;
    let lib = schema_of(&server, "piprio", "lib")?;
    for (file, piped) in [(&ours, false), (&ours, true), (&plain, false), (&inserts, false)] {
        server.psql("piprio", "drop table app.generated")?;
        let mut load = pg_snap(&server, "piprio");
        load.args(["load", "--schema", "app"]);
        if piped {
            load.pipe_stdin(file)?.arg("-")
        } else {
            load.arg(file)
        };
        let out = load.output()?;
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success(), "{}: {log}", file.display());
        for (object, path) in [
            ("app.by_slug", "'public', 'lib'"),
            ("app.by_slug_once", "'public', 'lib'"),
            ("app.filled", "'public', 'lib'"),
            ("table app.pairs", "'public', 'lib'"),
            ("view app.chosen", "'public', 'lib'"),
            ("pairs not_nine", "'public', 'lib'"),
            ("pairs when_distinct", "'public', 'lib'"),
            ("pairs no_nine", "'public', 'lib'"),
            ("app.By own", "'app', 'public', 'lib'"),
        ] {
            let reported = format!("{object} is created under the search path {path}: ");
            ensure!(log.contains(&reported), "{object} is not reported: {log}");
        }
        ensure!(
            schema_of(&server, "piprio", "app")? == original,
            "{} loads to something else",
            file.display()
        );
        ensure!(schema_of(&server, "piprio", "lib")? == lib);
        let kept = "select string_agg(quote_ident(nspname), ',') from pg_namespace where nspname ~ '^app_before'";
        let kept = server.psql("piprio", kept)?;
        server.psql("piprio", &format!("drop schema {kept} cascade"))?;
    }
    Ok(())
}

/// Without the source's search path, each value violates its check.
const LOOKED_UP: &str = "
    create schema app; create table app.orders (id int);
    create table app.audited (id int primary key, name text check (to_regclass(name) is not null));
    insert into app.audited values (1, 'orders');
    create domain app.relation as text check (to_regclass(value) is not null);
    create table app.named (id int primary key, name app.relation); insert into app.named values (1, 'orders')";

#[test]
fn a_value_that_only_the_sources_search_path_makes_valid_is_loaded_under_it() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", "alter database piprio set search_path = app, public")?;
    server.psql("piprio", &format!("set search_path = app, public; {LOOKED_UP}"))?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    let original = content(&server, "piprio")?;
    // What looks names up is evaluated under the source's search path first.
    pg_snap(&server, "piprio").arg("load").arg(&file).assert().success().stderr("");
    ensure!(content(&server, "piprio")? == original);
    // What no search path makes valid is still the source's to correct.
    server.psql("piprio", "drop table app.orders")?;
    dump_to(&server, "piprio", &[], &file)?;
    pg_snap(&server, "copy")
        .args(["load"])
        .arg(&file)
        .assert()
        .code(3)
        .stderr(contains("not validated: check constraint app.audited"));
    pg_snap(&server, "piprio")
        .arg("load")
        .arg(&file)
        .assert()
        .code(1)
        .stderr(contains("23514").and(contains("correct the rows in the source database")));
    Ok(())
}

#[test]
fn a_schema_alone_takes_values_whose_parts_need_the_sources_search_path() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", "alter database piprio set search_path = public, lib")?;
    server.psql(
        "piprio",
        "set search_path = public, lib; create schema lib; create schema t1;
         create function lib.plain(t text) returns text language sql immutable as $$ select lower(t) $$;
         create function lib.ok(t text) returns boolean language plpgsql immutable
           as $$ begin return plain(t) <> ''; end $$;
         create domain lib.tag as text check (lib.ok(value));
         create type lib.pair as (a lib.tag, b int);
         create table t1.listed (id int primary key, tags lib.tag[], pair lib.pair);
         insert into t1.listed values (1, '{A,b}', '(C,1)')",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    let original = schema_of(&server, "piprio", "t1")?;
    let out = pg_snap(&server, "piprio").args(["load", "--schema", "t1"]).arg(&file).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    ensure!(schema_of(&server, "piprio", "t1")? == original);
    Ok(())
}

#[test]
fn a_schema_that_no_search_path_helps_is_as_it_was() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql(
        "piprio",
        "create schema app; create schema gone; set search_path = app, gone;
         create function gone.plain(t text) returns text language sql immutable as 'select t';
         create function app.slug(t text) returns text language plpgsql immutable
           as $$ begin return plain(t); end $$;
         create table app.t (a text); insert into app.t values ('a');
         create index by_slug on app.t (app.slug(a))",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    server.psql("piprio", "drop schema gone cascade")?;
    let before = content(&server, "piprio")?;
    pg_snap(&server, "piprio")
        .args(["load", "--schema", "app"])
        .arg(&file)
        .assert()
        .code(1)
        .stderr(contains("it is as it was: index app.by_slug: statement 'CREATE INDEX by_slug"))
        .stderr(contains("ERROR 42883: function plain(text) does not exist"));
    ensure!(content(&server, "piprio")? == before);
    Ok(())
}
