//! What a load may do again, and what it may not: nothing is lost or changed by a repair.

use crate::kit::{by_psql, databases, dump_to, pg_dump_to, pg_snap};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Output;
use test_kit::Postgres;

mod sessions;

pub struct Scene {
    pub server: Postgres,
    dir: tempfile::TempDir,
}

impl Scene {
    /// With a database `copy` to be replaced.
    pub fn new() -> Result<Self> {
        let scene = Self { server: Postgres::start()?, dir: tempfile::tempdir()? };
        scene.server.psql("postgres", "create database copy template template0")?;
        scene.server.psql("copy", "create table public.old (a int)")?;
        Ok(scene)
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("d.sql")
    }

    /// A plain dump of these statements.
    pub fn write(&self, encoding: &str, statements: &[u8]) -> Result<()> {
        let head = format!(
            "--\n-- PostgreSQL database dump\n--\n-- Dumped from database version 15.1\n\
             SET statement_timeout = 0;\nSET client_encoding = '{encoding}';\nSET standard_conforming_strings = on;\n\
             SELECT pg_catalog.set_config('search_path', '', false);\nSET check_function_bodies = false;\n"
        );
        let end = b"\n--\n-- PostgreSQL database dump complete\n--\n\n";
        Ok(std::fs::write(self.file(), [head.as_bytes(), statements, end].concat())?)
    }

    pub fn load(&self, database: &str, options: &[&str], file: &Path) -> Result<(Output, String)> {
        let out = pg_snap(&self.server, database).arg("load").args(options).arg(file).output()?;
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        Ok((out, log))
    }

    pub fn ensure_old_is_there(&self, log: &str) -> Result<()> {
        let old = self.server.psql("copy", "select count(*) from public.old");
        ensure!(old.is_ok_and(|n| n == "0"), "{log}");
        Ok(())
    }
}

/// Rows of a table that the load has not seen made, as those of an extension are.
const UNSEEN: &str = "
DO $$ BEGIN EXECUTE 'CREATE TABLE public.config (a int PRIMARY KEY, CHECK (a < 3))'; END $$;
-- Name: config; Type: TABLE DATA; Schema: public; Owner: piprio
COPY public.config (a) FROM stdin;
1
2
3
\\.
-- Name: TABLE t; Type: TABLE; Schema: public; Owner: piprio
CREATE TABLE public.t (a int);
COMMENT ON TABLE public.t IS 'after the rows';
";

#[test]
fn rows_that_cannot_be_sent_again_fail_a_load_by_their_own_name() -> Result<()> {
    let s = Scene::new()?;
    s.write("UTF8", UNSEEN.as_bytes())?;
    for options in [&["--jobs", "1"][..], &["--jobs", "4"], &["--keep-going"]] {
        let (out, log) = s.load("copy", options, &s.file())?;
        ensure!(out.status.code() == Some(1), "{options:?}: {log}");
        ensure!(log.contains("table data public.config") && log.contains("23514"), "{log}");
        s.ensure_old_is_there(&log)?;
    }
    // The same where a name is not found: no later statement is run in its place.
    let looks_up = UNSEEN.replace(
        "DO $$ BEGIN EXECUTE 'CREATE TABLE public.config (a int PRIMARY KEY, CHECK (a < 3))'; END $$;",
        "CREATE FUNCTION public.f(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN nowhere($1); END $$;\n\
         DO $$ BEGIN EXECUTE 'CREATE TABLE public.config (a int PRIMARY KEY, CHECK (public.f(a)))'; END $$;",
    );
    s.write("UTF8", looks_up.as_bytes())?;
    let (out, log) = s.load("copy", &["--keep-going"], &s.file())?;
    ensure!(out.status.code() == Some(1) && log.contains("public.config"), "{log}");
    s.ensure_old_is_there(&log)
}

