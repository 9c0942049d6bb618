//! All rows are loaded even if objects derived from them cannot be created.

use crate::kit::{dump_to, pg_dump_to, pg_snap};
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use test_kit::Postgres;

/// What cannot be made again: one of each kind.
const CONTENTS: &str = "
    create table public.customer (id int primary key);
    insert into customer select generate_series(1, 100);
    create table public.invoice (id int primary key, customer int references customer, amount int);
    insert into invoice select n, 1 + n % 100, n from generate_series(1, 1000) n;
    alter table invoice disable trigger all;
    insert into invoice values (1001, 424242, 1);
    alter table invoice enable trigger all;
    create table public.code (id int, code text);
    insert into code values (1, 'twice'), (2, 'twice'), (3, 'once');
    create unique index code_once on code (code) where id < 0;
    update pg_index set indpred = null where indexrelid = 'code_once'::regclass;
    create function public.positive(n int) returns boolean language sql immutable as $$ select true $$;
    create table public.checked (id int primary key, n int constraint n_positive check (public.positive(n)));
    insert into checked values (1, 1), (2, -5);
    create or replace function public.positive(n int) returns boolean language sql immutable as $$ select n > 0 $$;
    create domain public.small as int constraint is_small check (public.positive(value));
    create table public.of_domain (id int primary key, n public.small);
    create function public.moody() returns int language plpgsql stable as
      $$ begin if current_database() = 'piprio' then return 1; end if; raise exception 'not here' using errcode = '2F003'; end $$;
    create materialized view public.moods as select public.moody() as mood;
    create table public.kept (id int primary key);
    insert into kept select generate_series(1, 50);
    create index kept_by_mood on kept ((id + 1));
    create role gone_soon;
    grant select on kept to gone_soon;
    update pg_class set relacl = array_append(relacl, relacl[1]) where relname = 'nothing';
    create view public.after_all as select count(*) from kept";

const ROWS: &str = "select (select count(*) from invoice) || ' ' || (select count(*) from code) || ' ' \
    || (select count(*) from checked) || ' ' || (select count(*) from kept) || ' ' || (select * from after_all)";

fn source() -> Result<Postgres> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql("piprio", &format!("set allow_system_table_mods = on; {CONTENTS}"))?;
    // The role is gone, its privileges are not: as numbers they are in the dump.
    server.psql("piprio", "set allow_system_table_mods = on; delete from pg_shdepend where refobjid = 'gone_soon'::regrole; drop role gone_soon")?;
    Ok(server)
}

fn mode(path: &Path) -> Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

#[test]
fn without_the_option_the_error_names_object_statement_key_and_option_and_the_old_database_stays()
-> Result<()> {
    let server = source()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    server.psql("piprio", "create table public.since (id int)")?;
    let out = pg_snap(&server, "piprio").args(["load", "--jobs", "1"]).arg(&file).output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(1), "{log}");
    let line = log.lines().last().context("no error")?;
    for word in ["statement '", "failed: ERROR 2", "--keep-going", "the old database is as it was"]
    {
        ensure!(line.contains(word), "no {word}: {line}");
    }
    ensure!(server.psql("piprio", "select count(*) from since")? == "0");
    Ok(())
}

#[test]
fn with_it_all_rows_are_there_each_object_is_named_and_nothing_else_is_lost() -> Result<()> {
    let server = source()?;
    let dir = tempfile::tempdir()?;
    let (ours, plain) = (dir.path().join("ours.sql.gz"), dir.path().join("plain.sql.gz"));
    dump_to(&server, "piprio", &[], &ours)?;
    pg_dump_to(&server, "piprio", &[], &plain)?;
    let rows = server.psql("piprio", ROWS)?;
    for (number, file, piped) in [(1, &ours, false), (2, &ours, true), (3, &plain, true)] {
        let name = format!("copy_{number}");
        server.psql("postgres", &format!("create database {name}"))?;
        let left_out = dir.path().join(format!("left-out-{number}.sql"));
        let mut load = pg_snap(&server, &name);
        load.args(["load", "--keep-going", "--left-out"]).arg(&left_out);
        if piped {
            load.pipe_stdin(file)?.arg("-")
        } else {
            load.arg(file)
        };
        let out = load.output()?;
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.code() == Some(3), "{log}");
        ensure!(server.psql(&name, ROWS)? == rows, "{log}");
        let statements = std::fs::read_to_string(&left_out)?;
        ensure!(mode(&left_out)? == 0o600);
        for (object, key) in
            [("invoice_customer_fkey", "424242"), ("code_once", "twice"), ("moods", "not here")]
        {
            let line = log.lines().find(|line| line.contains(object)).context(object)?;
            ensure!(line.contains(key), "{line}");
            ensure!(statements.contains(object), "{object}: {statements}");
        }
        ensure!(
            statements.contains("VALIDATE CONSTRAINT \"invoice_customer_fkey\""),
            "{statements}"
        );
        ensure!(log.contains("n_positive") || log.contains("checked"), "{log}");
        let unchecked = "select string_agg(conname, ' ' order by conname) from pg_constraint where not convalidated";
        ensure!(server.psql(&name, unchecked)? == "invoice_customer_fkey n_positive", "{log}");
        let indexes = "select count(*) from pg_indexes where indexname in ('kept_by_mood', 'kept_pkey', 'customer_pkey')";
        ensure!(server.psql(&name, indexes)? == "3");
        // The old database is not dropped for one that is not all there.
        let kept = format!("select count(*) from pg_database where datname = '{name}_previous'");
        ensure!(server.psql("postgres", &kept)? == "1");
    }
    Ok(())
}

