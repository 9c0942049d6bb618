//! Deployments with very many tables.

use crate::kit::*;
use anyhow::Result;
use std::time::Instant;
use test_kit::Postgres;
use test_kit::likeness::{content, ensure_alike};

/// With this set, 10,000 tables in 1,000 schemas; without, a few, which is what time allows.
const FULL: &str = "PIPRIO_TEST_MANY_TABLES";

/// What there is, asked without locking all of it at once, of which default settings have no room.
const COUNTS: &str = "
    do $$
    declare
      tables oid[] := (select array_agg(oid) from pg_class where relkind = 'r' and oid >= 16384);
      a_table oid;
      n bigint;
      total bigint := 0;
      ahead bigint := 0;
    begin
      foreach a_table in array tables loop
        execute format('select count(*) from %s', a_table::regclass) into n;
        total := total + n;
        execute format('select last_value from %s', pg_get_serial_sequence(a_table::regclass::text, 'id')) into n;
        ahead := ahead + n;
        commit;
      end loop;
      create temp table counts as select total, ahead;
    end
    $$;
    select 'tables ' || count(*) from pg_class where relkind = 'r' and oid >= 16384 and relpersistence = 'p';
    select 'rows ' || total || ', sequences'' sum ' || ahead from counts;
    select contype::text || ' ' || count(*) from pg_constraint where conrelid >= 16384 group by contype order by 1;
    select 'indexes ' || count(*) from pg_index where indrelid >= 16384 and indisvalid";

#[test]
fn very_many_tables_dump_and_load_on_default_server_settings() -> Result<()> {
    let full = std::env::var_os(FULL).is_some();
    let schemas = if full { 1000 } else { 40 };
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    let make = format!(
        "do $$ begin for s in 1..{schemas} loop
           execute format('create schema tenant_%s', s);
           for t in 1..10 loop
             execute format('create table tenant_%1$s.t%2$s (id serial primary key, name text unique, at timestamptz)', s, t);
             execute format('insert into tenant_%s.t%s (name) values (''a''), (''b'')', s, t);
             if t > 1 then
               execute format('alter table tenant_%1$s.t%2$s add foreign key (id) references tenant_%1$s.t1', s, t);
             end if;
           end loop;
           if s % 10 = 0 then commit; end if;
         end loop; end $$"
    );
    server.psql("piprio", &make)?;
    let counts = server.psql("piprio", COUNTS)?;
    assert!(
        counts.contains(&format!("tables {}\nrows {}", schemas * 10, schemas * 20)),
        "{counts}"
    );
    let start = Instant::now();
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &["--jobs", "4"], &file)?;
    let dumped = start.elapsed();
    let run = |what: &[&str]| -> Result<_> {
        let start = Instant::now();
        pg_snap(&server, "copy").args(what).arg(&file).assert().success();
        Ok(start.elapsed())
    };
    let (checked, inspected) = (run(&["preflight"])?, run(&["inspect", "--json"])?);
    let loaded = run(&["load", "--jobs", "4"])?;
    println!(
        "{schemas} schemas: dump {dumped:?}, preflight {checked:?}, inspect {inspected:?}, load {loaded:?}"
    );
    assert_eq!(server.psql("copy", COUNTS)?, counts);
    if !full {
        // pg_dump reads all sequences in one transaction, for which default settings have no room.
        ensure_alike(
            &content(&server, None, "piprio")?,
            &content(&server, None, "copy")?,
            "the copy",
        )?;
        pg_snap(&server, "copy").args(["load", "-"]).pipe_stdin(&file)?.assert().success();
        ensure_alike(
            &content(&server, None, "piprio")?,
            &content(&server, None, "copy")?,
            "piped",
        )?;
    }
    Ok(())
}
