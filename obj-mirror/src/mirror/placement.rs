//! Where a key is stored in a mirror: a pure function of the key and its neighbours.

use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;

/// The mirror's own directory.
pub const OWN: &str = ".obj-mirror";

/// Where a key can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At the key's own path.
    Natural,
    /// At [`stored_path`], because the key cannot be a path.
    Stored,
}

/// Where a key can be stored, regardless of the other keys.
pub fn place(key: &str) -> Placement {
    // Other tools that read the tree could not report what XML cannot carry.
    let hostile = |c: char| c.is_ascii_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    if is_path(key) && !key.contains(hostile) { Placement::Natural } else { Placement::Stored }
}

/// Whether a key, taken as a path, stays inside the mirror and is unique.
fn is_path(key: &str) -> bool {
    let mut segments = key.split('/');
    // A system call takes paths below 4,096 bytes, and the directory needs some of it.
    key.len() <= 2048
        && segments.clone().all(|s| !matches!(s, "" | "." | "..") && s.len() <= 255)
        && !key.contains('\0')
        && segments.next().is_some_and(|first| !first.eq_ignore_ascii_case(OWN))
}

/// The path, relative to the mirror, of a key that cannot be a path.
pub fn stored_path(key: &str) -> String {
    format!("{OWN}/objects/{}", hex(&Sha256::digest(key.as_bytes())))
}

/// Whether `path` is one of the two that a mirror may give `key`. The index is untrusted input: any other
/// path could lead anywhere.
pub fn may_lie_at(key: &str, path: &str) -> bool {
    (path == key && is_path(key)) || path == stored_path(key)
}

/// Decides which keys, given in byte order, can be stored at their own paths together. Of `a` and
/// `a/b`, the latter is, because a file and a directory cannot share a name. A key is held back until
/// no later key can be below it, so only a few are held at a time.
pub struct Placer<T> {
    /// Each key is a prefix of the next.
    held: Vec<(String, T)>,
    spellings: Option<Spellings>,
}

impl<T> Placer<T> {
    /// `is_case_blind`: the filesystem does not distinguish upper from lower case.
    pub fn new(is_case_blind: bool) -> Self {
        Self { held: Vec::new(), spellings: is_case_blind.then(Spellings::default) }
    }

    /// Adds the next key. `decided` receives each item that is now decided, and whether it is stored at
    /// its own path.
    pub fn add(&mut self, key: &str, item: T, mut decided: impl FnMut(T, bool)) {
        if place(key) == Placement::Stored {
            decided(item, false);
            return;
        }
        while let Some((held, _)) = self.held.last() {
            let below = match key.strip_prefix(held.as_str()).map(|rest| rest.as_bytes().first()) {
                Some(Some(b'/')) => true,
                Some(Some(..b'/')) => break,
                _ => false,
            };
            if let Some((held, item)) = self.held.pop() {
                decided(item, !below && self.is_spelt_once(&held));
            }
        }
        self.held.push((key.to_owned(), item));
    }

    /// Decides the keys that are still held back.
    pub fn finish(&mut self, mut decided: impl FnMut(T, bool)) {
        while let Some((held, item)) = self.held.pop() {
            decided(item, self.is_spelt_once(&held));
        }
    }

    fn is_spelt_once(&mut self, key: &str) -> bool {
        self.spellings.as_mut().is_none_or(|spellings| spellings.claim(key))
    }
}

/// The names in use on a filesystem that ignores case.
#[derive(Default)]
struct Spellings {
    used: HashMap<u64, u64>,
    hash: RandomState,
}

