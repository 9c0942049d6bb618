//! What will be trouble when a dump is loaded is reported by the dump, and by `inspect` without a server.

use crate::kit::*;
use anyhow::{Context, Result, ensure};
use predicates::str::contains;
use test_kit::postgres::{Options, Release};
use test_kit::{Postgres, postgres};

/// With the clients of the server's own major.
fn dump(server: &Postgres, database: &str) -> Result<std::process::Output> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(server.programs().to_owned()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(dirs)?;
    Ok(pg_snap(server, database).env("PATH", path).arg("dump").output()?)
}

/// Dumps, and returns what `inspect --json` prints, which is what the dump itself has printed.
fn warnings(server: &Postgres, database: &str) -> Result<Vec<String>> {
    let out = dump(server, database)?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success(), "{log}");
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    std::fs::write(&file, &out.stdout)?;
    let inspect = pg_snap(server, database).args(["inspect", "--json"]).arg(&file).output()?;
    let report: serde_json::Value = serde_json::from_slice(&inspect.stdout)?;
    let warnings: Vec<String> = serde_json::from_value(report["warnings"].clone())?;
    let full =
        pg_snap(server, database).args(["inspect", "--full", "--json"]).arg(&file).output()?;
    let full: serde_json::Value = serde_json::from_slice(&full.stdout)?;
    ensure!(full["warnings"] == report["warnings"], "{full}");
    let printed: Vec<&str> =
        log.lines().filter_map(|line| line.strip_prefix("pg-snap: warning: ")).collect();
    ensure!(printed == warnings, "{log}\n{warnings:?}");
    if let Some(first) = warnings.first() {
        let text = format!("Warning: {first}");
        pg_snap(server, database).arg("inspect").arg(&file).assert().stdout(contains(text));
    }
    Ok(warnings)
}

fn one<'a>(warnings: &'a [String], begin: &str) -> Result<&'a str> {
    let mut of = warnings.iter().filter(|line| line.starts_with(begin));
    let line = of.next().with_context(|| format!("nothing begins '{begin}' in {warnings:#?}"))?;
    ensure!(of.next().is_none(), "'{begin}' more than once in {warnings:#?}");
    Ok(line)
}

/// Functions that find what they use by the search_path, and some that do not need it.
const FUNCTIONS: &str = r#"
create schema lib; create schema shop; set search_path = lib, shop;
create table lib.word (w text);
create type lib.grade as enum ('good', 'odd');
create function lib.fold(t text) returns text language sql immutable as $$ select pg_catalog.lower(t) $$;
create function lib.is(a text, b text) returns boolean language sql immutable as $$ select a operator(pg_catalog.=) b $$;
create operator lib.<~~> (leftarg = text, rightarg = text, function = lib.is);
create function shop.by_call(t text) returns text language plpgsql immutable as $$ begin return fold(t); end $$;
create function shop.by_table(t text) returns boolean language sql immutable as
  $$ select exists (select from word where w = t) $$;
create function shop.by_type(t text) returns boolean language plpgsql immutable as
  $$ declare n int := 1; g grade; begin g := 'good'; return true; end $$;
create function shop.by_cast(t text) returns boolean language sql immutable as $$ select 'odd' :: grade > 'good' $$;
create function shop.by_operator(t text) returns boolean language sql immutable as $$ select t <~~> t $$;
create function shop."By Another"(t text) returns text language sql immutable as $$ select shop.by_call(t) $$;
create function shop.safe(t text) returns text language plpgsql immutable set search_path = lib
  as $$ begin return fold(t); end $$;
create function shop.whole(t text) returns text language sql immutable as
  $$ select lib.fold(t) || 'fold(' /* fold(t) */ || $1 -- from word
  $$;
-- Since PostgreSQL 17 an index is not made under the session's path.
alter function shop.by_table set search_path = lib; alter function shop.by_operator set search_path = lib;
alter function shop.by_type set search_path = lib; alter function shop.by_call set search_path = lib;
create table shop.item (
  a text, "B" text generated always as (shop.by_call(a)) stored,
  c text generated always as (shop.safe(a)) stored, d text generated always as (shop.whole(a)) stored,
  constraint "the check" check (shop.by_cast(a)));
