//! The jobs of a load, and who waits for them. Workers take the next job that may run.

use super::definition::Definition;
use super::row_queue::RowQueue;
use super::schedule::{AccessMode, JobNumber, Schedule};
use super::settings::SessionSettings;
use crate::index::Section;
use crate::sql::Name;
use anyhow::{Error, Result, anyhow};
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a job does.
#[derive(Clone)]
pub enum Work {
    /// Copies a section of the dump into its table. `freeze`: no other job fills the table.
    Section { section: Section, file: Arc<File>, freeze: bool },
    /// Copies rows of a COPY block that is being read.
    Rows(Arc<RowQueue>),
    /// Runs a statement.
    Statement(Definition),
    /// Runs a statement that nothing in the database depends on.
    Statistics(String),
}

/// A job, and the settings of the dump that it runs under.
#[derive(Clone)]
pub struct Job {
    pub work: Work,
    pub settings: Arc<SessionSettings>,
    /// Whether statements of the ordered session wait for it.
    pub awaited: bool,
}

#[derive(Default)]
struct PoolState {
    schedule: Schedule,
    jobs: HashMap<JobNumber, Job>,
    /// How many awaited jobs are not done.
    awaited: usize,
    /// How many workers have no job.
    idle: usize,
    /// No more jobs will come.
    closed: bool,
    /// The first failure. Those after it are its consequences.
    failure: Option<Error>,
    failed: bool,
}

/// The jobs that the dispatcher adds and the workers take.
#[derive(Default)]
pub struct WorkerPool {
    state: Mutex<PoolState>,
    changed: Condvar,
}

impl WorkerPool {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, PoolState>) -> MutexGuard<'a, PoolState> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job after all others.
    pub fn add(&self, uses: &[(Name, AccessMode)], weight: u64, job: Job) {
        let mut state = self.lock();
        let number = state.schedule.add(uses, weight);
        state.awaited += usize::from(job.awaited);
        state.jobs.insert(number, job);
        self.changed.notify_all();
    }

    /// Waits until every awaited job is done.
    pub fn wait_for_awaited(&self) -> Result<()> {
        self.wait_until(|state| state.awaited == 0)
    }

    /// Waits until every job is done.
    pub fn wait_for_all(&self) -> Result<()> {
        self.wait_until(|state| state.schedule.is_idle())
    }

    fn wait_until(&self, condition: impl Fn(&PoolState) -> bool) -> Result<()> {
        let mut state = self.lock();
        while !state.failed && !condition(&state) {
            state = self.wait(state);
        }
        if state.failed { Err(failed()) } else { Ok(()) }
    }

    /// Fails if another part of the load has failed.
    pub fn check(&self) -> Result<()> {
        if self.lock().failed { Err(failed()) } else { Ok(()) }
    }

    /// Whether a worker has nothing to do.
    pub fn has_idle(&self) -> bool {
        self.lock().idle > 0
    }

    /// No more jobs will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Stops all workers. The first failure is the load's.
    pub fn fail(&self, error: Error) {
        let mut state = self.lock();
        if !state.failed {
            state.failure = Some(error);
        }
        state.failed = true;
        self.changed.notify_all();
    }

    /// Takes the first failure, if there was one.
    pub fn take_failure(&self) -> Option<Error> {
        self.lock().failure.take()
    }

    /// Waits for the next job that may run; none once the pool is closed and empty.
    pub fn next_job(&self) -> Result<Option<(JobNumber, Job)>> {
        let mut state = self.lock();
        state.idle += 1;
        // The dispatcher may be waiting for an idle worker.
        self.changed.notify_all();
        loop {
            if state.failed {
                return Err(failed());
            }
            if let Some(number) = state.schedule.take()
                && let Some(job) = state.jobs.remove(&number)
            {
                state.idle -= 1;
                return Ok(Some((number, job)));
            }
            if state.closed && state.schedule.is_idle() {
                return Ok(None);
            }
            state = self.wait(state);
        }
    }

    /// Records that a job is done, which may let others run.
    pub fn finish_job(&self, number: JobNumber, awaited: bool) {
        let mut state = self.lock();
        state.awaited -= usize::from(awaited);
        state.schedule.done(number);
        self.changed.notify_all();
    }
}

fn failed() -> Error {
    anyhow!("another part of the load has failed")
}