#[test]
fn what_was_left_out_is_made_by_the_file_once_its_cause_is_removed() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql(
        "piprio",
        "create table public.customer (id int primary key);
         create table public.invoice (id int primary key, customer int references customer);
         alter table invoice disable trigger all; insert into invoice values (1, 7); alter table invoice enable trigger all;",
    )?;
    let dir = tempfile::tempdir()?;
    let (file, left_out) = (dir.path().join("d.sql.gz"), dir.path().join("left-out.sql"));
    dump_to(&server, "piprio", &[], &file)?;
    // Where there is no database to fall back on, the rows come back without being asked for.
    let mut load = pg_snap(&server, "copy");
    let out = load.args(["load", "--left-out"]).arg(&left_out).arg(&file).output()?;
    ensure!(out.status.code() == Some(3), "{}", String::from_utf8_lossy(&out.stderr));
    server.psql("copy", "insert into customer values (7)")?;
    let mut psql = server.client("psql");
    let done = psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "copy", "-f"]).arg(&left_out);
    ensure!(done.status()?.success());
    ensure!(
        server.psql("copy", "select count(*) from pg_constraint where not convalidated")? == "0"
    );
    // A load that leaves out nothing leaves no such file.
    server.psql("piprio", "insert into customer values (7)")?;
    dump_to(&server, "piprio", &[], &file)?;
    let mut load = pg_snap(&server, "copy");
    load.args(["load", "--left-out"]).arg(&left_out).arg(&file).assert().success();
    ensure!(!left_out.exists());
    Ok(())
}

#[test]
fn a_load_that_cannot_write_what_it_leaves_out_or_what_it_loads_replaces_nothing() -> Result<()> {
    let server = source()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    server.psql("piprio", "create table public.since (id int)")?;
    let (absent, occupied) = (dir.path().join("absent/file"), dir.path().join("occupied"));
    std::fs::create_dir(&occupied)?;
    for option in ["--left-out", "--record"] {
        for (path, before) in [(&absent, "nothing was changed"), (&occupied, "as it was")] {
            let mut load = pg_snap(&server, "piprio");
            let out = load.args(["load", "--keep-going", option]).arg(path).arg(&file).output()?;
            let log = String::from_utf8_lossy(&out.stderr);
            ensure!(out.status.code() == Some(1), "{option}: {log}");
            let line = log.lines().last().context("no error")?;
            for word in [before, &path.parent().context("parent")?.to_string_lossy()] {
                ensure!(line.contains(word), "{option}: no {word}: {line}");
            }
            ensure!(server.psql("piprio", "select count(*) from since")? == "0");
            let databases = "select count(*) from pg_database where datname like 'piprio_%'";
            ensure!(server.psql("postgres", databases)? == "0");
        }
    }
    Ok(())
}

#[test]
fn a_load_records_which_database_it_has_loaded_and_what_that_lacks() -> Result<()> {
    let server = source()?;
    let dir = tempfile::tempdir()?;
    let (file, record) = (dir.path().join("d.sql.gz"), dir.path().join("loaded.json"));
    dump_to(&server, "piprio", &[], &file)?;
    for (content, status) in [("piprio", 3), ("whole", 0)] {
        if content == "whole" {
            server.psql("postgres", "create database whole template template0")?;
            dump_to(&server, "whole", &[], &file)?;
        }
        let mut load = pg_snap(&server, "copy");
        let out =
            load.args(["load", "--keep-going", "--record"]).arg(&record).arg(&file).output()?;
        ensure!(out.status.code() == Some(status), "{}", String::from_utf8_lossy(&out.stderr));
        let oid = server.psql("copy", "select oid from pg_database where datname = 'copy'")?;
        let text = std::fs::read_to_string(&record)?;
        ensure!(text.starts_with(&format!("{{\"oid\":{oid},\"left_out\":")), "{text}");
        ensure!(text.contains("\"left_out\":0}") == (status == 0), "{text}");
    }
    Ok(())
}

