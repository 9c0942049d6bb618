//! What fails in its place and succeeds after others is made then, where nothing may be left out.

use crate::kit::{dump_to, pg_snap};
use crate::repairs::Scene;
use anyhow::{Result, ensure};
use test_kit::{Postgres, postgres};

/// A table and views of a role that may create in their schema only by a grant.
const OF_ANOTHER: &str = "
    create schema s; grant create, usage on schema s to a;
    set role a;
    create table s.u (a int); insert into s.u values (7);
    create index u_a on s.u (a);
    create view s.v as select * from s.u;
    create materialized view s.m as select a, current_user::text as filled_by from s.u;
    revoke all on s.u from a; grant select on s.u to a; grant insert on s.u to owner1;
    grant select on s.v to owner1 with grant option; reset role";

const STATE: &str = "select string_agg(relname || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '-'), ', ' order by relname)
      || (select string_agg(a || ' ' || filled_by, ',') from s.m)
    from pg_class where relnamespace = 's'::regnamespace";

#[test]
fn an_owner_that_may_create_only_by_a_grant_of_the_dump_owns_what_it_owned() -> Result<()> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role a; create role owner1 login createdb password 'x' in role a;
         create database source owner owner1; create database copy owner owner1; create database quick owner owner1",
    )?;
    let as_owner = || {
        let mut psql = server.client("psql");
        psql.env("PGUSER", "owner1").env("PGPASSWORD", "x");
        psql
    };
    postgres::psql(as_owner(), "source", &[], OF_ANOTHER)?;
    let state = |database: &str| server.psql(database, STATE);
    let original = state("source")?;
    ensure!(original.ends_with("7 a") && original.contains("u a {a=r/a,owner1=a/a}"), "{original}");
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    let out = pg_snap(&server, "source")
        .arg("dump")
        .env("PGUSER", "owner1")
        .env("PGPASSWORD", "x")
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::write(&file, out.stdout)?;
    for (database, options) in [
        ("copy", &[][..]),
        ("copy", &["--jobs", "1"]),
        ("fresh", &[]),
        ("quick", &["--keep-going"]),
    ] {
        let mut load = pg_snap(&server, database);
        load.env("PGUSER", "owner1").env("PGPASSWORD", "x").arg("load").args(options);
        let out = load.arg(&file).output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{database} {options:?}: {log}");
        ensure!(log.contains("table s.u is created after all"), "{log}");
        ensure!(database != "copy" || !log.contains("warning"), "{log}");
        ensure!(state(database)? == original, "{database}: {} {log}", state(database)?);
    }
    Ok(())
}

/// A role may own what is in a schema that it may not create in: a superuser has given it away.
const GIVEN_AWAY: &str = "
    create table public.jobs (id serial primary key, at int); insert into public.jobs (at) values (7);
    create view public.some as select at from public.jobs;
    create function public.f() returns int language sql as 'select 1';
    create type public.mood as enum ('sad');
    alter table public.jobs owner to svc; alter view public.some owner to svc;
    alter function public.f() owner to svc; alter type public.mood owner to svc;
    grant select on public.jobs to dba; revoke all on function public.f() from public;
    create schema s authorization dba; create table s.t (a int); alter table s.t owner to svc";

const OWNERS: &str = "select string_agg(relname || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '-'), ', ' order by relname)
      || (select proowner::regrole || proacl::text from pg_proc where proname = 'f')
      || (select typowner::regrole from pg_type where typname = 'mood')
    from pg_class where relname in ('jobs', 'jobs_id_seq', 'some', 't')";
const RIGHTS: &str = "select string_agg(nspname || ' ' || coalesce(nspacl::text, '-'), ', ' order by nspname)
      || ' ' || bool_or(has_schema_privilege('svc', oid, 'create')) from pg_namespace where nspname in ('public', 's')";

