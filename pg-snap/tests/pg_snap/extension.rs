//! Extensions: what their users' rows in their tables are, and in what order those go.

use crate::kit::*;
use crate::original::{DATABASE, Original};
use anyhow::{Result, ensure};
use predicates::prelude::*;
use predicates::str::contains;
use test_kit::Postgres;
use test_kit::extension::{self, Extended};
use test_kit::postgres::{self, Options};

const CONTENTS: &str = r#"
    create schema "lookups; of";
    create extension odd_lookup schema "lookups; of";
    comment on extension odd_lookup is E'it''s\n\\.';
    insert into "lookups; of".lookup values ('mine', E'\\.\n'), ('not', 'it''s not; dumped'), ('null', null);
    update "lookups; of".lookup set value = 'changed' where key = 'shipped';
    insert into "lookups; of".a_refers (key, note)
      select (array['mine', 'null', 'shipped', null])[1 + n % 4], repeat(md5(n::text), 9) from generate_series(1, 500) n;
    insert into "lookups; of".shipped values (3);
    select nextval('"lookups; of".counter') \g /dev/null
    insert into odd_lookup_own.inner_table select generate_series(8, 13);
    create role lookup_reader;
    grant select on "lookups; of".lookup to lookup_reader;
    revoke execute on function "lookups; of".graded from public;
    -- The user's own, beside the extension's and of them.
    create table "lookups; of".own (id integer primary key, g "lookups; of".grade default 'odd', key text references "lookups; of".lookup,
      u text generated always as ("lookups; of".graded(key)) stored);
    insert into "lookups; of".own (id, key) values (1, 'mine'), (2, null);
    create index on "lookups; of".own ("lookups; of".graded(key));
    create table odd_lookup_own.of_the_user (id integer primary key);
    insert into odd_lookup_own.of_the_user values (1);
    create function public.needs() returns text language sql as $$ select 'it' $$;
    alter function public.needs depends on extension odd_lookup;
    create view public.seen as select * from "lookups; of".lookup;
    create index on "lookups; of".lookup (value);
    create trigger again before update on "lookups; of".lookup for each row execute function suppress_redundant_updates_trigger()"#;

#[test]
fn an_extensions_tables_have_their_users_rows_after_every_way() -> Result<()> {
    let extended = Extended::of(&postgres::programs()?)?;
    let programs = Some(extended.programs.clone());
    let original =
        Original::on(Postgres::with(Options { programs, ..Options::default() })?, |server| {
            server.psql("postgres", &format!("create database {DATABASE}"))?;
            server.psql(DATABASE, CONTENTS).map(drop)
        })?;
    assert!(
        original.wanted.contains(&format!("CREATE EXTENSION IF NOT EXISTS {}", extension::NAME))
    );
    original.goes_every_way()
}

/// As a database has them that was never `ALTER EXTENSION UPDATE`d.
#[test]
fn extensions_come_back_in_the_version_that_they_had() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    server.psql(
        "piprio",
        "create extension pg_stat_statements version '1.6'; create extension citext version '1.4';
         create extension hstore;
         create view slow as select query, calls, total_time from pg_stat_statements;
         create table t (a citext); insert into t values ('x')",
    )?;
    let versions = |database: &str| {
        let ask = "select string_agg(extname || ' ' || extversion, ', ' order by extname) from pg_extension";
        server.psql(database, ask)
    };
    let wanted = versions("piprio")?;
    ensure!(wanted.contains("citext 1.4"), "{wanted}");
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    for jobs in ["1", "3"] {
        let preflight = pg_snap(&server, "copy").arg("preflight").arg(&file).assert().success();
        preflight.stdout(contains("Note").not());
        let load = pg_snap(&server, "copy").args(["load", "--jobs", jobs]).arg(&file).assert();
        load.success().stderr("");
        ensure!(versions("copy")? == wanted, "{}", versions("copy")?);
    }
    Ok(())
}

#[test]
fn an_extension_that_cannot_be_made_in_its_own_version_is_made_in_the_servers() -> Result<()> {
    let extended = Extended::of(&postgres::programs()?)?;
    let programs = Some(extended.programs.clone());
    let server = Postgres::with(Options { programs, ..Options::default() })?;
    server.psql("postgres", "create database piprio")?;
    server
        .psql("piprio", "create extension odd_lookup; insert into lookup values ('mine', 'x')")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql");
    dump_to(&server, "piprio", &[], &file)?;
    let text = String::from_utf8(gunzip(&file)?)?;
    let (now, then) = (r#""odd_lookup":"1.0""#, r#""odd_lookup":"0.9""#);
    ensure!(text.contains(now), "{text}");
    std::fs::write(&file, text.replacen(now, then, 1))?;
    let share = server.psql("postgres", "select setting from pg_config where name = 'SHAREDIR'")?;
    let script = format!("{share}/extension/{}--0.9.sql", extension::NAME);
    std::fs::write(script, "select 1 / 0;")?;
    let load = pg_snap(&server, "copy").arg("load").arg(&file).assert().success();
    load.stderr(
        contains("extension odd_lookup is created in the server's version").and(contains("22012")),
    );
    let made =
        "select extversion, (select count(*) from lookup where key = 'mine') from pg_extension
         where extname = 'odd_lookup'";
    ensure!(server.psql("copy", made)? == "1.0|1");
    Ok(())
}
