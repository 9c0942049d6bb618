//! The reports of drills: a minimal version, of `report.json` alone.

use anyhow::{Context, Result};
use bundle_format::report::{DrillReport, PreviousDrill};
use pipe_kit::text::hex;
use pipe_kit::warning;
use sha2::{Digest, Sha256};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// `DEPLOY/.drills`
pub struct Reports {
    dir: PathBuf,
}

/// What a check of all reports found.
pub struct ChainReport {
    /// What is wrong, a line each.
    pub lines: Vec<String>,
    /// Number of reports.
    pub reports: usize,
}

impl ChainReport {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.lines.is_empty()
    }
}

impl Reports {
    /// The reports of a deployment.
    pub fn open(deploy: &Path) -> Self {
        Self { dir: deploy.join(".drills") }
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("drill_")).collect();
        names.sort();
        names
    }

    /// Oldest first.
    ///
    /// # Errors
    /// None.
    pub fn history(&self) -> Result<Vec<DrillReport>> {
        let read = |name: &String| {
            let path = self.dir.join(name).join("report.json");
            let read = std::fs::read(&path).map_err(anyhow::Error::from);
            let report = read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
            report.inspect_err(|error| warning!("{}: {error:#}", path.display())).ok()
        };
        Ok(self.names().iter().filter_map(read).collect())
    }

    /// The newest.
    ///
    /// # Errors
    /// None.
    pub fn last(&self) -> Result<Option<DrillReport>> {
        Ok(self.history()?.pop())
    }

    /// Writes a report.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, report: &mut DrillReport) -> Result<PathBuf> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        report.previous = match self.last()? {
            Some(last) => {
                let bytes = std::fs::read(self.dir.join(&last.drill).join("report.json"))?;
                Some(PreviousDrill { drill: last.drill, sha256: hex(&Sha256::digest(bytes)) })
            }
            None => None,
        };
        let mut at = report.started;
        report.drill = loop {
            let name = at.format("drill_%Y%m%dT%H%M%SZ").to_string();
            if !self.dir.join(&name).exists() {
                break name;
            }
            at += chrono::TimeDelta::seconds(1);
        };
        let partial = self.dir.join(".partial");
        let _ = std::fs::remove_dir_all(&partial);
        DirBuilder::new().mode(0o700).create(&partial)?;
        std::fs::write(partial.join("report.json"), serde_json::to_string_pretty(report)?)?;
        let dir = self.dir.join(&report.drill);
        std::fs::rename(&partial, &dir).with_context(|| format!("writing {}", dir.display()))?;
        Ok(dir)
    }

    /// Follows the chain.
    ///
    /// # Errors
    /// If a report cannot be read.
    pub fn verify(&self) -> Result<ChainReport> {
        let history = self.history()?;
        let mut lines = Vec::new();
        for report in &history {
            let Some(previous) = &report.previous else { continue };
            let bytes = std::fs::read(self.dir.join(&previous.drill).join("report.json"));
            match bytes.map(|bytes| hex(&Sha256::digest(bytes))) {
                Err(_) => lines.push(format!("{} is missing", previous.drill)),
                Ok(hash) if hash != previous.sha256 => {
                    lines.push(format!("{} was changed", previous.drill));
                }
                Ok(_) => {}
            }
        }
        Ok(ChainReport { lines, reports: history.len() })
    }
}
