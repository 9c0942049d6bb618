//! The files that a load writes before the swap.

use super::omitted::{self, Omitted};
use anyhow::{Context, Error, Result, anyhow};
use bundle_format::report::LoadRecord;
use pipe_kit::atomic::{AtomicFile, directory_of, sync_directory};
use pipe_kit::{Stop, warning};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The files that a load writes beside the database. A load that cannot write one does not replace the database.
#[derive(Debug, clap::Args)]
pub struct OutputFiles {
    /// Write the statements of the omitted objects to this file [default: .restore/left-out.sql of
    /// PIPRIO_DEPLOY, where that is set]
    #[arg(long, value_name = "FILE")]
    pub left_out: Option<PathBuf>,
    /// Before the loaded database replaces the old one, write its oid and the number of omitted
    /// objects to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// What has become of the statements of omitted objects.
pub enum Statements {
    /// There are none.
    Nothing,
    Written(PathBuf),
    /// With the reason.
    NotWritten(Error),
}

impl Statements {
    /// Says that they are not written. What was evaluated again after the swap is not left out any more, so that this comes
    /// last.
    pub fn warn(&self, omitted: &[Omitted]) {
        if let Self::NotWritten(error) = self
            && !omitted.is_empty()
        {
            warning!("the statements of the objects named above are not written: {error:#}");
        }
    }
}

/// Without an option, the deployment's file gets them, and what it holds of another load stays where nothing is left out.
/// Nobody has asked for it, so the load does not depend on it.
fn write_of_deployment(database: &str, omitted: &[Omitted]) -> Statements {
    let deployment = std::env::var_os("PIPRIO_DEPLOY").filter(|dir| !dir.is_empty());
    let Some(deployment) = deployment.filter(|_| !omitted.is_empty()) else {
        return Statements::Nothing;
    };
    let dir = Path::new(&deployment).join(".restore");
    let path = dir.join("left-out.sql");
    if omitted::is_of_other(&path, database) {
        return Statements::NotWritten(anyhow!(
            "{} holds those of another database; --left-out FILE names another file",
            path.display()
        ));
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    let written = made
        .with_context(|| format!("creating {}", dir.display()))
        .and_then(|()| omitted::write(&path, database, omitted));
    match written {
        Ok(()) => Statements::Written(path),
        Err(error) => Statements::NotWritten(error),
    }
}

impl OutputFiles {
    /// They are written, so they must not be the dump; and one that cannot be written is better found before the
    /// load than after it.
    pub fn check(&self, dump: &Path) -> Result<()> {
        for (option, path) in [("--left-out", &self.left_out), ("--record", &self.record)] {
            let Some(path) = path else { continue };
            let same = std::fs::canonicalize(path).ok();
            if same.is_some() && same == std::fs::canonicalize(dump).ok() {
                return Err(Stop::usage(format!("{option} names the dump itself")).into());
            }
            AtomicFile::create(path)
                .with_context(|| format!("{option} cannot be written; nothing was changed"))?;
        }
        Ok(())
    }

    /// Runs before the swap, so that a crash in between does not lose them. If they cannot be written, there is
    /// no swap: nobody would know what the new database lacks.
    pub fn write_omitted(&self, database: &str, omitted: &[Omitted]) -> Result<Statements> {
        let Some(path) = &self.left_out else { return Ok(write_of_deployment(database, omitted)) };
        if omitted.is_empty() {
            if let Err(error) = omitted::remove(path) {
                warning!("cannot remove what an earlier load left out: {error:#}");
            }
            return Ok(Statements::Nothing);
        }
        omitted::write(path, database, omitted).context(
            "the statements of the objects named above cannot be written, so the loaded database is not put in \
             place; make room for them, or give another file (--left-out), and load again",
        )?;
        Ok(Statements::Written(path.clone()))
    }

    /// Runs before the swap, so that whoever finds a database in place knows whether it is the loaded one, and
    /// what it lacks, even if this process does not learn that the swap took place.
    pub fn write_record(&self, record: LoadRecord) -> Result<()> {
        self.replace_record(record).context(
            "the loaded database cannot be recorded, so it is not put in place; make room for the file, and load \
             again",
        )
    }

    fn replace_record(&self, record: LoadRecord) -> Result<()> {
        let Some(path) = &self.record else { return Ok(()) };
        let mut file = AtomicFile::create(path)?;
        serde_json::to_writer(&mut file, &record)
            .with_context(|| format!("writing {}", path.display()))?;
        file.commit()?;
        sync_directory(directory_of(path))
    }

    /// Runs after the swap, where less is left out than was written before it.
    pub fn correct(
        &self,
        database: &str,
        record: LoadRecord,
        statements: &Statements,
        omitted: &[Omitted],
    ) {
        let statements = match statements {
            Statements::Written(path) if omitted.is_empty() => omitted::remove(path),
            Statements::Written(path) => omitted::write(path, database, omitted),
            Statements::Nothing | Statements::NotWritten(_) => Ok(()),
        };
        let record = LoadRecord { left_out: omitted.len(), ..record };
        if let Err(error) = statements.and_then(|()| self.replace_record(record)) {
            warning!("what was left out is less than what was written: {error:#}");
        }
    }
}
