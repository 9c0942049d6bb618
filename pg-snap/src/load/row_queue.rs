//! The rows of a COPY block that is being read, for the workers that copy them: one as a rule, more where
//! that one cannot keep up and others are idle.

use crate::sql::Name;
use pipe_kit::mutex::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many bytes of rows wait in all queues together.
#[derive(Default)]
pub struct RowBudget {
    bytes: Mutex<usize>,
    reduced: Condvar,
}

impl RowBudget {
    /// Whether fewer bytes wait, after `patience` at the latest.
    pub fn has_room(&self, bytes: usize, patience: Duration) -> bool {
        let waiting = lock(&self.bytes);
        if *waiting < bytes {
            return true;
        }
        let waited = self.reduced.wait_timeout(waiting, patience);
        *waited.unwrap_or_else(PoisonError::into_inner).0 < bytes
    }
}

#[derive(Default)]
struct Chunks {
    chunks: VecDeque<Vec<u8>>,
    closed: bool,
}

/// The rows of one COPY block.
pub struct RowQueue {
    /// The COPY statement, up to its data.
    pub statement: Vec<u8>,
    /// The table that it fills.
    pub table: Name,
    /// Whether each chunk is copied by a statement of its own, so that it can be repeated.
    pub repeatable: bool,
    budget: Arc<RowBudget>,
    state: Mutex<Chunks>,
    changed: Condvar,
}

impl RowQueue {
    /// A queue, and what adds rows to it.
    pub fn new(
        statement: Vec<u8>,
        table: Name,
        repeatable: bool,
        budget: Arc<RowBudget>,
    ) -> (RowSender, Arc<Self>) {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let queue = Arc::new(Self { statement, table, repeatable, budget, state, changed });
        (RowSender(Arc::clone(&queue)), queue)
    }

    /// The table's name, for an error.
    pub fn table_name(&self) -> String {
        format!("{}.{}", self.table.0, self.table.1).replace(char::is_control, "?")
    }

    /// Waits for the next lines; none at the end.
    pub fn next(&self) -> Option<Vec<u8>> {
        let mut state = lock(&self.state);
        loop {
            if let Some(lines) = state.chunks.pop_front() {
                *lock(&self.budget.bytes) -= lines.len();
                self.budget.reduced.notify_all();
                return Some(lines);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Adds rows to a queue. Dropped, no more rows will come, and no worker waits for them.
pub struct RowSender(Arc<RowQueue>);

impl RowSender {
    /// Adds whole lines.
    pub fn push(&self, lines: Vec<u8>) {
        *lock(&self.0.budget.bytes) += lines.len();
        lock(&self.0.state).chunks.push_back(lines);
        self.0.changed.notify_one();
    }
}

impl Drop for RowSender {
    fn drop(&mut self) {
        lock(&self.0.state).closed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_once_each_and_counted_while_they_wait() {
        let budget = Arc::new(RowBudget::default());
        let (sender, queue) =
            RowQueue::new(Vec::new(), Name::default(), false, Arc::clone(&budget));
        sender.push(vec![1; 3]);
        sender.push(vec![2; 4]);
        let patience = Duration::ZERO;
        assert!(budget.has_room(8, patience) && !budget.has_room(7, patience));
        assert_eq!(queue.next(), Some(vec![1; 3]));
        assert!(budget.has_room(5, patience));
        drop(sender);
        assert_eq!((queue.next(), queue.next()), (Some(vec![2; 4]), None));
    }
}
