//! A set of paths, in little memory.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Paths, of which each is kept as a hash alone.
#[derive(Default)]
pub struct Paths {
    hashes: Vec<u64>,
    is_sorted: bool,
    hash: RandomState,
}

impl Paths {
    /// Adds a path.
    pub fn insert(&mut self, path: &str) {
        self.hashes.push(self.hash.hash_one(path));
        self.is_sorted = false;
    }

    /// Whether a path was added. Two of a billion billion are taken for each other.
    pub fn contains(&mut self, path: &str) -> bool {
        if !self.is_sorted {
            self.hashes.sort_unstable();
            self.is_sorted = true;
        }
        self.hashes.binary_search(&self.hash.hash_one(path)).is_ok()
    }
}
