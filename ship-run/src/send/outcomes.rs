//! What became of each bundle at each destination, for the report and for the record of the run.

use crate::place::Destination;
use anyhow::Result;
use bundle_format::report::{DestinationRecord, RunRecord};
use chrono::{SubsecRound, Utc};
use pipe_kit::{Exit, Stop, status, warning};
use run_events::Record;
use serde::Serialize;
use std::sync::Arc;
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

/// The outcomes of a run.
pub struct Outcomes {
    outcomes: Vec<Outcome>,
    /// By destination, in their order.
    records: Vec<DestinationRecord>,
    run: Arc<Record>,
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
        let outcomes = Self { outcomes: Vec::new(), records: records.collect(), run };
        outcomes.write();
        outcomes
    }

    /// Notes an attempt. A failure counts for the destination, whatever comes after it.
    pub fn note(&mut self, destination: &Destination, bundle: &str, attempt: Attempt) {
        let (outcome, bytes, took, error) = match attempt {
            Attempt::Present => ("present", None, Duration::ZERO, None),
            Attempt::Sent(bytes, took) => ("sent", Some(bytes), took, None),
            Attempt::Failed(error, took) => ("failed", None, took, Some(error)),
        };
        let record = self.records.iter_mut().find(|r| r.destination == destination.name);
        if let Some(record) = record {
            let seconds = record.seconds.unwrap_or_default() + took.as_secs_f64();
            record.seconds = Some((seconds * 1000.0).round() / 1000.0);
            record.bytes = Some(record.bytes.unwrap_or_default() + bytes.unwrap_or_default());
            record.status = record.status.or(error.as_ref().map(|error| status::of(error).code()));
        }
        let exit = error.as_ref().map(status::of);
        let error = error.map(|error| status::one_line(&error));
        if let Some(error) = &error {
            warning!("{bundle} was not copied to {destination}: {error}");
        }
        let (bundle, destination) = (bundle.to_owned(), destination.to_string());
        self.outcomes.push(Outcome { bundle, destination, outcome, bytes, error, exit });
        self.write();
    }

    /// All attempts were made, or the run has failed.
    pub fn end(&mut self, sent: &Result<Exit>) {
        // A destination that failed has its own status; what failed for all of them is that of the others.
        let exit = sent.as_ref().map_or_else(status::of, |exit| *exit);
        let exit = if exit == Exit::Incomplete { Exit::Done } else { exit };
        let now = Utc::now().trunc_subsecs(0);
        for record in &mut self.records {
            let status = *record.status.get_or_insert(exit.code());
            if status == 0 {
                record.last_success = Some(now);
            }
        }
        self.write();
    }

    /// Whether a destination has all that was to be sent there, once the attempts have ended.
    pub fn is_complete(&self, destination: &Destination) -> bool {
        let is_done = |record: &DestinationRecord| record.status == Some(0);
        self.records.iter().any(|r| r.destination == destination.name && is_done(r))
    }

    /// Whether all attempts succeeded.
    ///
    /// # Errors
    /// [`Stop::incomplete`] if some failed.
    pub fn verdict(&self) -> Result<Exit> {
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

    /// Prints the outcomes as JSON.
    pub fn print(&self) -> Result<()> {
        pipe_kit::output::print(&(serde_json::to_string(&self.outcomes)? + "\n"))
    }

    fn write(&self) {
        self.run.change(|run| run.destinations.clone_from(&self.records));
    }
}
