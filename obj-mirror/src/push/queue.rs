//! The order of uploads.

use crate::push::plan::Step;
use crate::push::source::Source;
use crate::push::upload::WHOLE;
use std::collections::VecDeque;

/// Small objects that are planned ahead.
const SMALL_AHEAD: usize = 64;
/// Large objects that may wait until the small ones are uploaded.
const LARGE_AHEAD: usize = 4096;

/// Steps of a push that are planned. One large object is uploaded beside the small ones, the other large ones
/// after them: small objects wait for the server's bookkeeping, parts of a large one for its disk and
/// hashing, and neither delays the other.
#[derive(Default)]
pub struct Queue {
    small: VecDeque<Step>,
    large: VecDeque<Source>,
    /// The number of large objects being uploaded.
    sending: usize,
    /// Whether the plan has ended.
    pub ended: bool,
}

fn is_large(source: &Source) -> bool {
    source.size > WHOLE
}

impl Queue {
    /// Whether another step of the plan fits.
    pub fn has_room(&self) -> bool {
        !self.ended && self.small.len() < SMALL_AHEAD && self.large.len() < LARGE_AHEAD
    }

    pub fn add(&mut self, step: Step) {
        match step {
            Step::Send(source) if is_large(&source) => self.large.push_back(source),
            step => self.small.push_back(step),
        }
    }

    pub fn next(&mut self) -> Option<Step> {
        let is_last = self.ended || self.large.len() >= LARGE_AHEAD;
        if (self.sending == 0 || (self.small.is_empty() && is_last))
            && let Some(source) = self.large.pop_front()
        {
            self.sending += 1;
            return Some(Step::Send(source));
        }
        self.small.pop_front()
    }

    /// Records that an upload has ended, successfully or not.
    pub fn is_done(&mut self, source: &Source) {
        self.sending -= usize::from(is_large(source));
    }

    pub fn is_finished(&self) -> bool {
        self.ended && self.small.is_empty() && self.large.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(key: &str, size: u64) -> Step {
        let text = key.to_owned();
        Step::Send(Source { key: text.clone(), path: text, size, sha256: Vec::new(), entry: None })
    }

    fn key(step: Option<Step>) -> String {
        step.map(|step| step.source().key.clone()).unwrap_or_default()
    }

    #[test]
    fn one_large_object_goes_beside_the_small_ones_and_the_others_after_them() {
        let mut queue = Queue::default();
        for key in ["A", "B", "C"] {
            queue.add(step(key, WHOLE + 1));
        }
        for key in ["a", "b"] {
            queue.add(step(key, WHOLE));
        }
        assert_eq!(["A", "a"], [key(queue.next()), key(queue.next())].each_ref().map(|k| &**k));
        queue.is_done(step("a", 1).source());
        assert_eq!(key(queue.next()), "b");
        queue.is_done(step("A", WHOLE + 1).source());
        assert_eq!(key(queue.next()), "B");
        assert_eq!(key(queue.next()), "", "more small objects may come");
        queue.add(step("c", WHOLE));
        assert!(!queue.is_finished());
        queue.ended = true;
        for expected in ["c", "C", ""] {
            assert_eq!(key(queue.next()), expected);
        }
        assert!(queue.is_finished() && !queue.has_room());
    }

    #[test]
    fn a_plan_of_large_objects_alone_does_not_stop_while_none_is_small() {
        let mut queue = Queue::default();
        let mut added = 0;
        while queue.has_room() {
            queue.add(step("A", WHOLE + 1));
            added += 1;
        }
        assert_eq!(added, LARGE_AHEAD);
        assert_eq!([key(queue.next()), key(queue.next())], ["A", ""]);
        assert!(queue.has_room());
        queue.add(step("B", WHOLE + 1));
        assert_eq!(key(queue.next()), "A");
    }
}
