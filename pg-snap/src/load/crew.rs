//! The workers of a load: each has a session, and takes the next job that may run.

use super::definition::Definition;
use super::repair::Repair;
use super::schedule::{Number, Schedule, Way};
use super::share::Share;
use super::{rows, settings};
use crate::index::Section;
use crate::words::Name;
use anyhow::{Error, Result, anyhow};
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a job does.
#[derive(Clone)]
pub enum Work {
    /// Fills a table from a section of the dump. `freeze`: nobody else fills it, or has seen it.
    Section { section: Section, file: Arc<File>, freeze: bool },
    /// Helps to fill a table from a COPY block that is being read.
    Share(Arc<Share>),
    /// Runs a statement.
    Run(Definition),
}

/// A job, and the settings under which the dump wants it done.
#[derive(Clone)]
pub struct Job {
    pub work: Work,
    pub settings: Arc<settings::Seen>,
    /// Whether others than its like wait for it.
    pub awaited: bool,
}

#[derive(Default)]
struct State {
    schedule: Schedule,
    jobs: HashMap<Number, Job>,
    /// Jobs that are awaited and not done.
    awaited: usize,
    /// Workers without a job.
    idle: usize,
    /// No more jobs will come.
    closed: bool,
    /// The first failure: those after it follow from it.
    failed: Option<Error>,
    ended: bool,
}

/// See the module.
#[derive(Default)]
pub struct Crew {
    state: Mutex<State>,
    changed: Condvar,
}

impl Crew {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job behind all others.
    pub fn add(&self, uses: &[(Name, Way)], weight: u64, job: Job) {
        let mut state = self.lock();
        let number = state.schedule.add(uses, weight);
        state.awaited += usize::from(job.awaited);
        state.jobs.insert(number, job);
        self.changed.notify_all();
    }

    /// Waits until everything that is awaited is done.
    ///
    /// # Errors
    /// If somebody has failed.
    pub fn awaited(&self) -> Result<()> {
        self.until(|state| state.awaited == 0)
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// If somebody has failed.
    pub fn idle(&self) -> Result<()> {
        self.until(|state| state.schedule.is_idle())
    }

    fn until(&self, is_so: impl Fn(&State) -> bool) -> Result<()> {
        let mut state = self.lock();
        while !state.ended && !is_so(&state) {
            state = self.wait(state);
        }
        if state.ended { Err(ended()) } else { Ok(()) }
    }

    /// # Errors
    /// If somebody has failed.
    pub fn check(&self) -> Result<()> {
        if self.lock().ended { Err(ended()) } else { Ok(()) }
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

    /// Everybody stops; of several reasons the first counts.
    pub fn fail(&self, error: Error) {
        let mut state = self.lock();
        if !state.ended {
            state.failed = Some(error);
        }
        state.ended = true;
        self.changed.notify_all();
    }

    /// Why everybody stopped.
    pub fn failure(&self) -> Option<Error> {
        self.lock().failed.take()
    }

    /// The next job, when there is one; none when there will be no more.
    fn take(&self) -> Result<Option<(Number, Job)>> {
        let mut state = self.lock();
        state.idle += 1;
        self.changed.notify_all();
        loop {
            if state.ended {
                return Err(ended());
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

    fn done(&self, number: Number, awaited: bool) {
        let mut state = self.lock();
        state.awaited -= usize::from(awaited);
        state.schedule.done(number);
        self.changed.notify_all();
    }

    /// A worker, up to the last job. What fails it fails all.
    pub fn work(&self, repair: &Repair<'_>, bar: &pipe_kit::progress::Bar) {
        if let Err(error) = self.work_on(repair, bar) {
            self.fail(error);
        }
    }

    fn work_on(&self, repair: &Repair<'_>, bar: &pipe_kit::progress::Bar) -> Result<()> {
        let mut talk = repair.open(&settings::Seen::default())?;
        let mut settings = Arc::default();
        while let Some((number, job)) = self.take()? {
            if !Arc::ptr_eq(&settings, &job.settings) {
                talk.send(&job.settings.to_sql())?;
                settings = job.settings;
            }
            let whole = match job.work {
                Work::Section { section, file, freeze } => {
                    let rows =
                        rows::Rows { section: &section, file: &file, freeze, bar, crew: self };
                    rows.fill(&mut talk, repair, &settings)?
                }
                Work::Share(share) => rows::of_share(&mut talk, &share, bar, repair, &settings)?,
                Work::Run(definition) => {
                    let done = talk.send(&definition.text).and_then(|()| talk.sync());
                    repair.outcome(&definition, done)?
                }
            };
            if !whole {
                // Psql ended at the error.
                talk = repair.open(&settings)?;
            }
            self.done(number, job.awaited);
        }
        // That it was there to the end is part of what the load is believed for.
        talk.sync()?;
        talk.close()
    }
}

fn ended() -> Error {
    anyhow!("another part of the load has failed")
}