/// SQLSTATEs of a dozen classes, raised by what a load does.
const STATES: [&str; 12] = [
    "08006", "0A000", "22P02", "23505", "28000", "40P01", "42501", "42P01", "53100", "55P03",
    "58P01", "P0001",
];

#[test]
fn every_error_of_a_load_names_object_statement_and_remedy() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    server.psql(
        "piprio",
        "create table public.t (id int primary key); insert into t values (1);
         create table public.state (state text); insert into state values ('');
         create function public.fails(int) returns int language plpgsql immutable as $$ declare s text; begin
           if current_database() = 'piprio' then return 1; end if;
           select state into s from public.state;
           raise exception using errcode = s, message = 'not in this place'; end $$;
         create index by_failing on t (public.fails(id))",
    )?;
    server.psql("postgres", "create database copy")?;
    for state in STATES {
        server.psql("piprio", &format!("update state set state = '{state}'"))?;
        dump_to(&server, "piprio", &[], &file)?;
        let out = pg_snap(&server, "copy").arg("load").arg(&file).output()?;
        let log = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.code() == Some(1), "{state}: {log}");
        let line = log.lines().last().context("no error")?;
        let named = "index public.by_failing: statement 'CREATE INDEX by_failing ON public.t";
        for word in
            [named, &format!("failed: ERROR {state}: not in this place"), "; ", "--keep-going"]
        {
            ensure!(line.contains(word), "{state}: no {word}: {line}");
        }
    }
    Ok(())
}

#[test]
fn a_statement_that_may_hold_a_password_is_shown_without_its_values() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio template template0")?;
    server.psql(
        "piprio",
        "create extension postgres_fdw;
         create server elsewhere foreign data wrapper postgres_fdw options (host 'nowhere');
         create user mapping for public server elsewhere options (user 'u', password 'hidden-password');",
    )?;
    let dir = tempfile::tempdir()?;
    let (file, left_out) = (dir.path().join("d.sql.gz"), dir.path().join("left-out.sql"));
    dump_to(&server, "piprio", &[], &file)?;
    // An option that the wrapper refuses, as one of another release would.
    let text = String::from_utf8(crate::kit::gunzip(&file)?)?;
    let plain = dir.path().join("plain.sql");
    std::fs::write(
        &plain,
        text.replace("\"user\" 'u'", "unheard_of 'u'")
            .replace("    user 'u'", "    unheard_of 'u'"),
    )?;
    let mut load = pg_snap(&server, "copy");
    let out = load.args(["load", "--left-out"]).arg(&left_out).arg(&plain).output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(3), "{log}");
    ensure!(log.contains("user mapping") && !log.contains("hidden-password"), "{log}");
    ensure!(std::fs::read_to_string(&left_out)?.contains("hidden-password"));
    Ok(())
}

#[test]
fn what_is_left_out_is_in_the_deployments_file_where_no_other_is_named() -> Result<()> {
    let server = source()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    let load = || {
        let mut load = pg_snap(&server, "copy");
        load.env("PIPRIO_DEPLOY", dir.path()).args(["load", "--keep-going"]);
        load
    };
    let out = load().arg(&file).output()?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.code() == Some(3), "{log}");
    let written = dir.path().join(".restore/left-out.sql");
    ensure!(log.contains(&format!("-d copy -f {}", written.display())), "{log}");
    ensure!((mode(&written)?, mode(&dir.path().join(".restore"))?) == (0o600, 0o700));
    let text = std::fs::read_to_string(&written)?;
    ensure!(text.contains("invoice_customer_fkey"), "{text}");
    // A load that lacks nothing, of another database, does not remove it.
    let whole = dir.path().join("whole.sql.gz");
    server.psql("postgres", "create database other template template0")?;
    dump_to(&server, "other", &[], &whole)?;
    ensure!(load().arg(&whole).output()?.status.success());
    ensure!(std::fs::read_to_string(&written)? == text);
    // Nor does one of another database that lacks something replace it.
    let mut other = pg_snap(&server, "look");
    other.env("PIPRIO_DEPLOY", dir.path()).arg("load").arg(&file);
    let out = other.output()?;
    ensure!(out.status.code() == Some(3));
    ensure!(String::from_utf8_lossy(&out.stderr).contains("holds those of another database"));
    ensure!(std::fs::read_to_string(&written)? == text);
    // And the load does not depend on it.
    std::fs::remove_file(&written)?;
    std::fs::create_dir(&written)?;
    ensure!(load().arg(&file).output()?.status.code() == Some(3));
    Ok(())
}