create index item_table on shop.item (shop.by_table(a));
create index item_operator on shop.item (shop.by_operator(a));
create index item_safe on shop.item (shop.safe(a));
create domain shop.folded as text check (shop."By Another"(value) = value);
create table shop.part (a text) partition by list (shop.by_call(a));
create view shop.seen as select shop.by_type(a) from shop.item;
create materialized view shop.kept as select * from shop.seen;
create policy p on shop.item using (shop.by_call(a) <> '');
create table shop.other (a text default shop.by_call('x'));
create policy p on shop.other using (shop.by_call(a) <> '');
create view shop.unread as select shop.by_call(a) from shop.other;
alter function shop.by_table reset search_path; alter function shop.by_operator reset search_path;
alter function shop.by_type reset search_path;
"#;

#[test]
fn what_needs_a_search_path_is_reported_and_what_does_not_is_not() -> Result<()> {
    // The machine's own pg_dump dumps older servers, too.
    let releases = Release::all()?;
    for release in releases.iter().filter(|r| r.has_own_clients() || r.major < 15) {
        let programs = Some(release.programs.clone());
        let clients = Some(release.clients.clone());
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        server.psql("postgres", "create database shop")?;
        server.psql("shop", FUNCTIONS)?;
        if release.major >= 14 {
            server.psql(
                "shop",
                "create function shop.parsed(t text) returns text language sql immutable return shop.by_call(t);
                 create index item_parsed on shop.item (shop.parsed(a))",
            )?;
        }
        server.psql("shop", "alter function shop.by_call reset search_path")?;
        let warnings = warnings(&server, "shop")?;
        for (site, words) in [
            ("generated column shop.item.\"B\" calls shop.by_call(text), ", "uses fold without"),
            ("check \"the check\" of table shop.item calls shop.by_cast(text), ", "grade"),
            ("index shop.item_table calls shop.by_table(text), ", "uses word without"),
            ("index shop.item_operator calls shop.by_operator(text), ", "operator <~~>"),
            ("domain shop.folded calls shop.\"By Another\"(text), and that shop.by_call", "fold"),
            ("partition key of shop.part calls shop.by_call(text), ", "fold"),
            ("materialized view shop.kept calls shop.by_type(text), ", "uses grade without"),
            ("policy p of table shop.item calls shop.by_call(text), ", "fold"),
        ] {
            let line = one(&warnings, site)?;
            assert!(line.contains(words), "{line}");
            assert!(line.contains("; ALTER FUNCTION shop.by_"), "{line}");
            assert!(line.ends_with("(text) SET search_path = lib, pg_temp;"), "{line}");
        }
        let parsed = warnings.iter().filter(|line| line.contains("index shop.item_parsed calls"));
        assert_eq!(parsed.count(), usize::from(release.major >= 14), "{warnings:#?}");
        for word in ["safe(", "whole(", "shop.other", "unread"] {
            assert!(!warnings.iter().any(|line| line.contains(word)), "{word}: {warnings:#?}");
        }
        // The remedy is one.
        server.psql("shop", "alter function shop.by_call(text) set search_path = lib, pg_temp")?;
        let corrected = self::warnings(&server, "shop")?;
        assert!(!corrected.iter().any(|line| line.contains("by_call")), "{corrected:#?}");
    }
    Ok(())
}

