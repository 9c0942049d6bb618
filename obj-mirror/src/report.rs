//! What a run tells at its end.

use crate::object::Failure;
use crate::object::key::printable;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::store::Store;
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop, say};
use serde::Serialize;
use std::time::Instant;

/// So many objects in a row failed for passing reasons that the storage is taken to be down: each took
/// seconds of trying again, and a bucket may have millions.
const TOO_MANY: usize = 64;

/// What a run did.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// `pull` or `push`
    pub direction: &'static str,
    /// Objects of the source, those that failed included.
    pub objects: u64,
    /// Objects sent.
    pub transferred: u64,
    /// Bytes of the objects sent.
    pub bytes: u64,
    /// Objects that were there already.
    pub unchanged: u64,
    /// Objects that were linked from another mirror (`--link-dest`).
    pub linked: u64,
    /// Objects that went away between the listing and the reading.
    pub vanished: u64,
    /// What was deleted at the destination.
    pub deleted: u64,
    /// What could not be done.
    pub failed: Vec<Failure>,
    /// What is damaged or missing at the source and was left out as asked for (`--skip-damaged`).
    pub left_out: Vec<Failure>,
    #[serde(skip)]
    skip_damaged: bool,
    /// How long it took, seconds.
    pub seconds: f64,
    #[serde(skip)]
    in_a_row: usize,
    #[serde(skip)]
    begun: Instant,
}

impl Summary {
    /// A run that has done nothing yet.
    #[must_use]
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

    /// Takes what the source cannot give: failed, or left out where that was asked for.
    pub fn take_unsendable(&mut self, failures: Vec<Failure>, skip_damaged: bool) {
        self.skip_damaged = skip_damaged;
        *(if skip_damaged { &mut self.left_out } else { &mut self.failed }) = failures;
    }

    /// Notes that an object was sent.
    pub fn sent(&mut self, bytes: u64) {
        self.transferred += 1;
        self.bytes += bytes;
        self.in_a_row = 0;
    }

    /// Notes a failed object.
    ///
    /// # Errors
    /// If every other object would fail in the same way: the run is over.
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

    /// Tells it all: failures each by name, counts, JSON where asked for.
    ///
    /// # Errors
    /// [`Stop::incomplete`] if anything failed; if standard output cannot be written.
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
        say!(
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

/// What a dry run would do. As text it is printed as it comes, however long it gets.
#[derive(Debug, Default, Serialize)]
pub struct DryRun {
    /// The actions, for JSON.
    plan: Vec<Action>,
    /// What would fail.
    failed: Vec<Failure>,
    #[serde(skip)]
    json: bool,
    #[serde(skip)]
    text: String,
}

/// One action of a dry run.
#[derive(Debug, Serialize)]
struct Action {
    /// `download`, `link`, `upload` or `delete`
    action: &'static str,
    /// The key; for a local file that is deleted, its path.
    key: String,
}

impl DryRun {
    /// A plan with nothing in it.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    /// Adds an action.
    ///
    /// # Errors
    /// If standard output cannot be written.
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

    /// Prints the rest, and what would fail.
    ///
    /// # Errors
    /// [`Stop::incomplete`] if something would fail; if standard output cannot be written.
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

/// Prints a report as one line of JSON.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_json(report: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(report).context("writing the report")?;
    pipe_kit::output::print(&(text + "\n"))
}
