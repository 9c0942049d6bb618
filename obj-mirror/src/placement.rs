//! Where a key lies in a mirror: a pure function of the key, and of the keys beside it.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The mirror's own directory.
pub const OWN: &str = ".obj-mirror";

/// Where one key can lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At the key's own path.
    Natural,
    /// At [`stored_path`], because no path can carry the key.
    Stored,
    /// Nowhere: the client could not even ask for it under its own name.
    Refused(&'static str),
}

/// Where a key can lie, whatever the other keys are.
#[must_use]
pub fn place(key: &str) -> Placement {
    let mut segments = key.split('/');
    if segments.clone().any(|s| s == "." || s == "..") {
        return Placement::Refused(
            "has a . or .. segment, which the S3 client would alter on its way",
        );
    }
    // A path of 4,096 bytes or more cannot even be named in one call; the directory needs some of it.
    let unfit = key.len() > 2048
        || segments.clone().any(|s| s.is_empty() || s.len() > 255)
        || key.bytes().any(|b| b < 0x20 || b == 0x7f)
        || segments.next() == Some(OWN);
    if unfit { Placement::Stored } else { Placement::Natural }
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
    match place(key) {
        Placement::Natural => path == key || path == stored_path(key),
        Placement::Stored => path == stored_path(key),
        Placement::Refused(_) => false,
    }
}

/// The keys of a listing that can lie at their own path together: of `a` and `a/b`, the latter, since a
/// file and a directory cannot have one name.
#[must_use]
pub fn natural_together<'a>(keys: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let natural: BTreeSet<&str> =
        keys.into_iter().filter(|key| place(key) == Placement::Natural).collect();
    let directory = |key: &str| {
        let below = format!("{key}/");
        natural.range(below.as_str()..).next().is_some_and(|next| next.starts_with(&below))
    };
    natural.iter().copied().filter(|key| !directory(key)).collect()
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
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
        let own = [".obj-mirror", ".obj-mirror/index.jsonl", ".obj-mirror/objects/x"];
        let keys = ["", "/", "/a", "a/", "a//b", "a\0b", "a\nb", "\u{7f}", &long, &deep];
        for key in keys.into_iter().chain(own) {
            assert_eq!(place(key), Placement::Stored, "{key:?}");
        }
    }

    #[test]
    fn keys_that_the_client_would_alter_are_refused() {
        for key in [".", "..", "a/..", "../a", "a/./b", "./a", "/..", "a/../../etc/passwd"] {
            assert!(matches!(place(key), Placement::Refused(_)), "{key:?}");
            assert!(!may_lie_at(key, key) && !may_lie_at(key, &stored_path(key)));
        }
    }

    #[test]
    fn of_a_file_and_its_directory_the_directory_wins() {
        let keys = ["a", "a!", "a/b", "a/b/c", "a0", "b", "c//d", "c"];
        let natural: Vec<_> = natural_together(keys).into_iter().collect();
        assert_eq!(natural, ["a!", "a/b/c", "a0", "b", "c"]);
    }

    proptest! {
        #[test]
        fn no_key_lies_outside_the_mirror(key in r"(\PC|[./\x00-\x1f]){0,40}") {
            let path = match place(&key) {
                Placement::Natural => key.clone(),
                Placement::Stored => stored_path(&key),
                Placement::Refused(_) => return Ok(()),
            };
            prop_assert!(may_lie_at(&key, &path));
            let parts = Path::new(&path).components();
            prop_assert!(parts.clone().all(|c| matches!(c, Component::Normal(_))));
            // No component is dropped on the way to the disk, so no two keys share a path.
            let rebuilt = parts.map(|c| c.as_os_str().to_str().unwrap()).collect::<Vec<_>>().join("/");
            prop_assert_eq!(rebuilt, path);
        }

        #[test]
        fn natural_keys_never_stand_in_each_others_way(keys in prop::collection::vec("[ab/]{1,5}", 0..20)) {
            let natural = natural_together(keys.iter().map(String::as_str));
            for key in &natural {
                for (at, _) in key.match_indices('/') {
                    prop_assert!(!natural.contains(&key[..at]));
                }
            }
        }
    }
}
