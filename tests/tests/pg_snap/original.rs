//! A database, and what `pg_dump | psql` makes of it: what every other way is held to.

use crate::kit::*;
use anyhow::Result;
use pipeline_tests::Postgres;
use pipeline_tests::likeness::{content, ensure_alike, state};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// See the module.
pub struct Original {
    pub server: Postgres,
    dir: TempDir,
    /// pg_dump's, gzipped.
    pub plain: PathBuf,
    pub wanted: String,
}

/// Its name.
pub const DATABASE: &str = "piprio";

impl Original {
    pub fn new(fill: impl FnOnce(&Postgres) -> Result<()>) -> Result<Self> {
        Self::on(Postgres::start()?, fill)
    }

    pub fn on(server: Postgres, fill: impl FnOnce(&Postgres) -> Result<()>) -> Result<Self> {
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

    pub fn dump(&self, options: &[&str]) -> Result<PathBuf> {
        let file = self.dir.path().join("d.sql.gz");
        dump_to(&self.server, DATABASE, options, &file)?;
        Ok(file)
    }

    /// Nothing of ours in the way back.
    pub fn ensure_psql_reads(&self, file: &Path, what: &str) -> Result<()> {
        by_psql(&self.server, "unpacked", file)?;
        self.ensure_wanted("unpacked", &format!("gunzip | psql of {what}"))?;
        self.server.psql("postgres", "drop database unpacked").map(drop)
    }

    /// From the file, which can be sought in, or from a pipe.
    pub fn ensure_loads(
        &self,
        file: &Path,
        options: &[&str],
        piped: bool,
        what: &str,
    ) -> Result<()> {
        let mut load = pg_snap(&self.server, "copy");
        load.arg("load").args(options);
        let done = if piped { load.arg("-").pipe_stdin(file)? } else { load.arg(file) };
        done.assert().success().stdout("");
        let what = format!("{what}, loaded with {options:?}, from a pipe: {piped}");
        self.ensure_wanted("copy", &what)
    }

    pub fn ensure_wanted(&self, database: &str, what: &str) -> Result<()> {
        ensure_alike(&self.wanted, &content(&self.server, None, database)?, what)
    }

    /// Also what lies outside of it.
    pub fn ensure_same_state(&self, what: &str) -> Result<()> {
        let (original, copy) = (state(&self.server, DATABASE)?, state(&self.server, "copy")?);
        ensure_alike(&original, &copy, what)
    }

    pub fn goes_every_way(&self) -> Result<()> {
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
