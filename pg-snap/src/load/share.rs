//! A COPY block that is being read, dealt out to whoever has time: one worker as a rule, more where
//! that one cannot keep up and others have nothing to do.

use crate::words::Name;
use pipe_kit::mutex::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of rows that were read and not yet taken, of all blocks together.
#[derive(Default)]
pub struct Held {
    bytes: Mutex<usize>,
    fewer: Condvar,
}

impl Held {
    /// Waits a moment for fewer bytes; whether there are now.
    pub fn are_fewer_than(&self, bytes: usize, moment: Duration) -> bool {
        let held = lock(&self.bytes);
        if *held < bytes {
            return true;
        }
        let waited = self.fewer.wait_timeout(held, moment);
        *waited.unwrap_or_else(PoisonError::into_inner).0 < bytes
    }
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    closed: bool,
}

/// See the module.
pub struct Share {
    /// The COPY statement, up to its data.
    pub statement: Vec<u8>,
    /// That it fills.
    pub table: Name,
    /// Whether rows may fail for what they call, so that each chunk is copied alone.
    pub repeatable: bool,
    held: Arc<Held>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Share {
    pub fn new(statement: Vec<u8>, table: Name, repeatable: bool, held: Arc<Held>) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { statement, table, repeatable, held, state, changed }
    }

    /// For an error.
    pub fn what(&self) -> String {
        format!("{}.{}", self.table.0, self.table.1).replace(char::is_control, "?")
    }

    /// Deals out whole lines.
    pub fn push(&self, lines: Vec<u8>) {
        *lock(&self.held.bytes) += lines.len();
        lock(&self.state).chunks.push_back(lines);
        self.changed.notify_one();
    }

    /// There are no more lines.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// The next lines, when there are some; none at the end.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut state = lock(&self.state);
        loop {
            if let Some(lines) = state.chunks.pop_front() {
                *lock(&self.held.bytes) -= lines.len();
                self.held.fewer.notify_all();
                return Some(lines);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_once_each_and_counted_while_they_wait() {
        let held = Arc::new(Held::default());
        let share = Share::new(Vec::new(), Name::default(), false, Arc::clone(&held));
        share.push(vec![1; 3]);
        share.push(vec![2; 4]);
        let moment = Duration::ZERO;
        assert!(held.are_fewer_than(8, moment) && !held.are_fewer_than(7, moment));
        assert_eq!(share.take(), Some(vec![1; 3]));
        assert!(held.are_fewer_than(5, moment));
        share.close();
        assert_eq!((share.take(), share.take()), (Some(vec![2; 4]), None));
    }
}
