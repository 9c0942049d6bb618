//! Whatever way a dump goes, what comes of it is what `pg_dump | psql` makes.

use crate::kit::*;
use crate::original::{DATABASE, Original};
use anyhow::{Context, Result};
use test_kit::{Postgres, likeness, oddities, postgres};

#[test]
fn tenants_are_the_same_whatever_way_they_go() -> Result<()> {
    Original::new(|server| server.create_tenants(DATABASE, 3, 200))?.goes_every_way()
}

#[test]
fn oddities_are_the_same_whatever_way_they_go() -> Result<()> {
    Original::new(|server| oddities::create(server, DATABASE))?.goes_every_way()
}

#[test]
fn many_tenants_are_the_same_from_a_file_from_a_pipe_through_psql_and_from_pg_dump() -> Result<()> {
    let original = Original::new(|server| server.create_tenants(DATABASE, 40, 2000))?;
    let file = original.dump(&[])?;
    original.ensure_psql_reads(&file, "our dump")?;
    original.ensure_loads(&file, &[], false, "our dump")?;
    original.ensure_same_state("our dump")?;
    original.ensure_loads(&file, &[], true, "our dump")?;
    original.ensure_loads(&original.plain, &[], false, "pg_dump | gzip")
}

#[test]
fn every_level_is_the_same_text() -> Result<()> {
    let original = Original::new(|server| oddities::create(server, DATABASE))?;
    let mut texts = Vec::new();
    for level in ["fast", "default", "small"] {
        let file = original.dump(&["--level", level])?;
        let text = String::from_utf8(gunzip(&file)?).context("not UTF-8")?;
        let end = end_marker(text.as_bytes())?;
        texts.push(likeness::sorted(&postgres::canonical(&text[..end + 40])?));
    }
    likeness::ensure_alike(&texts[0], &texts[1], "fast and default")?;
    likeness::ensure_alike(&texts[1], &texts[2], "default and small")
}

#[test]
fn what_was_loaded_is_sound_to_amcheck() -> Result<()> {
    let server = Postgres::start()?;
    let available = "select count(*) from pg_available_extensions where name = 'amcheck'";
    if server.psql("postgres", available)? != "1" || !server.programs().join("pg_amcheck").exists()
    {
        test_kit::skipped!("amcheck: not with this PostgreSQL");
        return Ok(());
    }
    oddities::create(&server, "odd")?;
    // Neither would have amcheck at work.
    let free =
        "drop event trigger odd_watch; grant execute on function odd.private(text) to public";
    server.psql("odd", free)?;
    server.create_tenants("tenants", 3, 200)?;
    let dir = tempfile::tempdir()?;
    for database in ["odd", "tenants"] {
        let file = dir.path().join("d.sql.gz");
        dump_to(&server, database, &[], &file)?;
        pg_snap(&server, "copy").args(["load", "--jobs", "4"]).arg(&file).assert().success();
        // Rows that were written as frozen must be visible to all, and be in every index.
        let mut amcheck = server.client("pg_amcheck");
        amcheck.args(["--install-missing", "--heapallindexed", "--parent-check", "-d", "copy"]);
        let out = amcheck.output()?;
        let words = String::from_utf8_lossy(&out.stdout).into_owned();
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        anyhow::ensure!(out.status.success() && words.is_empty(), "{database}: {words} {errors}");
    }
    Ok(())
}
