//! The end of a drill: its report, what its record has of it, and what is printed.

use crate::deadline::Deadline;
use crate::report::Reports;
use crate::results::Results;
use anyhow::{Context, Result};
use bundle_format::report::{DrillReport, DrillResult};
use pipe_kit::mutex::lock;
use pipe_kit::{Exit, warning};
use run_events::Record;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What a drill comes to in the end, shared with the signal thread.
pub struct End {
    results: Arc<Results>,
    /// None: a part of a drill is neither recorded nor reported.
    record: Option<Arc<Record>>,
    reports: Reports,
    deadline: Deadline,
    /// The report, and where it was written.
    written: Mutex<Option<(DrillReport, Option<PathBuf>)>>,
}

impl End {
    /// That of a drill that has begun.
    pub fn new(
        results: Arc<Results>,
        record: Option<Arc<Record>>,
        reports: Reports,
        deadline: Deadline,
    ) -> Self {
        Self { results, record, reports, deadline, written: Mutex::new(None) }
    }

    /// What the drill has found.
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// Writes the report, once.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn report(&self, result: DrillResult) -> Result<Option<PathBuf>> {
        let mut written = lock(&self.written);
        if let Some((_, dir)) = &*written {
            return Ok(dir.clone());
        }
        let mut report = self.results.ended(result);
        let dir = match &self.record {
            Some(record) => {
                let written = self.reports.write(&mut report).context("writing the report");
                record.change(|run| {
                    let drill = run.drill.get_or_insert_default();
                    drill.result = Some(result);
                    if let Ok(written) = &written {
                        drill.report = Some(written.dir.clone());
                        drill.newest_report = Some(written.newest.clone());
                    }
                });
                Some(written?.dir)
            }
            None => None,
        };
        *written = Some((report, dir.clone()));
        Ok(dir)
    }

    /// After a signal: nobody else reports it.
    pub fn interrupted(&self) {
        if self.deadline.is_over() {
            let expected = format!("at most {}", self.deadline.words());
            self.results.failed("time of the drill", expected, "ended before it was complete");
        }
        if let Err(error) = self.report(DrillResult::Interrupted) {
            warning!("{error:#}");
        }
    }

    /// Prints the report, or where it is.
    ///
    /// # Errors
    /// If it cannot be printed.
    pub fn print(&self, dir: Option<&Path>, json: bool, result: DrillResult) -> Result<()> {
        let written = lock(&self.written);
        let text = match (json, &*written, dir) {
            (true, Some((report, _)), _) => serde_json::to_string(report)? + "\n",
            (false, _, Some(dir)) => format!("{}\n", dir.display()),
            _ => return Ok(()),
        };
        pipe_kit::output::print(&text)
            .with_context(|| format!("the drill's result ({}) was not printed", result.word()))
    }
}

/// The exit status of a drill with this result.
pub fn exit_of(result: DrillResult) -> Exit {
    match result {
        DrillResult::Passed => Exit::Done,
        DrillResult::Finding | DrillResult::Failed | DrillResult::Interrupted => Exit::Failed,
        DrillResult::Damaged => Exit::Damaged,
        DrillResult::Refused => Exit::Refused,
    }
}
