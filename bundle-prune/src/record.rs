//! The record of the last run, a file in the deployment: for each root, what the next run must know.

use anyhow::{Context, Result};
use bundle_format::retention::clock::Run;
use pipe_kit::atomic::{self, AtomicFile};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

type Runs = BTreeMap<String, Run>;

/// The record of a root.
#[derive(Debug)]
pub struct Record {
    file: PathBuf,
    root: String,
    runs: Runs,
}

impl Record {
    /// Reads the record of a root. A file that does not parse counts as no record.
    pub fn read(file: PathBuf, root: &Path) -> Result<Self> {
        let root = root.to_string_lossy().into_owned();
        let text = match std::fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.with_context(|| format!("reading {}", file.display()))?,
        };
        let runs = match serde_json::from_slice(&text) {
            Ok(runs) => runs,
            Err(_) if text.is_empty() => Runs::new(),
            Err(error) => {
                pipe_kit::warning!(
                    "{} is not a record of a run ({error}); ages are taken from the bundles' names",
                    file.display()
                );
                Runs::new()
            }
        };
        Ok(Self { file, root, runs })
    }

    /// The last run on this root.
    pub fn last(&self) -> Option<&Run> {
        self.runs.get(&self.root)
    }

    /// Records this run in place of the last one.
    pub fn write(mut self, run: Run) -> Result<()> {
        self.runs.insert(self.root, run);
        let dir = atomic::directory_of(&self.file);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("creating {}", dir.display()))?;
        let mut file = AtomicFile::create(&self.file)?;
        file.write_all(serde_json::to_string(&self.runs)?.as_bytes())
            .with_context(|| format!("writing {}", self.file.display()))?;
        file.commit()?;
        atomic::sync_directory(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_run_writes_the_next_reads_root_by_root() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".restore/retention.json");
        let read = |root: &str| Record::read(file.clone(), Path::new(root)).unwrap();
        assert_eq!(read("/a").last(), None);
        let run = |at: &str| Run {
            at: at.parse().unwrap(),
            pauses: vec![86_400],
            ages: BTreeMap::from([("piprio_20260421T020000Z".to_owned(), 7)]),
        };
        read("/a").write(run("2026-04-21T02:00:00Z")).unwrap();
        read("/b").write(run("2026-04-22T02:00:00Z")).unwrap();
        assert_eq!(read("/a").last(), Some(&run("2026-04-21T02:00:00Z")));
        assert_eq!(read("/b").last(), Some(&run("2026-04-22T02:00:00Z")));
        std::fs::write(&file, "{\"/a\":").unwrap();
        assert_eq!(read("/a").last(), None);
    }
}
