//! A push in progress: planning, comparing and uploading at the same time.

use crate::object::Failure;
use crate::push::listing::Objects;
use crate::push::plan::{Others, Planner, Rules, Step};
use crate::push::queue::Queue;
use crate::push::source::{FoundSources, Source};
use crate::push::upload::{Refused, Uploader};
use crate::report::{DryRun, Summary};
use crate::s3::concurrency::ConcurrencyLimiter;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::tasks::Task;
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// Steps that may be planned ahead.
const STEPS_AHEAD: usize = 256;

/// A plan that is being made.
pub struct Planning {
    steps: mpsc::Receiver<Step>,
    planner: JoinHandle<Result<Others>>,
}

impl Planning {
    /// Starts planning on a blocking thread: it reads the index and the directory.
    pub fn start(runtime: &Runtime, objects: FoundSources, listing: Objects, rules: Rules) -> Self {
        let (sender, steps) = mpsc::channel(STEPS_AHEAD);
        let planner = runtime.spawn_blocking(move || {
            let mut planner = Planner::new(objects, listing, rules);
            for step in planner.by_ref() {
                // If nobody receives steps, the run has ended.
                if sender.blocking_send(step?).is_err() {
                    break;
                }
            }
            Ok(planner.others)
        });
        Self { steps, planner }
    }

    async fn finish(self, summary: &mut Summary) -> Result<Others> {
        let mut others = self.planner.await.context("planning interrupted")??;
        summary.unchanged += others.keep;
        summary.take_unsendable(std::mem::take(&mut others.failures));
        Ok(others)
    }
}

/// What became of an object.
enum Outcome {
    Unchanged,
    /// It has to be uploaded.
    Changed,
    /// It has other tags.
    Retagged,
    Sent(Option<Refused>),
}

/// Takes a step.
async fn take(uploader: &Arc<Uploader>, step: &Step) -> Result<Outcome, StoreError> {
    match (step, compare(uploader, step).await?) {
        (Step::Send(source), _) => uploader.send(source).await.map(Outcome::Sent),
        (Step::CheckTags(source), Outcome::Retagged) => {
            uploader.set_tags(source).await.map(|()| Outcome::Retagged)
        }
        (_, outcome) => Ok(outcome),
    }
}

/// What a step would do, without a change.
async fn compare(uploader: &Arc<Uploader>, step: &Step) -> Result<Outcome, StoreError> {
    match step {
        Step::Send(_) => Ok(Outcome::Changed),
        Step::CheckTags(source) => match uploader.has_tags(source).await {
            Ok(true) => Ok(Outcome::Unchanged),
            Ok(false) => Ok(Outcome::Retagged),
            Err(error) if error.kind == Kind::NoKey => Ok(Outcome::Changed),
            Err(error) => Err(error),
        },
        Step::Check(source, object) => match uploader.is_uploaded(source, object).await? {
            true => Ok(Outcome::Unchanged),
            false => Ok(Outcome::Changed),
        },
    }
}

/// Takes all steps of a plan, many at a time.
pub async fn send_all(
    uploader: &Arc<Uploader>,
    mut planning: Planning,
    jobs: Option<usize>,
    summary: &mut Summary,
) -> Result<Others> {
    let mut limiter = ConcurrencyLimiter::new(jobs, Instant::now());
    let mut queue = Queue::default();
    // Dropping it aborts the running uploads.
    let mut running = JoinSet::new();
    while !(queue.is_finished() && running.is_empty()) {
        while running.len() < limiter.limit()
            && let Some(step) = queue.next()
        {
            let uploader = Arc::clone(uploader);
            running.spawn(async move {
                let taken = take(&uploader, &step).await;
                (step, taken)
            });
        }
        let is_full = running.len() >= limiter.limit();
        tokio::select! {
            step = planning.steps.recv(), if queue.has_room() => match step {
                Some(step) => {
                    if let Step::Send(source) = &step {
                        uploader.bar.inc_length(source.size);
                    }
                    queue.add(step);
                }
                None => queue.ended = true,
            },
            Some(done) = running.join_next() => {
                let (step, taken) = done.context("transfer interrupted")?;
                if let Step::Send(source) = &step {
                    queue.is_done(source);
                }
                if let Err(StoreError { kind: Kind::Busy, .. }) = &taken {
                    limiter.busy(Instant::now());
                } else if let Ok(outcome) = &taken {
                    let bytes = if let Outcome::Sent(_) = outcome { step.source().size } else { 0 };
                    limiter.done(bytes, is_full, Instant::now());
                }
                if let Some(source) = record(uploader, step, taken, summary)? {
                    uploader.bar.inc_length(source.size);
                    queue.add(Step::Send(source));
                }
            }
        }
    }
    planning.finish(summary).await
}

/// Records the outcome of a step. Returns the object if it has to be uploaded.
fn record(
    uploader: &Uploader,
    step: Step,
    taken: Result<Outcome, StoreError>,
    summary: &mut Summary,
) -> Result<Option<Source>> {
    let source = step.into_source();
    match taken {
        Ok(Outcome::Unchanged) => summary.unchanged += 1,
        Ok(Outcome::Changed) => return Ok(Some(source)),
        Ok(Outcome::Retagged) => summary.sent(0),
        Ok(Outcome::Sent(refused)) => {
            summary.sent(source.size);
            if let Some(refused) = refused {
                let reason = refused.reason();
                summary.failed.push(Failure { key: source.key, reason });
            }
        }
        Err(error) => summary.fail(&uploader.remote.store, source.key, error)?,
    }
    uploader.bar.set_message(format!("{} of {} objects", summary.transferred, summary.objects));
    Ok(None)
}

/// Prints what would be uploaded, in byte order of the keys; changes nothing.
pub async fn print_all(
    uploader: &Arc<Uploader>,
    mut planning: Planning,
    jobs: usize,
    summary: &mut Summary,
    dry: &mut DryRun,
) -> Result<Others> {
    let mut window = VecDeque::new();
    loop {
        while window.len() < jobs
            && let Some(step) = planning.steps.recv().await
        {
            let uploader = Arc::clone(uploader);
            window.push_back(Task(tokio::spawn(async move {
                let outcome = compare(&uploader, &step).await;
                (step, outcome)
            })));
        }
        let Some(mut task) = window.pop_front() else { break };
        let (step, outcome) = (&mut task.0).await.context("comparison interrupted")?;
        let outcome = match outcome {
            Ok(Outcome::Retagged) => Ok(Outcome::Changed),
            other => other,
        };
        if let Some(source) = record(uploader, step, outcome, summary)? {
            dry.add("upload", &source.key)?;
        }
    }
    planning.finish(summary).await
}
