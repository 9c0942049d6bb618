//! A compact set of paths.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// A set of paths that stores only their hashes.
#[derive(Default)]
pub struct Paths {
    hashes: Vec<u64>,
    is_sorted: bool,
    hash: RandomState,
}

impl Paths {
    pub fn insert(&mut self, path: &str) {
        self.hashes.push(self.hash.hash_one(path));
        self.is_sorted = false;
    }

    /// Whether a path was added. A false positive takes two equal 64-bit hashes.
    pub fn contains(&mut self, path: &str) -> bool {
        if !self.is_sorted {
            self.hashes.sort_unstable();
            self.is_sorted = true;
        }
        self.hashes.binary_search(&self.hash.hash_one(path)).is_ok()
    }
}
