//! A compact set of paths.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// A set of paths that stores only their hashes.
#[derive(Default)]
pub struct Paths {
    hashes: Vec<u64>,
    removed: HashSet<u64>,
    is_sorted: bool,
    hash: RandomState,
}

impl Paths {
    /// Adds a path that was not removed.
    pub fn insert(&mut self, path: &str) {
        self.hashes.push(self.hash.hash_one(path));
        self.is_sorted = false;
    }

    /// Takes a path out again.
    pub fn remove(&mut self, path: &str) {
        self.removed.insert(self.hash.hash_one(path));
    }

    /// Whether a path is in the set. A false positive takes two equal 64-bit hashes.
    pub fn contains(&mut self, path: &str) -> bool {
        if !self.is_sorted {
            self.hashes.sort_unstable();
            self.is_sorted = true;
        }
        let hash = self.hash.hash_one(path);
        self.hashes.binary_search(&hash).is_ok() && !self.removed.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_was_removed_is_in_the_set_no_more() {
        let mut paths = Paths::default();
        ["a", "b", "c"].iter().for_each(|path| paths.insert(path));
        assert!(paths.contains("b"));
        paths.remove("b");
        paths.remove("never added");
        let found = ["a", "b", "c", "never added"].map(|path| paths.contains(path));
        assert_eq!(found, [true, false, true, false]);
    }
}
