//! The order of uploads.

use crate::push::source::Source;
use crate::push::upload::WHOLE;
use std::collections::VecDeque;

/// Objects to upload. One large object is uploaded beside the small ones, the other large ones after them:
/// small objects wait for the server's bookkeeping, parts of a large one for its disk and hashing, and
/// neither delays the other.
pub struct Queue {
    small: VecDeque<Source>,
    large: VecDeque<Source>,
    /// The number of large objects being uploaded.
    sending: usize,
}

fn is_large(source: &Source) -> bool {
    source.size > WHOLE
}

impl Queue {
    pub fn new(objects: Vec<Source>) -> Self {
        let (large, small): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_large);
        Self { small: small.into(), large: large.into(), sending: 0 }
    }

    pub fn next(&mut self) -> Option<Source> {
        if (self.sending == 0 || self.small.is_empty())
            && let Some(source) = self.large.pop_front()
        {
            self.sending += 1;
            return Some(source);
        }
        self.small.pop_front()
    }

    /// Records that an upload has ended, successfully or not.
    pub fn is_done(&mut self, source: &Source) {
        self.sending -= usize::from(is_large(source));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(key: &str, size: u64) -> Source {
        let text = key.to_owned();
        Source { key: text.clone(), path: text, size, sha256: Vec::new(), entry: None }
    }

    fn key(source: Option<Source>) -> String {
        source.map(|source| source.key).unwrap_or_default()
    }

    #[test]
    fn one_large_object_goes_beside_the_small_ones_and_the_others_after_them() {
        let large = ["A", "B", "C"].map(|key| source(key, WHOLE + 1));
        let small = ["a", "b", "c"].map(|key| source(key, WHOLE));
        let objects: Vec<_> = large.into_iter().chain(small).collect();
        let mut queue = Queue::new(objects);
        assert_eq!(["A", "a"], [key(queue.next()), key(queue.next())].each_ref().map(|k| &**k));
        queue.is_done(&source("a", 1));
        assert_eq!(key(queue.next()), "b");
        queue.is_done(&source("A", WHOLE + 1));
        for expected in ["B", "c", "C", ""] {
            assert_eq!(key(queue.next()), expected);
        }
    }
}
