//! Whatever way a dump goes, what comes of it is what `pg_dump | psql` makes.

use crate::kit::*;
use crate::original::{DATABASE, Original};
use anyhow::{Context, Result};
use pipeline_tests::{likeness, oddities, postgres};

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
