//! Deployments with very many tables.

use crate::kit::*;
use anyhow::Result;
use pipeline_tests::Postgres;
use std::time::Instant;

/// With this set, 5,000 tables in 500 schemas; without, a tenth, which is what time allows.
const FULL: &str = "PIPRIO_TEST_MANY_TABLES";

#[test]
fn very_many_tables_dump_and_load_on_default_server_settings() -> Result<()> {
    let schemas = if std::env::var_os(FULL).is_some() { 500 } else { 50 };
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    let make = format!(
        "do $$ begin for s in 1..{schemas} loop
           execute format('create schema tenant_%s', s);
           for t in 1..10 loop
             execute format('create table tenant_%1$s.t%2$s (id serial primary key, name text unique, at timestamptz)', s, t);
             execute format('insert into tenant_%s.t%s (name) values (''a''), (''b'')', s, t);
           end loop;
           if s % 10 = 0 then commit; end if;
         end loop; end $$"
    );
    server.psql("piprio", &make)?;
    let start = Instant::now();
    let dump = pg_snap(&server, "piprio").arg("dump").output()?;
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dumped = start.elapsed();
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    std::fs::write(&file, &dump.stdout)?;
    let ask = |what: &[&str]| pg_snap(&server, "piprio").args(what).arg(&file).assert().success();
    let start = Instant::now();
    ask(&["preflight"]);
    let checked = start.elapsed();
    let start = Instant::now();
    ask(&["load", "--keep-previous"]);
    println!(
        "{schemas} schemas: dump {dumped:?}, preflight {checked:?}, load {:?}",
        start.elapsed()
    );
    let count = "select count(*) from pg_tables where schemaname like 'tenant%'";
    assert_eq!(server.psql("piprio", count)?, (schemas * 10).to_string());
    pg_snap(&server, "piprio").args(["previous", "drop"]).assert().success();
    Ok(())
}