#[test]
fn a_large_object_that_fails_fails_the_load() -> Result<()> {
    let s = Scene::new()?;
    s.server.psql("postgres", "create database source template template0")?;
    s.server.psql(
        "source",
        "select lo_from_bytea(4711, 'some bytes'); create sequence q; select nextval('q')",
    )?;
    let file = s.dir.path().join("d.sql.gz");
    dump_to(&s.server, "source", &[], &file)?;
    let text = String::from_utf8(crate::kit::gunzip(&file)?)?;
    // Another large object, which the dump does not make.
    let broken = text.replace("lo_open('4711'", "lo_open('4712'");
    ensure!(broken != text);
    std::fs::write(s.file(), broken)?;
    for options in [&["--keep-going"][..], &[]] {
        let (out, log) = s.load("copy", options, &s.file())?;
        ensure!(out.status.code() == Some(1), "{log}");
        ensure!(!log.contains("setval"), "{log}");
        s.ensure_old_is_there(&log)?;
    }
    Ok(())
}

#[test]
fn text_in_another_encoding_is_the_same_after_a_repair() -> Result<()> {
    let s = Scene::new()?;
    s.server.psql(
        "postgres",
        "create database source template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'",
    )?;
    s.server.psql(
        "source",
        "set client_encoding = 'UTF8'; create function public.f(text) returns boolean language plpgsql immutable as
           $$ begin return current_database() = 'source' or $1 <> 'b'; end $$;
         create table public.t (k text default 'é', constraint no_umlaut check (k <> 'ü' and public.f(k)));
         comment on constraint no_umlaut on t is 'ohne Umlaute: ü';
         insert into t values ('a'), ('b')",
    )?;
    let file = s.dir.path().join("d.sql.gz");
    dump_to(&s.server, "source", &[], &file)?;
    let (out, log) = s.load("fresh", &[], &file)?;
    ensure!(out.status.code() == Some(3), "{log}");
    let ask = "set client_encoding = 'UTF8'; select pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') from pg_constraint where conname = 'no_umlaut'";
    let (was, is) = (s.server.psql("source", ask)?, s.server.psql("fresh", ask)?);
    ensure!(is.replace(" NOT VALID", "") == was && is.contains(" NOT VALID"), "{was} {is}");
    let default =
        "set client_encoding = 'UTF8'; select pg_get_expr(adbin, adrelid) from pg_attrdef";
    ensure!(s.server.psql("fresh", default)? == s.server.psql("source", default)?);
    ensure!(s.server.psql("fresh", "select count(*) from t")? == "2");
    Ok(())
}

