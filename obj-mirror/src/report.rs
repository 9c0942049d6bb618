//! The result of a run: summary, plan of a dry run, JSON.

use crate::object::Failure;
use crate::object::key::printable;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::store::Store;
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop, info};
use serde::Serialize;
use std::time::Instant;

/// After this many transient failures in a row, the storage counts as down: each has taken seconds of
/// retries, and a bucket may have millions of objects.
const TOO_MANY: usize = 64;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// `pull` or `push`
    pub direction: &'static str,
    /// Objects of the source, including failed ones.
    pub objects: u64,
    pub transferred: u64,
    /// Bytes of the transferred objects.
    pub bytes: u64,
    pub unchanged: u64,
    /// Objects linked from another mirror (`--link-dest`).
    pub linked: u64,
    /// Objects that were deleted between listing and reading.
    pub vanished: u64,
    /// What was deleted at the destination.
    pub deleted: u64,
    pub failed: Vec<Failure>,
    /// Objects that are damaged or missing at the source (`--skip-damaged`).
    pub left_out: Vec<Failure>,
    #[serde(skip)]
    skip_damaged: bool,
    pub seconds: f64,
    #[serde(skip)]
    in_a_row: usize,
    #[serde(skip)]
    begun: Instant,
}

impl Summary {
    pub fn new(direction: &'static str) -> Self {
        Self {
            direction,
            objects: 0,
            transferred: 0,
            bytes: 0,
            unchanged: 0,
            linked: 0,
            vanished: 0,
            deleted: 0,
            failed: Vec::new(),
            left_out: Vec::new(),
            skip_damaged: false,
            seconds: 0.0,
            in_a_row: 0,
            begun: Instant::now(),
        }
    }

    /// Whether objects that the source cannot give are left out.
    pub fn skipping_damaged(mut self, skips: bool) -> Self {
        self.skip_damaged = skips;
        self
    }

    /// Takes objects that the source cannot give.
    pub fn take_unsendable(&mut self, failures: Vec<Failure>) {
        let list = if self.skip_damaged { &mut self.left_out } else { &mut self.failed };
        list.extend(failures);
    }

    /// Records a transferred object.
    pub fn sent(&mut self, bytes: u64) {
        self.transferred += 1;
        self.bytes += bytes;
        self.in_a_row = 0;
    }

    /// Records a failed object. An error if every other object would fail, too: the run is over.
    pub fn fail(&mut self, store: &Store, key: String, error: StoreError) -> Result<()> {
        self.in_a_row = if error.is_transient() { self.in_a_row + 1 } else { 0 };
        if error.is_fatal() || self.in_a_row == TOO_MANY {
            return Err(store.fatal(&error).context(format!(
                "stopped after {} objects transferred and {} deleted; run it again to continue",
                self.transferred, self.deleted
            )));
        }
        let left_out = self.skip_damaged && error.kind == Kind::Damaged;
        let list = if left_out { &mut self.left_out } else { &mut self.failed };
        list.push(Failure { key, reason: error.message });
        Ok(())
    }

    /// Prints failures, counts, and with `json` the summary.
    ///
    /// # Errors
    /// [`Stop::incomplete`] if anything failed.
    pub fn finish(mut self, json: bool, after: &str) -> Result<Exit> {
        self.seconds = (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let failed = self.failed.iter().map(|f| ("failed", f));
        for (how, failure) in failed.chain(self.left_out.iter().map(|f| ("left out", f))) {
            pipe_kit::log::line(format_args!(
                "{how}: {}: {}",
                printable(&failure.key),
                failure.reason
            ));
        }
        let left_out = match self.left_out.len() {
            0 => String::new(),
            n => format!(", {n} left out"),
        };
        let linked = match self.linked {
            0 => String::new(),
            n => format!("{n} linked, "),
        };
        info!(
            "{}: {} objects, {} transferred ({} bytes), {linked}{} unchanged, {} vanished, {} deleted, {} failed{left_out}",
            self.direction,
            self.objects,
            self.transferred,
            self.bytes,
            self.unchanged,
            self.vanished,
            self.deleted,
            self.failed.len()
        );
        if json {
            print_json(&self)?;
        }
        match (self.failed.len(), self.left_out.len()) {
            (0, 0) => Ok(Exit::Done),
            (0, n) => Err(Stop::incomplete(format!(
                "{n} damaged or missing and left out, each named above; the other objects are in place"
            ))
            .into()),
            (n, _) => Err(Stop::incomplete(format!(
                "{n} failed{left_out}, each named above; {after}"
            ))
            .into()),
        }
    }
}

/// The plan of a dry run. As text it is printed as it grows.
#[derive(Debug, Default, Serialize)]
pub struct DryRun {
    /// Only for JSON.
    plan: Vec<Action>,
    failed: Vec<Failure>,
    #[serde(skip)]
    json: bool,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct Action {
    /// `download`, `link`, `upload` or `delete`
    action: &'static str,
    /// The key; for a local file that is deleted, its path.
    key: String,
}

impl DryRun {
    pub fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    pub fn add(&mut self, action: &'static str, key: &str) -> Result<()> {
        if self.json {
            self.plan.push(Action { action, key: key.to_owned() });
            return Ok(());
        }
        self.text.push_str(&format!("{action} {}\n", printable(key)));
        if self.text.len() < 64 * 1024 {
            return Ok(());
        }
        pipe_kit::output::print(&std::mem::take(&mut self.text))
    }

    /// Prints the rest, and the objects that would fail.
    ///
    /// # Errors
    /// [`Stop::incomplete`] if anything would fail.
    pub fn finish(mut self, failed: Vec<Failure>) -> Result<Exit> {
        self.failed = failed;
        match self.json {
            true => print_json(&self)?,
            false => pipe_kit::output::print(&self.text)?,
        }
        for failure in &self.failed {
            pipe_kit::log::line(format_args!(
                "would fail: {}: {}",
                printable(&failure.key),
                failure.reason
            ));
        }
        match self.failed.len() {
            0 => Ok(Exit::Done),
            n => Err(Stop::incomplete(format!(
                "{n} would fail, each named above, and nothing would be deleted; nothing was changed"
            ))
            .into()),
        }
    }
}

pub fn print_json(report: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(report).context("writing the report")?;
    pipe_kit::output::print(&(text + "\n"))
}
