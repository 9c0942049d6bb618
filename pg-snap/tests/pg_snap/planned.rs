//! Indexes and statistics over functions that find names by the database's search path. Whoever plans a query evaluates
//! them, under the search path of that session.

use crate::kit::*;
use anyhow::{Result, ensure};
use predicates::str::starts_with;
use test_kit::Postgres;

/// As the usual wrapper of `unaccent`, which is not immutable.
const WRAPPER: &str = "
    create function plain(text) returns text language plpgsql immutable as $$ begin return lower($1); end $$;
    create function wrapped(text) returns text language sql immutable as $$ select plain($1) $$;";

#[test]
fn a_large_table_whose_index_calls_such_a_function_is_dumped_compared_and_loaded() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    server.psql(
        "piprio",
        &format!(
            "{WRAPPER}
             create unlogged table large (id integer, t text) with (autovacuum_enabled = off);
             alter table large alter column t set storage external;
             insert into large select n, repeat(md5(n::text), 210) from generate_series(1, 42000) n;
             create index on large (wrapped(id::text));
             create table small as select n, n::text as t from generate_series(1, 500) n;
             create statistics known on wrapped(t), n from small"
        ),
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &["--jobs", "3", "--level", "fast"], &file)?;
    let compare = |database: &str| pg_snap(&server, database).arg("compare").arg(&file).assert();
    compare("piprio").code(0).stdout(starts_with("Same; "));
    pg_snap(&server, "copy").args(["load", "--jobs", "3"]).arg(&file).assert().success();
    compare("copy").code(0).stdout(starts_with("Same; "));
    // Since PostgreSQL 17, ANALYZE has a search path of its own.
    let version: u32 = server.psql("copy", "show server_version_num")?.trim().parse()?;
    let analyzed = "select count(*) from pg_stats where tablename = 'large' and attname = 'id'";
    ensure!(version >= 170_000 || server.psql("copy", analyzed)?.trim() == "1", "no statistics");
    Ok(())
}

#[test]
fn roles_that_rows_name_are_recorded_whatever_the_indexes_of_their_table_call() -> Result<()> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role of_row; create role of_right; create role of_array; create role granting;
         create database piprio",
    )?;
    server.psql(
        "piprio",
        &format!(
            "{WRAPPER}
             create table named (name text, who regrole, what regclass); create index named_index on named (wrapped(name));
             insert into named values ('a', 'of_row', 'public.named'), ('c', null, 'pg_class');
             create table nothing (one aclitem, more aclitem[]); insert into nothing values (null, array[null, null]::aclitem[]);
             create table rights as select 'of_right=r/granting'::aclitem as one, array['of_array=w/granting'::aclitem] as more;
             create table other (c regclass); insert into other values ('pg_class')"
        ),
    )?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    let dump = pg_snap(&server, "piprio").arg("dump").assert().code(0);
    let log = String::from_utf8_lossy(&dump.get_output().stderr).into_owned();
    ensure!(!log.contains("incomplete"), "{log}");
    std::fs::write(&file, &dump.get_output().stdout)?;
    server.psql(
        "postgres",
        "create database empty_path; alter database empty_path set search_path = ''",
    )?;
    let dump = pg_snap(&server, "empty_path").arg("dump").assert().code(0);
    let log = String::from_utf8_lossy(&dump.get_output().stderr).into_owned();
    ensure!(!log.contains("incomplete"), "{log}");
    let target = Postgres::start()?;
    pg_snap(&target, "piprio").arg("load").arg(&file).assert().code(0);
    let rows = "select (select who from named where name = 'a'), (select one from rights), (select more from rights)";
    ensure!(target.psql("piprio", rows)? == server.psql("piprio", rows)?);
    // What no load can read is found there, too.
    server.psql("piprio", "insert into named values ('b', null, 'named_index')")?;
    let dump = pg_snap(&server, "piprio").arg("dump").assert().code(0);
    let log = String::from_utf8_lossy(&dump.get_output().stderr).into_owned();
    let found = "rows of public.named.what refer to public.named_index as regclass";
    ensure!(log.contains(found), "{log}");
    Ok(())
}

#[test]
fn what_sessions_have_for_themselves_is_no_part_of_what_a_load_must_be_allowed() -> Result<()> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role app login createdb password 'x'; create role reader login password 'x'; create database piprio owner app",
    )?;
    // The server keeps the schemas of temporary tables.
    server.psql("piprio", "create temporary table passing (n integer)")?;
    let mut held = server.client("psql");
    held.args(["-X", "-q", "-d", "piprio"])
        .env("PGUSER", "reader")
        .env("PGPASSWORD", "x")
        .env("PGAPPNAME", "held");
    let mut held = held.stdin(std::process::Stdio::piped()).spawn()?;
    let sql = "create temporary table own (n serial primary key); select pg_sleep(0);\n";
    std::io::Write::write_all(held.stdin.as_mut().unwrap(), sql.as_bytes())?;
    wait_for(
        &server,
        "select count(*) from pg_stat_activity where application_name = 'held' and query ~ 'sleep' and state = 'idle'",
        "1",
    )?;
    let by_app = |database: &str, arguments: &[&str]| {
        let mut command = pg_snap(&server, database);
        command.env("PGUSER", "app").env("PGPASSWORD", "x").args(arguments);
        command
    };
    let dump = by_app("piprio", &["dump"]).output()?;
    drop(held.stdin.take());
    held.wait()?;
    ensure!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    std::fs::write(&file, dump.stdout)?;
    let file = file.to_str().unwrap_or_default();
    by_app("copy", &["load", file]).assert().code(0);
    Ok(())
}
