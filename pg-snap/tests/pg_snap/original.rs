//! A database, and what `pg_dump | psql` makes of it: what every other way is held to.

use crate::kit::*;
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use test_kit::Postgres;
use test_kit::likeness::{content, ensure_alike, state};

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

    /// Nothing of ours is used to restore it.
    pub fn ensure_psql_reads(&self, file: &Path, what: &str) -> Result<()> {
        self.server.psql("postgres", "drop database if exists unpacked")?;
        by_psql(&self.server, "unpacked", file)?;
        self.ensure_wanted("unpacked", &format!("gunzip | psql of {what}"))
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
        let what = format!("{what}, loaded with {options:?}, from a pipe: {piped}");
        let out = done.output()?;
        ensure!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
        ensure!(out.stdout.is_empty(), "{what}: something on standard output");
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

    /// All ways, those after one that fails, too: they show where to look.
    pub fn goes_every_way(&self) -> Result<()> {
        let mut failed = Vec::new();
        let mut note = |way: Result<()>| failed.extend(way.err().map(|error| format!("{error:#}")));
        for jobs in [&["--jobs", "1"], &["--jobs", "4"]] {
            let (file, what) = (self.dump(jobs)?, format!("our dump with {jobs:?}"));
            note(self.ensure_psql_reads(&file, &what));
            for piped in [false, true] {
                let loaded = self.ensure_loads(&file, jobs, piped, &what);
                note(loaded.and_then(|()| self.ensure_same_state(&what)));
            }
        }
        self.server.psql("postgres", "drop database if exists copy")?;
        for (jobs, piped) in [("1", false), ("4", false), ("4", true)] {
            note(self.ensure_loads(&self.plain, &["--jobs", jobs], piped, "pg_dump | gzip"));
        }
        ensure!(failed.is_empty(), "{}", failed.join("\n"));
        Ok(())
    }
}