impl Spellings {
    /// Claims a path and the directories above it, unless one of them is in use in another spelling. Names
    /// beyond ASCII are refused: how such a filesystem folds them is unknown.
    fn claim(&mut self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        path.is_ascii()
            && ends.map(|end| &path[..end]).all(|part| {
                let folded = self.hash.hash_one(part.to_ascii_lowercase());
                let exact = self.hash.hash_one(part);
                match self.used.entry(folded) {
                    Entry::Occupied(used) => *used.get() == exact,
                    Entry::Vacant(free) => *free.insert(exact) == exact,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn keys_that_a_path_can_carry_keep_it() {
        let long = "x".repeat(255);
        for key in ["a", "a/b", "ü/日本.txt", " a ", "a\\b", "...", "a/...b", "-", "*", &long, ".x"]
        {
            assert_eq!(place(key), Placement::Natural, "{key:?}");
        }
    }

    #[test]
    fn keys_that_no_path_can_carry_are_stored_aside() {
        let long = "x".repeat(256);
        let deep = "x/".repeat(1200) + "x";
        let own =
            [".obj-mirror", ".OBJ-mirror/x", ".obj-mirror/index.jsonl", ".obj-mirror/objects/x"];
        let keys =
            ["", "/", "/a", "a/", "a//b", "a\0b", "a\nb", "\u{7f}", "\u{fffe}", &long, &deep];
        let dots = [".", "..", "a/..", "../a", "a/./b", "./a", "/..", "a/../../etc/passwd"];
        for key in keys.into_iter().chain(own).chain(dots) {
            assert_eq!(place(key), Placement::Stored, "{key:?}");
            assert!(may_lie_at(key, &stored_path(key)), "{key:?}");
        }
    }

    #[test]
    fn an_index_may_name_the_keys_own_path_only_where_that_stays_inside() {
        for (key, own) in
            [("a/b", true), ("a\nb", true), ("a/../b", false), ("", false), ("/a", false)]
        {
            assert_eq!(may_lie_at(key, key), own, "{key:?}");
        }
        assert!(!may_lie_at("a", "b") && !may_lie_at(".obj-mirror/tmp", ".obj-mirror/tmp"));
    }

    fn natural_of(keys: &[&str], is_case_blind: bool) -> Vec<String> {
        let mut placer = Placer::new(is_case_blind);
        let mut natural = Vec::new();
        let mut take = |key: String, is_natural| {
            if is_natural {
                natural.push(key);
            }
        };
        for key in keys {
            placer.add(key, (*key).to_owned(), &mut take);
        }
        placer.finish(&mut take);
        natural.sort();
        natural
    }

    #[test]
    fn of_a_file_and_its_directory_the_directory_wins() {
        let keys = ["a", "a!", "a!b", "a/b", "a/b-c", "a/b/c", "a0", "b", "c", "c//d"];
        assert_eq!(natural_of(&keys, false), ["a!", "a!b", "a/b-c", "a/b/c", "a0", "b", "c"]);
    }

    #[test]
    fn on_a_disk_blind_to_case_one_spelling_of_a_name_is_natural() {
        let keys = ["A/x", "B", "README", "a/y", "b/z", "readme", "ß"];
        assert_eq!(natural_of(&keys, true), ["A/x", "B", "README"]);
        assert_eq!(natural_of(&keys, false).len(), 7);
    }

    proptest! {
        #[test]
        fn no_key_lies_outside_the_mirror(key in r"(\PC|[./\x00-\x1f]){0,40}") {
            let natural = place(&key) == Placement::Natural;
            let path = if natural { key.clone() } else { stored_path(&key) };
            prop_assert!(may_lie_at(&key, &path));
            let parts = Path::new(&path).components();
            prop_assert!(parts.clone().all(|c| matches!(c, Component::Normal(_))));
            // No component is dropped on the way to the disk, so no two keys share a path.
            let rebuilt = parts.map(|c| c.as_os_str().to_str().unwrap()).collect::<Vec<_>>().join("/");
            prop_assert_eq!(rebuilt, path);
        }

        #[test]
        fn natural_keys_never_stand_in_each_others_way(keys in prop::collection::vec("[ab/]{1,5}", 0..20)) {
            let keys: std::collections::BTreeSet<&str> = keys.iter().map(String::as_str).collect();
            let all: Vec<&str> = keys.into_iter().collect();
            let natural = natural_of(&all, false);
            for key in &natural {
                for (at, _) in key.match_indices('/') {
                    prop_assert!(!natural.iter().any(|other| other == &key[..at]));
                }
            }
            // A key gives way only to one that is stored at its own path.
            for key in all.into_iter().filter(|key| place(key) == Placement::Natural) {
                let below = format!("{key}/");
                let yields = natural.iter().any(|other| other.starts_with(&below));
                prop_assert_eq!(natural.iter().any(|other| other == key), !yields);
            }
        }
    }
}
