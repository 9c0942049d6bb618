//! What is in no dump is named by the dump.

use crate::kit::*;
use anyhow::{Result, ensure};
use test_kit::Postgres;
use test_kit::extension::Extended;
use test_kit::postgres::{self, Options, Release};

/// A server with the role `app`, which is no superuser and owns the database `piprio`.
fn with_app() -> Result<Postgres> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role app login password 'x'; create role ro; create database piprio owner app",
    )?;
    Ok(server)
}

/// The warnings of a dump by that role, or by the superuser.
fn warnings(server: &Postgres, as_app: bool) -> Result<Vec<String>> {
    let log = log(server, as_app)?;
    let lines = log.lines().filter_map(|line| line.strip_prefix("pg-snap: warning: "));
    Ok(lines.map(str::to_owned).collect())
}

fn log(server: &Postgres, as_app: bool) -> Result<String> {
    let mut dump = pg_snap(server, "piprio");
    if as_app {
        dump.env("PGUSER", "app").env("PGPASSWORD", "x");
    }
    let out = dump.arg("dump").output()?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success(), "{log}");
    Ok(log)
}

#[test]
fn subscriptions_that_the_role_may_not_dump_are_named_and_pg_dumps_words_are_passed_on_once()
-> Result<()> {
    let server = with_app()?;
    ensure!(warnings(&server, true)? == [""; 0]);
    let subscription = "create subscription far connection 'dbname=far' publication p
        with (connect = false, slot_name = none)";
    server.psql("piprio", subscription)?;
    let words = "subscription far is not in the dump: role app may not read its connection";
    ensure!(warnings(&server, true)? == [words]);
    let log = log(&server, true)?;
    let of_pg_dump = log.lines().filter(|line| line.starts_with("pg-snap: pg_dump: ")).count();
    ensure!(of_pg_dump == 1, "{log}");
    // A role that may see subscriptions dumps them.
    ensure!(!warnings(&server, false)?.iter().any(|line| line.starts_with("subscription ")));
    Ok(())
}

#[test]
fn options_that_the_role_may_not_see_are_named_and_no_others() -> Result<()> {
    let server = with_app()?;
    server.psql(
        "piprio",
        "create foreign data wrapper w; grant usage on foreign data wrapper w to app; set role app;
         create server s foreign data wrapper w;
         create user mapping for ro server s options (user 'r', password 'hidden');
         create user mapping for app server s options (user 'a', password 'seen');
         create user mapping for public server s options (user 'p', password 'seen')",
    )?;
    let of_mappings = |as_app| -> Result<Vec<String>> {
        let found = warnings(&server, as_app)?;
        Ok(found.into_iter().filter(|line| line.starts_with("user mapping ")).collect())
    };
    let words = "user mapping for ro of foreign server s: its options, if it has any, are not in \
                 the dump, because role app may not see them";
    ensure!(of_mappings(true)? == [words], "{:#?}", warnings(&server, true)?);
    ensure!(of_mappings(false)? == [""; 0], "{:#?}", warnings(&server, false)?);
    Ok(())
}

#[test]
fn what_was_added_to_the_servers_own_schemas_is_named() -> Result<()> {
    let server = with_app()?;
    server.psql(
        "piprio",
        "create extension adminpack; create extension citext;
         create function public.own(int) returns text language sql as 'select 1::text';
         create type public.own_type as (a int); create view public.own_view as select 1 as a",
    )?;
    ensure!(warnings(&server, false)? == [""; 0], "{:#?}", warnings(&server, false)?);
    server.psql(
        "piprio",
        "set allow_system_table_mods = on;
         create function pg_catalog.app_now() returns timestamptz language sql as 'select now()';
         create function pg_catalog.text(integer) returns text language sql as 'select $1::varchar::text';
         create cast (integer as text) with function pg_catalog.text(integer) as implicit;
         create view information_schema.app_view as select 1 as a;
         create type pg_catalog.app_type as enum ('a');
         create function public.less(int, text) returns boolean language sql immutable as 'select true';
         create operator public.<<< (leftarg = int, rightarg = text, function = public.less);
         alter operator family pg_catalog.integer_ops using btree add operator 1 public.<<< (int, text)",
    )?;
    let found = warnings(&server, false)?;
    for what in [
        "function pg_catalog.app_now() was added to what is the server's own: it is not in the dump",
        "function pg_catalog.text(integer) was added",
        "view information_schema.app_view was added",
        "type pg_catalog.app_type was added",
        "operator of access method operator 1 (integer, pg_catalog.text) of pg_catalog.integer_ops USING btree",
    ] {
        ensure!(found.iter().any(|line| line.starts_with(what)), "{what}: {found:#?}");
    }
    ensure!(found.len() == 5, "{found:#?}");
    Ok(())
}