#[test]
fn an_owner_that_may_not_create_in_the_schema_owns_what_it_owned() -> Result<()> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role svc; create role dba login createdb password 'x' in role svc;
         create database source owner dba; create database copy owner dba",
    )?;
    // Before PostgreSQL 15, every role may create in it.
    server.psql("source", "revoke create on schema public from public")?;
    server.psql("source", GIVEN_AWAY)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "source", &[], &file)?;
    let (owners, rights) = (server.psql("source", OWNERS)?, server.psql("source", RIGHTS)?);
    ensure!(owners.starts_with("jobs svc") && rights.ends_with("false"), "{owners} {rights}");
    for (database, options) in
        [("copy", &[][..]), ("copy", &["--jobs", "1"]), ("fresh", &[]), ("copy", &["--keep-going"])]
    {
        let mut load = pg_snap(&server, database);
        load.env("PGUSER", "dba").env("PGPASSWORD", "x").arg("load").args(options);
        let out = load.arg(&file).output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{database} {options:?}: {log}");
        let now = server.psql(database, OWNERS)?;
        ensure!(now == owners, "{database} {options:?}: {now} instead of {owners}: {log}");
        let now = server.psql(database, RIGHTS)?;
        ensure!(now.ends_with("false"), "{database} {options:?}: {now}: {log}");
    }
    Ok(())
}

#[test]
fn views_that_read_others_through_functions_are_filled_after_them() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database source template template0; create database copy")?;
    server.psql(
        "source",
        "create table public.t as select 1 as n;
         create materialized view public.zzz as select n from public.t;
         create function public.rz() returns int language sql stable as 'select n + 1 from public.zzz';
         create materialized view public.bbb as select public.rz() as n;
         create function public.rb() returns int language sql stable as 'select n + 1 from public.bbb';
         create materialized view public.aaa as select public.rb() as n",
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    for prepare in [
        "",
        // It sees what comes after it, and nothing that was before it.
        "create table public.seen (tag text);
         create function public.note() returns event_trigger language plpgsql as $$ begin insert into public.seen values (tg_tag); end $$;
         create event trigger watch on ddl_command_end execute function public.note()",
    ] {
        server.psql("source", prepare)?;
        dump_to(&server, "source", &[], &file)?;
        for piped in [false, true] {
            let mut load = pg_snap(&server, "copy");
            if piped {
                load.args(["load", "-"]).pipe_stdin(&file)?
            } else {
                load.arg("load").arg(&file)
            };
            let out = load.output()?;
            let log = String::from_utf8_lossy(&out.stderr);
            ensure!(out.status.success() && !log.contains("warning"), "{log}");
            ensure!(log.contains("public.aaa is created after all"), "{log}");
            ensure!(server.psql("copy", "select n from public.aaa")? == "3", "{log}");
        }
    }
    Ok(())
}

/// A view comes before its table.
const TOO_EARLY: &str = "CREATE VIEW public.v AS SELECT * FROM public.t;
CREATE VIEW public.w AS SELECT * FROM public.v;
CREATE TABLE public.t (a int);
COPY public.t (a) FROM stdin;\n1\n\\.\n
GRANT SELECT ON TABLE public.t TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
";

#[test]
fn what_is_made_after_all_gets_no_default_privileges_of_the_dump() -> Result<()> {
    let s = Scene::new()?;
    s.write("UTF8", TOO_EARLY.as_bytes())?;
    for options in [&[][..], &["--keep-going"]] {
        let (out, log) = s.load("copy", options, &s.file())?;
        ensure!(out.status.success(), "{log}");
        let open = "select string_agg(relname || coalesce(relacl::text, ''), ' ' order by relname) from pg_class where relname in ('v', 'w')";
        ensure!(s.server.psql("copy", open)? == "v w", "{log}");
    }
    Ok(())
}

