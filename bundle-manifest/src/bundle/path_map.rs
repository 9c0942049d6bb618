//! Paths with a value each, in one piece of memory: a bundle may hold millions of files.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Paths, sorted by their bytes, each with a value. A path costs its own bytes, 16 more, and the value.
#[derive(Clone, Debug)]
pub struct PathMap<V> {
    names: Vec<u8>,
    entries: Vec<Entry<V>>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    start: usize,
    length: u32,
    value: V,
}

/// A [`PathMap`] that is being filled, in any order.
#[derive(Clone, Debug)]
pub struct PathList<V>(PathMap<V>);

impl<V> Default for PathMap<V> {
    fn default() -> Self {
        Self { names: Vec::new(), entries: Vec::new() }
    }
}

impl<V> Default for PathList<V> {
    fn default() -> Self {
        Self(PathMap::default())
    }
}

impl<V> PathList<V> {
    /// Adds a path.
    pub fn push(&mut self, path: &OsStr, value: V) {
        let Self(map) = self;
        // A path that a system call takes is shorter than 4 KiB; a longer one, from a list, is cut, and found nowhere.
        let length = u32::try_from(path.len()).unwrap_or(u32::MAX);
        map.entries.push(Entry { start: map.names.len(), length, value });
        map.names.extend_from_slice(path.as_bytes());
    }

    /// Sorts the paths. Of a path that was added twice, any value is found.
    pub fn sorted(self) -> PathMap<V> {
        let Self(PathMap { names, mut entries }) = self;
        entries.sort_unstable_by(|a, b| names[a.range()].cmp(&names[b.range()]));
        PathMap { names, entries }
    }
}

impl<V> Entry<V> {
    fn range(&self) -> Range<usize> {
        self.start..self.start + self.length as usize
    }
}

impl<V> PathMap<V> {
    /// The number of paths.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every path and its value, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &V)> {
        self.entries.iter().map(|entry| (self.path(entry), &entry.value))
    }

    /// Every path, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &OsStr> {
        self.iter().map(|(path, _)| path)
    }

    /// Every value, sorted by path.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|entry| &entry.value)
    }

    /// The place of a path among the sorted ones.
    pub fn place(&self, path: impl AsRef<OsStr>) -> Option<usize> {
        let path = path.as_ref().as_bytes();
        self.entries.binary_search_by(|entry| self.names[entry.range()].cmp(path)).ok()
    }

    /// The value of a path.
    pub fn get(&self, path: impl AsRef<OsStr>) -> Option<&V> {
        self.place(path).map(|place| &self.entries[place].value)
    }

    /// Whether a path lies below a directory.
    pub fn has_below(&self, dir: &Path) -> bool {
        let below = below(dir);
        let before = |entry: &Entry<V>| self.path(entry) < below.as_os_str();
        let first = self.entries.get(self.entries.partition_point(before));
        first.is_some_and(|entry| self.names[entry.range()].starts_with(below.as_bytes()))
    }

    fn path(&self, entry: &Entry<V>) -> &OsStr {
        OsStr::from_bytes(&self.names[entry.range()])
    }
}

/// What every path below a directory begins with.
pub fn below(dir: &Path) -> OsString {
    let mut below = OsString::from(dir);
    below.push("/");
    below
}

impl<P: AsRef<OsStr>, V> FromIterator<(P, V)> for PathMap<V> {
    fn from_iter<I: IntoIterator<Item = (P, V)>>(paths: I) -> Self {
        let mut list = PathList::default();
        paths.into_iter().for_each(|(path, value)| list.push(path.as_ref(), value));
        list.sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_lies_below_a_directory_begins_with_its_name_and_a_slash() {
        let map: PathMap<()> =
            ["a-", "a/b/c", "a0", "d"].map(|path| (path, ())).into_iter().collect();
        let holds = |dir: &str| map.has_below(Path::new(dir));
        assert_eq!(
            ["a", "a/b", "a/b/c", "a/", "d", "e"].map(holds),
            [true, true, false, false, false, false]
        );
    }

    proptest! {
        #[test]
        fn it_finds_what_a_tree_map_finds(paths: BTreeMap<Vec<u8>, u8>, other: Vec<u8>) {
            let given = paths.iter().rev().map(|(path, value)| (OsStr::from_bytes(path), *value));
            let map: PathMap<u8> = given.collect();
            let all: Vec<_> = map.iter().map(|(path, value)| (path.as_bytes().to_vec(), *value)).collect();
            prop_assert_eq!(all, paths.clone().into_iter().collect::<Vec<_>>());
            for (place, (path, value)) in paths.iter().enumerate() {
                prop_assert_eq!(map.place(OsStr::from_bytes(path)), Some(place));
                prop_assert_eq!(map.get(OsStr::from_bytes(path)), Some(value));
            }
            prop_assert_eq!(map.get(OsStr::from_bytes(&other)), paths.get(&other));
        }
    }
}
