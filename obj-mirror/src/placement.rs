//! Where a key lies in a mirror: a pure function of the key, and of the keys beside it.

pub use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;

/// The mirror's own directory.
pub const OWN: &str = ".obj-mirror";

/// Where one key can lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At the key's own path.
    Natural,
    /// At [`stored_path`], because no path can carry the key.
    Stored,
}

/// Where a key can lie, whatever the other keys are.
#[must_use]
pub fn place(key: &str) -> Placement {
    // What XML cannot carry, other tools that read the tree could not tell either.
    let hostile = |c: char| c.is_ascii_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    if is_path(key) && !key.contains(hostile) { Placement::Natural } else { Placement::Stored }
}

/// Whether a key, taken as a path, leads to a place of its own inside the mirror.
fn is_path(key: &str) -> bool {
    let mut segments = key.split('/');
    // A path of 4,096 bytes or more cannot even be named in one call; the directory needs some of it.
    key.len() <= 2048
        && segments.clone().all(|s| !matches!(s, "" | "." | "..") && s.len() <= 255)
        && !key.contains('\0')
        && segments.next().is_some_and(|first| !first.eq_ignore_ascii_case(OWN))
}

/// The path, relative to the mirror, of a key that cannot lie at its own.
#[must_use]
pub fn stored_path(key: &str) -> String {
    format!("{OWN}/objects/{}", hex(&Sha256::digest(key.as_bytes())))
}

/// Whether `path` is one of the two that a mirror may give `key`. An index is outside data: a path that
/// is neither could lead anywhere.
#[must_use]
pub fn may_lie_at(key: &str, path: &str) -> bool {
    (path == key && is_path(key)) || path == stored_path(key)
}

/// Tells of keys in the order of their bytes which can lie at their own path together: of `a` and `a/b`,
/// the latter, since a file and a directory cannot have one name. A key is held back until what comes
/// after it can no longer be below it; so few are held at once, however many there are.
pub struct Placer<T> {
    /// Each is the beginning of the next.
    held: Vec<(String, T)>,
    spellings: Option<Spellings>,
}

impl<T> Placer<T> {
    /// A placer for a disk that tells upper case from lower, or does not.
    #[must_use]
    pub fn new(is_case_blind: bool) -> Self {
        Self { held: Vec::new(), spellings: is_case_blind.then(Spellings::default) }
    }

    /// Takes the next key; gives what is decided by it, each with whether it lies at its own path.
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

    /// Gives what is still held back.
    pub fn finish(&mut self, mut decided: impl FnMut(T, bool)) {
        while let Some((held, item)) = self.held.pop() {
            decided(item, self.is_spelt_once(&held));
        }
    }

    fn is_spelt_once(&mut self, key: &str) -> bool {
        self.spellings.as_mut().is_none_or(|spellings| spellings.claim(key))
    }
}

/// The names in use on a disk that takes upper case for lower.
#[derive(Default)]
struct Spellings {
    used: HashMap<u64, u64>,
    hash: RandomState,
}

impl Spellings {
    /// Claims a path and the directories above it. Not where one of them is in use in another spelling;
    /// nor where it is not ASCII: how such a disk folds other letters is its own secret.
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
            // And none yields but to a natural one.
            for key in all.into_iter().filter(|key| place(key) == Placement::Natural) {
                let below = format!("{key}/");
                let yields = natural.iter().any(|other| other.starts_with(&below));
                prop_assert_eq!(natural.iter().any(|other| other == key), !yields);
            }
        }
    }
}