#[test]
fn what_nothing_mends_fails_a_load_by_its_own_error_and_first_of_all() -> Result<()> {
    let s = Scene::new()?;
    let broken = "CREATE VIEW public.broken AS SELECT * FROM public.nowhere;
CREATE VIEW public.of_broken AS SELECT * FROM public.broken;
CREATE TABLE public.t (a int);
COPY public.t (a) FROM stdin;\n1\n\\.\n
COMMENT ON VIEW public.broken IS 'broken';
";
    // Nothing after it that fails for want of it is taken for the cause, nor is it for what fails for another one.
    let lacking = format!("{broken}CREATE TABLE public.u (a public.broken);\n");
    let full = format!("{broken}INSERT INTO public.t SELECT 1 / 0;\n");
    let wanted = "statement 'CREATE VIEW public.broken AS SELECT * FROM public.nowhere;' failed: ERROR 42P01: ";
    for (statements, wanted) in
        [(broken, wanted), (&lacking, wanted), (&full, "failed: ERROR 22012: ")]
    {
        s.write("UTF8", statements.as_bytes())?;
        let (out, log) = s.load("copy", &[], &s.file())?;
        ensure!(out.status.code() == Some(1), "{log}");
        let line = log.lines().last().unwrap_or_default();
        ensure!(line.contains(wanted) && line.contains("the old database is as it was"), "{log}");
        ensure!(!log.contains("left out") && !log.contains("after all"), "{log}");
        ensure!(line.contains("--keep-going") == (wanted.contains("42P01")), "{log}");
        s.ensure_old_is_there(&log)?;
    }
    Ok(())
}

/// Each of two tables reads the other's rows in a check, one of them by a domain.
const READING_EACH_OTHER: &str = "
    create table public.zz (n int); create table public.aa (n int);
    create function public.in_zz(int) returns boolean language plpgsql stable as $$ begin return exists (select from public.zz where n = $1); end $$;
    create function public.in_aa(int) returns boolean language plpgsql stable as $$ begin return $1 > 9 or exists (select from public.aa where n = $1); end $$;
    insert into public.zz values (1), (2); insert into public.aa values (1), (2);
    alter table public.aa add constraint known check (public.in_zz(n)), add constraint small check (n < 9);
    comment on constraint known on public.aa is 'kept';
    create domain public.of_aa as int constraint known_too check (public.in_aa(value));
    alter table public.zz alter n type public.of_aa";

#[test]
fn rows_whose_checks_read_rows_that_come_later_are_checked_after_all_rows() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database source template template0; create database copy")?;
    server.psql("source", READING_EACH_OTHER)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "source", &[], &file)?;
    let load = |options: &[&str], piped: bool| -> Result<(Option<i32>, String)> {
        let mut load = pg_snap(&server, "copy");
        load.arg("load").args(options);
        if piped {
            load.arg("-").pipe_stdin(&file)?
        } else {
            load.arg(&file)
        };
        let out = load.output()?;
        Ok((out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned()))
    };
    let original = crate::kit::content(&server, "source")?;
    for (options, piped) in [(&[][..], false), (&["--jobs", "1"], false), (&[], true)] {
        let (code, log) = load(options, piped)?;
        ensure!(code == Some(0) && !log.contains("warning"), "{options:?} {piped}: {log}");
        ensure!(crate::kit::content(&server, "copy")? == original, "{log}");
    }
    // What no other rows mend fails the load by its own error.
    server.psql("copy", "create table public.old ()")?;
    server.psql("source", "alter table public.zz alter n type int; delete from public.zz where n = 2; alter table public.zz alter n type public.of_aa")?;
    dump_to(&server, "source", &[], &file)?;
    for piped in [false, true] {
        let (code, log) = load(&[], piped)?;
        let line = log.lines().last().unwrap_or_default();
        ensure!(
            code == Some(1)
                && line.contains(
                    "table data public.aa: statement 'COPY public.aa' failed: ERROR 23514: "
                ),
            "{log}"
        );
        ensure!(
            line.contains("--keep-going") && line.contains("the old database is as it was"),
            "{log}"
        );
        server.psql("copy", "select from public.old")?;
    }
    Ok(())
}
