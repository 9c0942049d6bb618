//! The record of a run: `DEPLOY/.restore/last-drill.json`.

use crate::results::rounded;
use crate::step::Step;
use anyhow::{Context, Result};
use bundle_format::report::{DrillLevel, DrillResult};
use chrono::{SecondsFormat, Utc};
use pipe_kit::mutex::lock;
use pipe_kit::{cleanup, warning};
use serde::Serialize;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// What is recorded. A run that was killed has neither an end nor a status.
#[derive(Clone, Debug, Serialize)]
struct Run {
    /// RFC 3339, UTC.
    started: String,
    ended: Option<String>,
    /// The exit status.
    status: Option<u8>,
    result: Option<DrillResult>,
    level: DrillLevel,
    bundle: PathBuf,
    /// The report's directory, once it is written.
    report: Option<PathBuf>,
    /// The recovery time, once it is known.
    rto_seconds: Option<f64>,
    stages: Vec<StageRun>,
}

/// A step that has ended, or is running.
#[derive(Clone, Debug, Serialize)]
struct StageRun {
    stage: &'static str,
    seconds: Option<f64>,
    /// The exit status that the step alone would give the run.
    status: Option<u8>,
}

/// The one writer of the record, shared between the sequence and the signal thread.
pub struct Record {
    /// None: a part of a drill is not recorded.
    file: Option<PathBuf>,
    run: Mutex<Run>,
}

impl Record {
    /// A run that begins.
    pub fn begin(file: Option<PathBuf>, bundle: &Path, level: DrillLevel) -> Self {
        let run = Run {
            started: now(),
            ended: None,
            status: None,
            result: None,
            level,
            bundle: bundle.to_owned(),
            report: None,
            rto_seconds: None,
            stages: Vec::new(),
        };
        let record = Self { file, run: Mutex::new(run) };
        record.write();
        record
    }

    /// A step begins.
    pub fn begin_step(&self, step: Step) {
        lock(&self.run).stages.push(StageRun { stage: step.name(), seconds: None, status: None });
        self.write();
    }

    /// The last step that has begun has ended.
    pub fn end_step(&self, took: Duration, status: u8) {
        if let Some(stage) = lock(&self.run).stages.last_mut() {
            stage.seconds = Some(rounded(took));
            stage.status = Some(status);
        }
        self.write();
    }

    /// The report is written.
    pub fn reported(&self, dir: &Path) {
        lock(&self.run).report = Some(dir.to_owned());
    }

    /// The recovery time is known.
    pub fn recovered(&self, seconds: f64) {
        lock(&self.run).rto_seconds = Some(seconds);
    }

    /// The run has ended.
    pub fn end(&self, result: DrillResult, status: u8) {
        {
            let mut run = lock(&self.run);
            run.ended = Some(now());
            run.result = Some(result);
            run.status = Some(status);
        }
        self.write();
    }

    /// A record that cannot be written is no reason to stop a drill. The lock of that directory is a backup's, so the
    /// name beside it is always the same: what a killed drill leaves, the next one replaces.
    fn write(&self) {
        let Some(path) = &self.file else { return };
        let beside = path.with_file_name(".last-drill.json.new");
        let write = || -> Result<()> {
            let text = serde_json::to_string(&*lock(&self.run))? + "\n";
            if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
                DirBuilder::new().mode(0o700).create(dir).context("creating its directory")?;
            }
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, path).map_err(Into::into)
        };
        if let Err(error) = write().with_context(|| format!("writing {}", path.display()))
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
    fn a_run_is_on_disk_from_its_begin_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".restore/last-drill.json");
        let read = || -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
        };
        let record = Record::begin(Some(file.clone()), Path::new("/b/x"), DrillLevel::Data);
        record.begin_step(Step::Load);
        assert!(read()["status"].is_null() && read()["stages"][0]["status"].is_null());
        record.end_step(Duration::from_micros(1_234_567), 1);
        record.recovered(1.2);
        record.reported(Path::new("/d/.drills/drill_x"));
        record.end(DrillResult::Finding, 1);
        let stage = serde_json::json!({"stage": "load", "seconds": 1.235, "status": 1});
        assert_eq!(read()["stages"][0], stage);
        assert_eq!((&read()["result"], &read()["status"]), (&"finding".into(), &1.into()));
        assert_eq!(read()["report"], "/d/.drills/drill_x");
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }
}
