//! What became of each bundle at each destination, for the report and for the record of the run.

use crate::place::Destination;
use crate::waits::Waits;
use anyhow::Result;
use bundle_format::report::{DestinationRecord, RunRecord};
use chrono::{SubsecRound, Utc};
use pipe_kit::mutex::lock;
use pipe_kit::{Exit, Stop, status, text, warning};
use run_events::Record;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What became of one bundle at one destination.
#[derive(Clone, Debug, Serialize)]
struct Outcome {
    bundle: String,
    destination: String,
    /// `sent`, `present` or `failed`
    outcome: &'static str,
    /// What was sent, in bytes.
    bytes: Option<u64>,
    error: Option<String>,
    /// The status of the failure.
    #[serde(skip)]
    exit: Option<Exit>,
}

/// The outcomes of a run, shared with the thread that ends one that takes too long.
pub struct Outcomes {
    state: Mutex<State>,
    run: Arc<Record>,
    /// The destinations, and how long each was waited for.
    destinations: Vec<(String, Waits)>,
    /// The names of the bundles that are to be sent.
    bundles: Vec<String>,
}

struct State {
    outcomes: Vec<Outcome>,
    /// By destination, in their order.
    records: Vec<DestinationRecord>,
    /// Why the run was ended, if it took too long. Nothing is noted after that.
    overdue: Option<String>,
}

/// How an attempt ended.
pub enum Attempt {
    /// The destination had the bundle already.
    Present,
    /// So many bytes were sent.
    Sent(u64, Duration),
    Failed(anyhow::Error, Duration),
}

impl Outcomes {
    /// Before the first attempt. What succeeded before this run is taken over from the record of the run before it.
    pub fn begin(
        run: Arc<Record>,
        previous: Option<&RunRecord>,
        destinations: &[Destination],
        bundles: &[PathBuf],
    ) -> Self {
        let before = previous.map(|run| &run.destinations[..]).unwrap_or_default();
        let records = destinations.iter().map(|destination| DestinationRecord {
            destination: destination.name.clone(),
            status: None,
            seconds: None,
            bytes: None,
            last_success: before
                .iter()
                .find(|record| record.destination == destination.name)
                .and_then(|record| record.last_success),
        });
        let state = State { outcomes: Vec::new(), records: records.collect(), overdue: None };
        let shown = destinations.iter().map(|one| (one.to_string(), Waits::default())).collect();
        let names = bundles.iter().filter_map(|path| path.file_name());
        let bundles = names.map(|name| name.to_string_lossy().into_owned()).collect();
        let outcomes = Self { state: Mutex::new(state), run, destinations: shown, bundles };
        outcomes.write(&lock(&outcomes.state));
        outcomes
    }

    /// The time that is spent waiting for a destination.
    pub fn waits(&self, destination: &Destination) -> Waits {
        let shown = destination.to_string();
        let found = self.destinations.iter().find(|(name, _)| *name == shown);
        found.map(|(_, waits)| waits.clone()).unwrap_or_default()
    }

    /// Notes an attempt. A failure counts for the destination, whatever comes after it.
    pub fn note(&self, destination: &Destination, bundle: &str, attempt: Attempt) {
        let mut state = lock(&self.state);
        if state.overdue.is_some() {
            return;
        }
        let (outcome, bytes, took, error) = match attempt {
            Attempt::Present => ("present", None, Duration::ZERO, None),
            Attempt::Sent(bytes, took) => ("sent", Some(bytes), took, None),
            Attempt::Failed(error, took) => ("failed", None, took, Some(error)),
        };
        let record = state.records.iter_mut().find(|r| r.destination == destination.name);
        if let Some(record) = record {
            let seconds = record.seconds.unwrap_or_default() + took.as_secs_f64();
            record.seconds = Some((seconds * 1000.0).round() / 1000.0);
            record.bytes = Some(record.bytes.unwrap_or_default() + bytes.unwrap_or_default());
            record.status = record.status.or(error.as_ref().map(|error| status::of(error).code()));
        }
        let exit = error.as_ref().map(status::of);
        let error = error.map(|error| status::one_line(&error));
        let words = error
            .as_ref()
            .map(|error| format!("{bundle} was not copied to {destination}: {error}"));
        let (bundle, destination) = (bundle.to_owned(), destination.to_string());
        state.outcomes.push(Outcome { bundle, destination, outcome, bytes, error, exit });
        self.write(&state);
        // A message that nobody reads may block, and must not block the end of a run that takes too long.
        drop(state);
        if let Some(words) = words {
            warning!("{words}");
        }
    }

    /// All attempts were made, or the run has failed.
    pub fn end(&self, sent: &Result<Exit>) {
        let mut state = lock(&self.state);
        if state.overdue.is_some() {
            return;
        }
        // A destination that failed has its own status; what failed for all of them is that of the others.
        let exit = sent.as_ref().map_or_else(status::of, |exit| *exit);
        let exit = if exit == Exit::Incomplete { Exit::Done } else { exit };
        state.end(exit);
        self.write(&state);
    }

