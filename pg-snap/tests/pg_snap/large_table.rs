//! A table that several sessions copy out and in, a part each.

use crate::kit::*;
use anyhow::{Context, Result, ensure};
use test_kit::Postgres;

/// Each row's value lies out of line, so that the table is large and its own pages are few.
const TABLE: &str = "
    create unlogged table large (id integer, t text) with (autovacuum_enabled = off);
    alter table large alter column t set storage external;
    insert into large select n, repeat(md5(n::text), 210) from generate_series(1, 42000) n;
    update large set id = -id where id % 100 = 0;
    delete from large where id % 7 = 0";
/// Of the same rows in any order.
const SUM: &str = "select count(*), sum(id), sum(hashtext(t)::bigint), sum(length(t)) from large";

#[test]
fn a_large_table_is_copied_in_parts_and_none_of_its_rows_is_lost_or_there_twice() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    server.psql("piprio", TABLE)?;
    let sum = server.psql("piprio", SUM)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_to(&server, "piprio", &["--jobs", "3", "--level", "fast"], &file)?;
    let index = std::process::Command::new("sh")
        .args(["-c", "zcat \"$1\" | tail -n 40", "sh"])
        .arg(&file)
        .output()?;
    let index = String::from_utf8(index.stdout)?;
    let parts = index.lines().filter(|line| line.contains("\"table\":\"large\"")).count();
    ensure!(parts > 1, "in one part: {index}");
    let report = pg_snap(&server, "").args(["inspect", "--json"]).arg(&file).output()?;
    let report: serde_json::Value = serde_json::from_slice(&report.stdout)?;
    let tables = report["tables"].as_array().context("tables")?;
    let rows: u64 = sum.split('|').next().unwrap_or_default().parse()?;
    ensure!(tables.len() == 1 && tables[0]["rows"] == rows, "{tables:?}, not {rows}");

    pg_snap(&server, "copy").args(["load", "--jobs", "3"]).arg(&file).assert().success();
    ensure!(server.psql("copy", SUM)? == sum, "from the file");
    server.psql("postgres", "drop database copy")?;
    by_psql(&server, "unpacked", &file)?;
    ensure!(server.psql("unpacked", SUM)? == sum, "gunzip | psql");
    Ok(())
}
