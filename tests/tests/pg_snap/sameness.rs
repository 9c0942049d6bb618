//! Whatever way a dump goes, what comes of it is what `pg_dump | psql` makes.

use crate::kit::*;
use anyhow::{Context, Result};
use pipeline_tests::likeness::{content, ensure_alike, state};
use pipeline_tests::{Postgres, oddities};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A database, and what `pg_dump | psql` makes of it.
struct Original {
    server: Postgres,
    dir: TempDir,
    /// pg_dump's, gzipped.
    plain: PathBuf,
    wanted: String,
}

const DATABASE: &str = "piprio";

impl Original {
    fn new(fill: impl FnOnce(&Postgres) -> Result<()>) -> Result<Self> {
        let server = Postgres::start()?;
        fill(&server)?;
        server.psql(
            DATABASE,
            "create role of_database; grant create on database piprio to of_database with grant option;
             comment on database piprio is E'it''s \\\\. odd'; alter database piprio connection limit 19;
             alter database piprio set search_path to \"a b\", public; alter database piprio set work_mem to '7MB';
             alter role of_database in database piprio set datestyle to 'German'",
        )?;
        let dir = tempfile::tempdir()?;
        let plain = dir.path().join("plain.sql.gz");
        pg_dump_to(&server, DATABASE, &[], &plain)?;
        by_psql(&server, "by_psql", &plain)?;
        let wanted = content(&server, None, "by_psql")?;
        Ok(Self { server, dir, plain, wanted })
    }

    fn dump(&self, options: &[&str]) -> Result<PathBuf> {
        let file = self.dir.path().join("d.sql.gz");
        dump_to(&self.server, DATABASE, options, &file)?;
        Ok(file)
    }

    /// Nothing of ours in the way back.
    fn ensure_psql_reads(&self, file: &Path, what: &str) -> Result<()> {
        by_psql(&self.server, "unpacked", file)?;
        self.ensure_wanted("unpacked", &format!("gunzip | psql of {what}"))?;
        self.server.psql("postgres", "drop database unpacked").map(drop)
    }

    /// From the file, which can be sought in, or from a pipe.
    fn ensure_loads(&self, file: &Path, options: &[&str], piped: bool, what: &str) -> Result<()> {
        let mut load = pg_snap(&self.server, "copy");
        load.arg("load").args(options);
        let done = if piped { load.arg("-").pipe_stdin(file)? } else { load.arg(file) };
        done.assert().success().stdout("");
        let what = format!("{what}, loaded with {options:?}, from a pipe: {piped}");
        self.ensure_wanted("copy", &what)
    }

    fn ensure_wanted(&self, database: &str, what: &str) -> Result<()> {
        ensure_alike(&self.wanted, &content(&self.server, None, database)?, what)
    }

    /// Also what lies outside of it.
    fn ensure_same_state(&self, what: &str) -> Result<()> {
        let (original, copy) = (state(&self.server, DATABASE)?, state(&self.server, "copy")?);
        ensure_alike(&original, &copy, what)
    }

    fn goes_every_way(&self) -> Result<()> {
        for jobs in [&["--jobs", "1"], &["--jobs", "4"]] {
            let (file, what) = (self.dump(jobs)?, format!("our dump with {jobs:?}"));
            self.ensure_psql_reads(&file, &what)?;
            for piped in [false, true] {
                self.ensure_loads(&file, jobs, piped, &what)?;
                self.ensure_same_state(&what)?;
            }
        }
        self.server.psql("postgres", "drop database copy")?;
        for (jobs, piped) in [("1", false), ("4", false), ("4", true)] {
            self.ensure_loads(&self.plain, &["--jobs", jobs], piped, "pg_dump | gzip")?;
        }
        Ok(())
    }
}

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
        texts.push(pipeline_tests::likeness::sorted(&pipeline_tests::postgres::canonical(
            &text[..end + 40],
        )?));
    }
    ensure_alike(&texts[0], &texts[1], "fast and default")?;
    ensure_alike(&texts[1], &texts[2], "default and small")
}