    /// The run has taken too long, and is ended now: what was not sent to a destination by now has failed. Returns the
    /// status of the run.
    pub fn end_overdue(&self, limit: &str) -> Exit {
        let mut state = lock(&self.state);
        let mut incomplete = Vec::new();
        let mut warnings = Vec::new();
        for (at, (destination, waits)) in self.destinations.iter().enumerate() {
            let has_failed = state.records[at].status.is_some_and(|status| status != 0);
            let is_of = |outcome: &&Outcome| outcome.destination == *destination;
            let known: Vec<&str> =
                state.outcomes.iter().filter(is_of).map(|one| one.bundle.as_str()).collect();
            let missing = self.bundles.iter().filter(|name| !known.contains(&name.as_str()));
            let missing: Vec<String> = missing.cloned().collect();
            if has_failed || !missing.is_empty() {
                incomplete.push(destination.as_str());
            }
            let Some(first) = missing.first() else { continue };
            let waited = text::age(waits.total().as_secs().cast_signed());
            let why =
                format!("not ended within {limit}; {waited} of that were spent waiting for it");
            let more = if missing.len() > 1 { ", and older bundles," } else { "" };
            warnings.push(format!("{first}{more} was not copied to {destination}: {why}"));
            state.records[at].status.get_or_insert(Exit::Failed.code());
            state.outcomes.extend(missing.into_iter().map(|bundle| Outcome {
                bundle,
                destination: destination.clone(),
                outcome: "failed",
                bytes: None,
                error: Some(why.clone()),
                exit: Some(Exit::Failed),
            }));
        }
        let what = match &incomplete[..] {
            [] => self.unpruned(),
            some => format!("not complete: {}", some.join(", ")),
        };
        state.end(Exit::Done);
        state.overdue = Some(format!("not ended within {limit}; {what}"));
        self.write(&state);
        let verdict = state.verdict();
        drop(state);
        warnings.push(format!("the shipment has not ended within {limit}, and is ended; {what}"));
        for words in warnings {
            warning!("{words}");
        }
        match verdict {
            // What came after the copies.
            Ok(_) => Exit::Incomplete,
            Err(error) => status::of(&error),
        }
    }

    /// What is not done once all copies are complete.
    fn unpruned(&self) -> String {
        let waited_for: Vec<&str> = self
            .destinations
            .iter()
            .filter(|(_, waits)| waits.is_waiting())
            .map(|(destination, _)| destination.as_str())
            .collect();
        let at = if waited_for.is_empty() {
            String::new()
        } else {
            format!(" at {}", waited_for.join(", "))
        };
        format!("all copies are complete, and old ones{at} may not be removed")
    }

    /// Why the run was ended, if it took too long.
    pub fn overdue(&self) -> Option<String> {
        lock(&self.state).overdue.clone()
    }

    /// Whether a destination has all that was to be sent there, once the attempts have ended.
    pub fn is_complete(&self, destination: &Destination) -> bool {
        let is_done = |record: &DestinationRecord| record.status == Some(0);
        let state = lock(&self.state);
        state.records.iter().any(|r| r.destination == destination.name && is_done(r))
    }

    /// Whether all attempts succeeded.
    ///
    /// # Errors
    /// [`Stop::incomplete`] if some failed.
    pub fn verdict(&self) -> Result<Exit> {
        lock(&self.state).verdict()
    }

    /// Prints the outcomes as JSON.
    pub fn print(&self) -> Result<()> {
        let text = serde_json::to_string(&lock(&self.state).outcomes)?;
        pipe_kit::output::print(&(text + "\n"))
    }

    fn write(&self, state: &State) {
        self.run.change(|run| run.destinations.clone_from(&state.records));
    }
}

impl State {
    /// Those without a status have this one.
    fn end(&mut self, exit: Exit) {
        let now = Utc::now().trunc_subsecs(0);
        for record in &mut self.records {
            let status = *record.status.get_or_insert(exit.code());
            if status == 0 {
                record.last_success = Some(now);
            }
        }
    }

    fn verdict(&self) -> Result<Exit> {
        let failed = self.outcomes.iter().filter(|outcome| outcome.outcome == "failed").count();
        match failed {
            0 => Ok(Exit::Done),
            n if n == self.outcomes.len() => {
                let what = "nothing was copied; the causes are named above";
                Err(Stop::with_exit(self.common_status(), what).into())
            }
            n => {
                let failed = if n == 1 { "1 copy".to_owned() } else { format!("{n} copies") };
                let what = format!("{failed} failed, named above; the others are complete");
                Err(Stop::incomplete(what).into())
            }
        }
    }

    /// The status of the failures, if all have the same.
    fn common_status(&self) -> Exit {
        let mut failures = self.outcomes.iter().filter_map(|outcome| outcome.exit);
        let first = failures.next().unwrap_or(Exit::Failed);
        if failures.all(|exit| exit == first) { first } else { Exit::Failed }
    }
}