#[test]
fn what_was_added_is_named_on_every_major() -> Result<()> {
    for release in Release::all()? {
        let (programs, clients) = (Some(release.programs.clone()), Some(release.clients.clone()));
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        server.psql("postgres", "create database piprio")?;
        let dump = || -> Result<String> {
            let path = std::env::var("PATH").unwrap_or_default();
            let path = format!("{}:{path}", release.clients.display());
            let out = pg_snap(&server, "piprio").env("PATH", path).arg("dump").output()?;
            let log = String::from_utf8_lossy(&out.stderr).into_owned();
            ensure!(out.status.success(), "{}: {log}", release.major);
            Ok(log)
        };
        let before = dump()?;
        ensure!(!before.contains("warning"), "{}: {before}", release.major);
        let add = "create function pg_catalog.app_now() returns int language sql as 'select 1'";
        server.psql("piprio", &format!("set allow_system_table_mods = on; {add}"))?;
        let log = dump()?;
        let named = "warning: function pg_catalog.app_now() was added";
        ensure!(log.contains(named) && log.lines().count() == 1, "{}: {log}", release.major);
    }
    Ok(())
}

#[test]
fn what_was_added_to_tables_of_extensions_is_named_and_not_what_the_extensions_have_added()
-> Result<()> {
    let extended = Extended::of(&postgres::programs()?)?;
    let programs = Some(extended.programs.clone());
    let server = Postgres::with(Options { programs, ..Options::default() })?;
    server.psql("postgres", "create database piprio")?;
    server.psql(
        "piprio",
        "create extension odd_lookup; analyze; create table own (key text references lookup)",
    )?;
    let of_tables = || -> Result<Vec<String>> {
        let found = warnings(&server, false)?;
        let of_tables =
            found.into_iter().filter(|line| line.contains(" may have been added to a table of "));
        Ok(of_tables.collect())
    };
    ensure!(of_tables()? == [""; 0], "{:#?}", of_tables()?);
    server.psql(
        "piprio",
        "create index added on lookup (value);
         create trigger again before update on lookup for each row execute function suppress_redundant_updates_trigger();
         alter table lookup enable row level security; create policy mine on lookup using (true);
         alter table lookup add constraint short check (length(key) < 99);
         create statistics related on key, value from lookup",
    )?;
    let found = of_tables()?;
    for what in [
        "trigger again on public.lookup may have been added to a table of extension odd_lookup",
        "policy mine on public.lookup may",
        "table constraint short on public.lookup may",
        "statistics object public.related may",
    ] {
        ensure!(found.iter().any(|line| line.starts_with(what)), "{what}: {found:#?}");
    }
    // Rebuilt concurrently, an index that the extension has made looks like one that was added.
    ensure!(found.len() == 4, "{found:#?}");
    // As pg_upgrade does it, which makes the tables of the application in the same transaction.
    server.psql("postgres", "create database upgraded")?;
    server.psql(
        "upgraded",
        "begin; create table own (key text); create extension odd_lookup; commit;
         alter table lookup add constraint short check (length(key) < 99)",
    )?;
    let out = pg_snap(&server, "upgraded").arg("dump").output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(!log.contains("may have been added"), "{log}");
    Ok(())
}
