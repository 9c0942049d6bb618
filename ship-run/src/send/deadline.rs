//! The end of a shipment that takes too long. Each destination has limits of its own, and one that stays below all of
//! them would keep a backup running for ever.

use anyhow::{Context, Result};
use pipe_kit::mutex::lock;
use pipe_kit::{Exit, cleanup};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long the report may take: a warning that nobody reads may block.
const REPORT: Duration = Duration::from_secs(60);
/// How long removing what is half written, hooks and messages may take.
const ENDING: Duration = Duration::from_secs(20 * 60);

/// The time runs.
pub struct Running {
    ends: Sender<()>,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
    Over,
}

/// After so long, `overdue` reports, and this process ends with the status that it returns. None: never.
///
/// # Errors
/// If no thread can be started.
pub fn start(
    limit: Option<Duration>,
    overdue: impl FnOnce(&str) -> Exit + Send + 'static,
) -> Result<Option<Running>> {
    let Some(limit) = limit else { return Ok(None) };
    let (ends, end) = mpsc::channel();
    let state = Arc::new(Mutex::new(State::Running));
    let own = Arc::clone(&state);
    let wait = move || {
        if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) && claim(&own, State::Over) {
            let (done, reported) = mpsc::channel();
            let report = move || {
                let _ = done.send(overdue(&words(limit)));
            };
            let started = std::thread::Builder::new().name("overdue".into()).spawn(report);
            let exit = started.ok().and_then(|_| reported.recv_timeout(REPORT).ok());
            cleanup::end(exit.unwrap_or(Exit::Failed).code(), ENDING);
        }
    };
    let started = std::thread::Builder::new().name("deadline".into()).spawn(wait);
    started.context("starting a thread for SHIP_TIMEOUT_HOURS")?;
    Ok(Some(Running { ends, state }))
}

impl Running {
    /// The shipment has ended in time. If it has not, this does not return: the process is being ended.
    pub fn stop(self) {
        let is_in_time = claim(&self.state, State::Stopped);
        drop(self.ends);
        if is_in_time {
            return;
        }
        loop {
            std::thread::park();
        }
    }
}

/// Whether it was still running.
fn claim(state: &Mutex<State>, new: State) -> bool {
    let mut state = lock(state);
    let is_first = *state == State::Running;
    if is_first {
        *state = new;
    }
    is_first
}

/// The limit and its setting.
fn words(limit: Duration) -> String {
    let hours = (limit.as_secs_f64() / 3600.0 * 1000.0).round() / 1000.0;
    format!("{hours} h (SHIP_TIMEOUT_HOURS)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_there_is_none_and_one_that_is_stopped_in_time_ends_nothing() {
        let never = |_: &str| -> Exit { panic!("ended") };
        assert!(start(None, never).unwrap().is_none());
        start(Some(Duration::from_secs(5400)), never).unwrap().unwrap().stop();
        assert_eq!(words(Duration::from_secs(5400)), "1.5 h (SHIP_TIMEOUT_HOURS)");
    }
}
