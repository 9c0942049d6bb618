//! `restic backup` of one bundle.

use crate::place::restic::Repository;
use crate::place::restic::access::PROGRAM;
use anyhow::{Context, Result, anyhow};
use bundle_format::BundleName;
use pipe_kit::progress::{self, Bar};
use pipe_kit::{Stop, child, warning};
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Stdio};

/// The status of restic if a file could not be read: there is a snapshot without it.
const WITHOUT_SOME_FILES: i32 = 3;

/// A line of its report.
#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "lowercase")]
enum Line {
    Status {
        #[serde(default)]
        total_bytes: u64,
        #[serde(default)]
        bytes_done: u64,
    },
    Summary {
        data_added: u64,
        /// As it is stored; older versions do not print it.
        data_added_packed: Option<u64>,
        snapshot_id: String,
    },
    #[serde(other)]
    Other,
}

/// The end of its report.
struct Summary {
    added: u64,
    snapshot: String,
}

impl Repository {
    /// Stores a bundle as a snapshot with these tags. Returns how many bytes that has added.
    ///
    /// # Errors
    /// If it is not stored whole; then there is no snapshot of it.
    pub fn backup(&self, bundle: &Path, name: &BundleName, tags: &str) -> Result<u64> {
        let rate = self.kib_per_second().map(|rate| format!("--limit-upload={rate}"));
        let time = name.taken().format("%Y-%m-%d %H:%M:%S").to_string();
        // Reads every file: an earlier snapshot with files of the same sizes and times proves nothing.
        let mut arguments = vec!["backup", "--json", "--force", "--time", &time, "--tag", tags];
        arguments.extend(rate.as_deref());
        arguments.push(name.as_str());
        let mut command = self.access.command(&arguments)?;
        command.current_dir(bundle.parent().unwrap_or(bundle)).stdout(Stdio::piped());
        let mut running = child::spawn_captured(&mut command, PROGRAM)?;
        let stdout = running.take_stdout().context("a pipe")?;
        let bar = progress::bytes(None, "restic");
        let summary = read(stdout, &bar);
        bar.finish_and_clear();
        let finished = running.finish()?;
        let code = finished.status.code();
        let ended = self.ended(finished);
        match (ended, summary) {
            (Ok(()), Some(summary)) => Ok(summary.added),
            (Ok(()), None) => Err(anyhow!("restic backup has printed no summary")),
            (Err(error), Some(summary)) if code == Some(WITHOUT_SOME_FILES) => {
                if let Err(error) = self.run(&["forget", &summary.snapshot]) {
                    let id = &summary.snapshot;
                    warning!(
                        "the snapshot {id} lacks files and is not removed: {error:#}; remove it: restic forget {id}"
                    );
                }
                Err(Stop::damaged(format!("{error:#}")).into())
            }
            (Err(error), _) => Err(error),
        }
    }
}

fn read(stdout: ChildStdout, bar: &Bar) -> Option<Summary> {
    let mut summary = None;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Line::Status { total_bytes, bytes_done }) if total_bytes > 0 => {
                progress::set_total(bar, total_bytes);
                bar.set_position(bytes_done);
            }
            Ok(Line::Summary { data_added, data_added_packed, snapshot_id }) => {
                let added = data_added_packed.unwrap_or(data_added);
                summary = Some(Summary { added, snapshot: snapshot_id });
            }
            _ => {}
        }
    }
    summary
}
