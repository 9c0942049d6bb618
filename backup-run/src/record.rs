//! The record of a run: how far it has come, in memory and in `DEPLOY/.restore/last-backup.json`.

use crate::bundle::Bundle;
use crate::stage::Stage;
use anyhow::{Context, Result};
use chrono::{SecondsFormat, Utc};
use pipe_kit::atomic::{AtomicFile, directory_of, sync_directory};
use pipe_kit::{cleanup, warning};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is recorded. A run that was killed has neither an end nor a status.
#[derive(Clone, Debug, Serialize)]
struct Run {
    /// RFC 3339, UTC.
    started: String,
    ended: Option<String>,
    /// The exit status.
    status: Option<u8>,
    root: PathBuf,
    /// The bundle, once it has its final name.
    bundle: Option<PathBuf>,
    stages: Vec<StageRun>,
    bytes: Bytes,
}

/// A stage that has ended, or is running.
#[derive(Clone, Debug, Serialize)]
struct StageRun {
    stage: Stage,
    seconds: Option<f64>,
    /// The exit status that the stage alone would give the run.
    status: Option<u8>,
}

/// The sizes of the components in bytes, from the bundle's manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Bytes {
    database: Option<u64>,
    objects: Option<u64>,
    config: Option<u64>,
}

impl Bytes {
    fn of_manifest(text: &str) -> Self {
        let size = |component: &str| {
            let mut words = text.lines().find(|l| l.starts_with(component))?.split_whitespace();
            words.nth(1)?.parse().ok()
        };
        Self {
            database: size("database.sql.gz "),
            objects: size("minio/ "),
            config: size("config.tar.gz "),
        }
    }
}

/// The one writer of the record, shared between the sequence and the signal thread.
pub struct Record {
    file: PathBuf,
    run: Mutex<Run>,
}

impl Record {
    /// A run that begins.
    pub fn begin(file: PathBuf, bundle: &Bundle) -> Self {
        let run = Run {
            started: now(),
            ended: None,
            status: None,
            root: bundle.root.clone(),
            bundle: None,
            stages: Vec::new(),
            bytes: Bytes::default(),
        };
        let record = Self { file, run: Mutex::new(run) };
        record.write();
        record
    }

    /// A stage begins.
    pub fn begin_stage(&self, stage: Stage) {
        self.run().stages.push(StageRun { stage, seconds: None, status: None });
        self.write();
    }

    /// The last stage that has begun has ended.
    pub fn end_stage(&self, took: Duration, status: u8) {
        if let Some(stage) = self.run().stages.last_mut() {
            stage.seconds = Some((took.as_secs_f64() * 1000.0).round() / 1000.0);
            stage.status = Some(status);
        }
        self.write();
    }

    /// The last stage that has begun.
    pub fn stage(&self) -> Option<Stage> {
        self.run().stages.last().map(|stage| stage.stage)
    }

    /// The components' sizes are those of this manifest.
    pub fn read_sizes(&self, manifest: &Path) {
        let text = std::fs::read_to_string(manifest).unwrap_or_default();
        self.run().bytes = Bytes::of_manifest(&text);
    }

    /// The run has ended, with this bundle if it is published.
    pub fn end(&self, bundle: &Bundle, status: u8) {
        let mut run = self.run();
        run.ended = Some(now());
        run.status = Some(status);
        run.bundle = bundle.is_published().then(|| bundle.path.clone());
        drop(run);
        self.write();
    }

    /// As text.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(&*self.run())? + "\n")
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record that cannot be written is no reason to stop a backup.
    fn write(&self) {
        let write = || -> Result<()> {
            let text = self.json()?;
            let mut file = AtomicFile::create(&self.file)?;
            file.write_all(text.as_bytes())
                .with_context(|| format!("writing {}", self.file.display()))?;
            file.commit()?;
            sync_directory(directory_of(&self.file))
        };
        if let Err(error) = write()
            && !cleanup::is_ending()
        {
            warning!("the run is not recorded: {error:#}");
        }
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_manifests_table() {
        let text = "Bundle:    b\n\nComponent                   Bytes  Content\n\
                    database.sql.gz             12345  PostgreSQL dump (plain SQL, gzip)\n\
                    minio/                        678  3 objects\n\
                    config.tar.gz                  90  env file\n";
        let sizes = Bytes { database: Some(12345), objects: Some(678), config: Some(90) };
        assert_eq!(Bytes::of_manifest(text), sizes);
        let external = "minio/            absent (external object storage)\n";
        assert_eq!(Bytes::of_manifest(external), Bytes::default());
    }

    #[test]
    fn a_run_is_on_disk_from_its_begin_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("last-backup.json");
        let read = || -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
        };
        let bundle = Bundle::at(dir.path(), Utc::now());
        let record = Record::begin(file.clone(), &bundle);
        record.begin_stage(Stage::Database);
        assert!(read()["status"].is_null() && read()["stages"][0]["status"].is_null());
        record.end_stage(Duration::from_micros(1_234_567), 3);
        record.end(&bundle, 3);
        let stage = serde_json::json!({"stage": "database", "seconds": 1.235, "status": 3});
        assert_eq!(read()["stages"][0], stage);
        assert_eq!(read()["status"], 3);
        assert!(read()["bundle"].is_null() && read()["ended"].is_string());
        std::fs::create_dir(&bundle.path).unwrap();
        record.end(&bundle, 0);
        assert_eq!(read()["bundle"], bundle.path.to_str().unwrap());
    }
}