#[test]
fn objects_that_do_not_come_back_as_they_are_are_reported() -> Result<()> {
    // A dump needs a pg_dump of the server's major, or a newer one where the others look.
    let releases = Release::all()?;
    for release in releases.iter().filter(|release| release.has_own_clients()) {
        let programs = Some(release.programs.clone());
        let clients = Some(release.clients.clone());
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        server.psql("postgres", "create database odd; create role gone; create role here")?;
        server.psql(
            "odd",
            "create table t (i int, j int); insert into t values (1, 1), (1, 1);
             create table trees as select adbin from pg_attrdef;
             create table u (i int primary key); create unlogged table fast (i int);
             alter table t add constraint \"To u\" foreign key (i) references u not valid;
             alter table t add constraint small check (j < 0) not valid;
             create function f() returns event_trigger language plpgsql as 'begin end';
             create event trigger watch on ddl_command_end execute function f();
             create event trigger asleep on sql_drop execute function f(); alter event trigger asleep disable;
             create foreign data wrapper nowhere; create server far foreign data wrapper nowhere;
             create user mapping for public server far options (password 'p');
             create foreign table faraway (i int) server far;
             create view near as select * from faraway;
             create materialized view nearer as select * from near with no data;
             grant select, update on t to gone; grant select (j) on t to gone; grant select on t to here;
             grant execute on function f() to gone; grant usage on schema public to gone;
             create schema quiet; alter default privileges in schema quiet grant select on tables to gone;
             delete from pg_shdepend where refobjid = 'gone'::regrole; drop role gone",
        )?;
        server.psql("odd", "create unique index concurrently twice on t (i)").unwrap_err();
        let found = warnings(&server, "odd")?;
        for (begin, words) in [
            ("index public.twice is invalid", "REINDEX INDEX public.twice;"),
            ("constraint \"To u\" of table public.t is NOT VALID", "VALIDATE CONSTRAINT \"To u\";"),
            ("constraint small of table public.t is NOT VALID", "VALIDATE CONSTRAINT small;"),
            ("event trigger watch fires on ddl_command_end", "only a superuser can load it"),
            ("table public.fast is unlogged", "its rows are in the dump"),
            (
                "column public.trees.adbin: no server reads a value of type pg_node_tree",
                "TYPE text",
            ),
            ("foreign server far: rows of its foreign tables (1)", "the options of 1 user mapping"),
            ("table public.t: privileges of a role that was dropped (", "--keep-going"),
            ("column public.t.j: privileges of a role that was dropped (", "fails in a load"),
            ("function public.f(): privileges of", "GRANT ... TO"),
            ("schema public: privileges of", "GRANT ... TO"),
            ("default privileges of piprio: privileges of", "GRANT ... TO"),
        ] {
            let line = one(&found, begin)?;
            assert!(line.contains(words), "{line}");
        }
        assert!(!found.iter().any(|l| l.contains("nearer") || l.contains("asleep")), "{found:#?}");
        // As where the other server answered once.
        server.psql(
            "odd",
            "drop index twice; update pg_class set relispopulated = true where relname = 'nearer'",
        )?;
        let found = warnings(&server, "odd")?;
        let begin =
            "materialized view public.nearer reads foreign table public.faraway of server far";
        one(&found, begin)?;
        assert!(!found.iter().any(|line| line.contains("is invalid")), "{found:#?}");
    }
    Ok(())
}

#[test]
fn a_whole_schema_a_tenant_gives_ten_lines_of_a_kind_and_a_count() -> Result<()> {
    let s = Setup::new()?;
    assert_eq!(warnings(&s.server, "piprio")?, [""; 0]);
    s.server.psql(
        "piprio",
        "do $$ begin for n in 1 .. 25 loop execute format('create unlogged table fast_%s ()', n); end loop; end $$",
    )?;
    let found = warnings(&s.server, "piprio")?;
    assert_eq!(found.len(), 11);
    assert_eq!(found[10], "unlogged tables: and 15 more");
    // A dump from before that is without them.
    let old = s.path("old.sql");
    std::fs::write(&old, postgres::TENANTS)?;
    let out = s.pg_snap("piprio").args(["inspect", "--json"]).arg(&old).output()?;
    assert!(String::from_utf8_lossy(&out.stdout).contains("\"warnings\":[]"));
    Ok(())
}

#[test]
fn names_that_are_no_utf8_and_a_catalog_that_does_not_answer_keep_nobody_from_dumping() -> Result<()>
{
    let initdb = vec!["--locale=C".into(), "--encoding=SQL_ASCII".into()];
    let server = Postgres::with(Options { initdb, ..Options::default() })?;
    server.psql("postgres", "create database bytes")?;
    server.psql(
        "bytes",
        r"do $$ begin execute E'create unlogged table \x22t\xe9\x22 ()'; end $$;
          create unlogged table plain ()",
    )?;
    let out = dump(&server, "bytes")?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{log}");
    assert!(log.contains("table public.plain is unlogged"), "{log}");

    // A role that may not read what the check needs is warned, and has its dump.
    server.psql("postgres", "create role app login password 'x'; create database own owner app")?;
    server.psql("own", "revoke select on pg_catalog.pg_stat_progress_create_index from public")?;
    let mut dump = pg_snap(&server, "own");
    let out = dump.env("PGUSER", "app").env("PGPASSWORD", "x").arg("dump").output()?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && log.contains("(SQLSTATE 42501)"), "{log}");
    Ok(())
}
