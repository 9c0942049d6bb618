//! How long a run has waited for a destination: of several that are not complete, this is the one to look at.

use pipe_kit::mutex::lock;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The time that was spent waiting for one destination.
#[derive(Clone, Default)]
pub struct Waits(Arc<Mutex<Waited>>);

#[derive(Default)]
struct Waited {
    total: Duration,
    since: Option<Instant>,
}

/// The run waits until this is dropped.
pub struct Waiting(Waits);

impl Waits {
    #[must_use]
    pub fn begin(&self) -> Waiting {
        lock(&self.0).since.get_or_insert_with(Instant::now);
        Waiting(self.clone())
    }

    /// Whether the run waits at this moment.
    pub fn is_waiting(&self) -> bool {
        lock(&self.0).since.is_some()
    }

    /// Until now.
    pub fn total(&self) -> Duration {
        let waited = lock(&self.0);
        waited.total + waited.since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waited = lock(&self.0.0);
        if let Some(since) = waited.since.take() {
            waited.total += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_while_it_lasts_and_after_it() {
        let waits = Waits::default();
        assert_eq!(waits.total(), Duration::ZERO);
        let waiting = waits.begin();
        std::thread::sleep(Duration::from_millis(2));
        assert!(waits.total() >= Duration::from_millis(2));
        drop(waiting);
        let total = waits.total();
        assert!(total >= Duration::from_millis(2));
        assert_eq!(waits.total(), total);
    }
}
