//! The planner's statistics after a load.

use crate::kit::*;
use anyhow::{Result, ensure};
use test_kit::Postgres;

/// Two partitioned tables. In the second, a function of extended statistics fails while they are gathered.
const TABLES: &str = r"
    create table good (id integer, t text) partition by range (id);
    create table good_1 partition of good for values from (1) to (1000);
    create table good_rest partition of good default partition by range (id);
    create table good_2 partition of good_rest for values from (1000) to (2000);
    create function f(integer) returns integer immutable language plpgsql as $$ begin
      if current_query() ilike '%analyze%' then raise exception 'not now'; end if;
      return $1;
    end $$;
    create table bad (like good) partition by range (id);
    create table bad_1 partition of bad for values from (1) to (1000);
    create table bad_2 partition of bad for values from (1000) to (2000);
    create statistics values_of_f on (f(id)), t from bad_2;
    insert into good select n, 'row ' || n from generate_series(1, 1999) n;
    insert into bad select * from good";

#[test]
fn partitions_are_analyzed_once_and_one_that_fails_costs_the_others_nothing() -> Result<()> {
    let server = Postgres::with(test_kit::postgres::Options {
        settings: vec!["autovacuum=off".into()],
        ..Default::default()
    })?;
    server.psql("postgres", "create database piprio")?;
    server.psql("piprio", TABLES)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &[], &file)?;
    pg_snap(&server, "copy").arg("load").arg(&file).assert().success();
    let analyzed = server.psql(
        "copy",
        "select string_agg(distinct tablename || ' ' || inherited, ', ' order by tablename || ' ' || inherited) \
         from pg_stats where schemaname = 'public'",
    )?;
    ensure!(
        analyzed == "bad_1 false, good true, good_1 false, good_2 false, good_rest true",
        "{analyzed}"
    );
    let times = server.psql(
        "copy",
        "select string_agg(relname || ' ' || analyze_count, ', ' order by relname) \
         from pg_stat_user_tables where relname like 'good%'",
    )?;
    ensure!(times == "good 1, good_1 1, good_2 1, good_rest 1", "{times}");
    Ok(())
}
