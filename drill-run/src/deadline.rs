//! The end of a drill that takes too long: a check may wait for ever, and nobody may be there to see it.

use anyhow::{Context, Result};
use pipe_kit::warning;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// Whether a drill has taken too long, and after how long that is.
#[derive(Clone, Debug, Default)]
pub struct Deadline {
    limit: Duration,
    is_over: Arc<AtomicBool>,
}

/// The time runs. Dropped, it no longer does.
pub struct Running {
    _ends: Sender<()>,
}

impl Deadline {
    /// After so long, this process ends as by SIGTERM. None: never.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(limit: Option<Duration>) -> Result<(Self, Option<Running>)> {
        let Some(limit) = limit else { return Ok((Self::default(), None)) };
        let deadline = Self { limit, is_over: Arc::default() };
        let (ends, end) = mpsc::channel();
        let own = deadline.clone();
        let wait = move || {
            if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                own.is_over.store(true, Ordering::SeqCst);
                // First: a warning that nobody reads may block.
                let _ = kill_process(getpid(), Signal::TERM);
                warning!("the drill has not ended within {}; it is ended", own.words());
            }
        };
        let started = std::thread::Builder::new().name("deadline".into()).spawn(wait);
        started.context("starting a thread for DRILL_TIMEOUT_HOURS")?;
        Ok((deadline, Some(Running { _ends: ends })))
    }

    /// Whether the drill has taken too long.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// The limit and its setting.
    pub fn words(&self) -> String {
        let hours = (self.limit.as_secs_f64() / 3600.0 * 1000.0).round() / 1000.0;
        format!("{hours} h (DRILL_TIMEOUT_HOURS)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_there_is_none_and_one_that_is_dropped_in_time_ends_nothing() {
        let (none, running) = Deadline::start(None).unwrap();
        assert!(!none.is_over() && running.is_none());
        let (limit, running) = Deadline::start(Some(Duration::from_secs(5400))).unwrap();
        assert_eq!(limit.words(), "1.5 h (DRILL_TIMEOUT_HOURS)");
        drop(running);
        assert!(!limit.is_over());
    }
}