#[test]
fn a_column_is_not_made_again_once_something_was_made_of_it() -> Result<()> {
    let s = Scene::new()?;
    s.write(
        "UTF8",
        b"CREATE SCHEMA s;
-- Name: u; Type: TABLE; Schema: s; Owner: piprio
CREATE TABLE s.u (
    a integer,
    c integer GENERATED ALWAYS AS (s.later(a)) STORED NOT NULL
);
COPY s.u (a) FROM stdin;
1
2
\\.
CREATE FUNCTION s.later(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'select $1 + 1';
CREATE INDEX u_c ON s.u (c);
COMMENT ON COLUMN s.u.c IS 'kept';
",
    )?;
    let left_out = s.dir.path().join("left-out.sql");
    let path = left_out.to_string_lossy().into_owned();
    let (out, log) = s.load("copy", &["--keep-going", "--left-out", &path], &s.file())?;
    ensure!(out.status.code() == Some(3), "{log}");
    ensure!(
        std::fs::read_to_string(&left_out)?.contains("GENERATED ALWAYS AS (s.later(a)) STORED")
    );
    let there = "select (select count(*) from s.u) || ' ' || (select count(*) from pg_indexes where indexname = 'u_c') \
         || ' ' || col_description('s.u'::regclass, 2)";
    ensure!(s.server.psql("copy", there)? == "2 1 kept", "{log}");
    Ok(())
}

#[test]
fn event_triggers_of_the_dump_do_not_see_repairs() -> Result<()> {
    let s = Scene::new()?;
    s.server.psql("postgres", "create database source template template0")?;
    s.server.psql(
        "source",
        "create table public.parent (id int primary key); create table public.child (parent int references parent);
         alter table child disable trigger all; insert into child values (7); alter table child enable trigger all;
         create view public.broken as select current_database() as name; 
         create materialized view public.elsewhere as select case current_database() when 'source' then 1 else 1 / (select count(*) from parent) end as n;
         create table public.log (tag text);
         create function public.note() returns event_trigger language plpgsql as $$ begin insert into public.log values (tg_tag); end $$;
         create event trigger watch on ddl_command_end execute function public.note()",
    )?;
    let file = s.dir.path().join("d.sql.gz");
    dump_to(&s.server, "source", &[], &file)?;
    let rows = s.server.psql("source", "select count(*) from public.log")?;
    let (out, log) = s.load("fresh", &[], &file)?;
    ensure!(out.status.code() == Some(3), "{log}");
    ensure!(s.server.psql("fresh", "select count(*) from public.log")? == rows, "{log}");
    Ok(())
}

#[test]
fn an_owner_that_is_no_superuser_any_more_keeps_what_only_superusers_may_own() -> Result<()> {
    let s = Scene::new()?;
    let former = "\"Former \"\" one\"";
    s.server.psql(
        "postgres",
        &format!("create role {former} superuser; create database source template template0"),
    )?;
    s.server.psql(
        "source",
        &format!(
            "set session authorization {former};
             create function public.note() returns event_trigger language plpgsql as $$ begin end $$;
             create event trigger watch on sql_drop execute function public.note();
             create foreign data wrapper elsewhere;
             reset session authorization; alter role {former} nosuperuser"
        ),
    )?;
    let file = s.dir.path().join("d.sql.gz");
    dump_to(&s.server, "source", &[], &file)?;
    let (out, log) = s.load("fresh", &[], &file)?;
    ensure!(out.status.success() && log.contains("is no superuser"), "{log}");
    let owners = "select evtowner::regrole::text from pg_event_trigger
        union all select fdwowner::regrole::text from pg_foreign_data_wrapper";
    ensure!(s.server.psql("fresh", owners)? == format!("{former}\n{former}"), "{log}");
    let superusers = "select count(*) from pg_roles where rolsuper";
    ensure!(s.server.psql("postgres", superusers)? == "1", "{log}");
    Ok(())
}

#[test]
fn a_materialized_view_over_forced_policies_holds_what_its_owner_sees() -> Result<()> {
    let s = Scene::new()?;
    s.server.psql("postgres", "create role teller; create database source template template0")?;
    s.server.psql(
        "source",
        "create table public.t (a int, o text); insert into public.t values (1, 'teller'), (2, 'other');
         alter table public.t owner to teller; grant all on schema public to teller;
         alter table public.t enable row level security; alter table public.t force row level security;
         create policy p on public.t using (o = current_user); set role teller;
         create materialized view public.m as select a from public.t",
    )?;
    let (ours, theirs) = (s.dir.path().join("ours"), s.dir.path().join("theirs"));
    dump_to(&s.server, "source", &[], &ours)?;
    pg_dump_to(&s.server, "source", &[], &theirs)?;
    for file in [&ours, &theirs] {
        let (out, log) = s.load("copy", &[], file)?;
        ensure!(out.status.success(), "{log}");
        ensure!(s.server.psql("copy", "select a from public.m")? == "1", "{log}");
        ensure!(s.server.psql("copy", "select count(*) from public.t")? == "2", "{log}");
    }
    by_psql(&s.server, "by_psql", &ours)?;
    ensure!(s.server.psql("by_psql", "select a from public.m")? == "1");
    Ok(())
}

#[test]
fn checks_that_rows_do_not_fit_come_back_for_new_rows_wherever_they_stand() -> Result<()> {
    let s = Scene::new()?;
    let plain = "CREATE TABLE public.t (a int, CONSTRAINT c CHECK (a < 10));
COPY public.t (a) FROM stdin;\n1\n11\n\\.\n";
    let inherited =
        "CREATE TABLE public.p (a int, CONSTRAINT c CHECK (a < 10)) PARTITION BY RANGE (a);
CREATE TABLE public.t (a int, CONSTRAINT c CHECK (a < 10));
ALTER TABLE ONLY public.p ATTACH PARTITION public.t FOR VALUES FROM (0) TO (100);
COPY public.t (a) FROM stdin;\n1\n11\n\\.\n";
    let of_domain = "CREATE DOMAIN public.d AS int CONSTRAINT c CHECK (VALUE < 10);
CREATE TABLE public.t (a public.d[]);
CREATE TABLE public.u (a public.d);
COPY public.t (a) FROM stdin;\n{1}\n{11}\n\\.\nCOPY public.u (a) FROM stdin;\n11\n\\.\n";
    for statements in [plain, inherited, of_domain] {
        s.write("UTF8", statements.as_bytes())?;
        let (out, log) = s.load("copy", &["--keep-going", "--jobs", "4"], &s.file())?;
        ensure!(out.status.code() == Some(3), "{log}");
        ensure!(s.server.psql("copy", "select count(*) from public.t")? == "2", "{log}");
        let unchecked =
            "select count(*) from pg_constraint where conname = 'c' and not convalidated";
        ensure!(s.server.psql("copy", unchecked)? != "0", "{log}");
    }
    Ok(())
}

#[test]
fn the_file_for_what_is_left_out_is_never_another_one() -> Result<()> {
    let s = Scene::new()?;
    s.write("UTF8", b"CREATE TABLE public.t (a int);\n")?;
    let dump = s.file().to_string_lossy().into_owned();
    let (out, log) = s.load("copy", &["--left-out", &dump], &s.file())?;
    ensure!(out.status.code() == Some(2), "{log}");
    let other = s.dir.path().join("notes");
    std::fs::write(&other, "precious")?;
    let (out, log) = s.load("copy", &["--left-out", &other.to_string_lossy()], &s.file())?;
    ensure!(out.status.success() && std::fs::read(&other)? == b"precious", "{log}");
    ensure!(databases(&s.server)?.contains("copy"));
    Ok(())
}

#[test]
fn what_drops_something_is_not_run_once_more_after_the_load() -> Result<()> {
    let s = Scene::new()?;
    // As pg_dump --clean writes it.
    s.write(
        "UTF8",
        b"ALTER DOMAIN IF EXISTS public.d DROP CONSTRAINT IF EXISTS c;
ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS t_pkey;
CREATE DOMAIN public.d AS integer;
ALTER DOMAIN public.d ADD CONSTRAINT c CHECK ((VALUE > 0)) NOT VALID;
CREATE TABLE public.t (a int NOT NULL);
ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (a);
",
    )?;
    let (_, log) = s.load("copy", &["--keep-going"], &s.file())?;
    let there = "select string_agg(conname, ' ' order by conname) from pg_constraint where conname in ('c', 't_pkey')";
    ensure!(s.server.psql("copy", there)? == "c t_pkey", "{log}");
    Ok(())
}

#[test]
fn a_line_break_in_the_name_of_a_partitions_root_stays_in_the_name() -> Result<()> {
    let s = Scene::new()?;
    s.server.psql("postgres", "create database source template template0")?;
    s.server.psql(
        "source",
        "create type e as enum ('a'); create table r (a e) partition by hash (a);
         create table r1 partition of r for values with (modulus 1, remainder 0); insert into r values ('a');
         do $$ begin execute format('alter table r rename to %I', E'r\nCREATE TABLE public.injected(); -- \r'); end $$",
    )?;
    let file = s.dir.path().join("d.sql.gz");
    dump_to(&s.server, "source", &[], &file)?;
    pg_snap(&s.server, "copy").arg("load").arg(&file).assert().success();
    pg_snap(&s.server, "piped").args(["load", "-"]).pipe_stdin(&file)?.assert().success();
    crate::kit::by_psql(&s.server, "by_psql", &file)?;
    for database in ["copy", "piped", "by_psql"] {
        let injected = "select count(*) from pg_class where relname = 'injected'";
        ensure!(s.server.psql(database, injected)? == "0", "{database}");
        ensure!(s.server.psql(database, "select count(*) from public.r1")? == "1", "{database}");
    }
    Ok(())
}
