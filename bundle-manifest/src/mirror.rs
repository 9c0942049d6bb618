//! The object-storage mirror inside a bundle, as far as a bundle must know it: which files its own
//! sums cover. What the objects are is `obj-mirror`'s business.

use crate::sums::{self, Sums};
use crate::tree::Tree;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The mirror's directory in a bundle.
pub const DIR: &str = "minio";
/// Where the mirror keeps what is not an object.
pub const OWN: &str = "minio/.obj-mirror";
/// The mirror's own sums, of its objects.
pub const SUMS: &str = "minio/.obj-mirror/SHA256SUMS";

/// A JSON line an object, of which a bundle needs `path` and `size` alone.
pub const INDEX: &str = "minio/.obj-mirror/index.jsonl";
/// It is there while a mirror is being made.
const JOURNAL: &str = "minio/.obj-mirror/journal.jsonl";

#[derive(Deserialize)]
struct Indexed {
    path: String,
    size: u64,
}

/// The files that the mirror's sums cover; paths are relative to the bundle.
#[derive(Debug, Default)]
pub struct Mirror {
    /// The objects' files.
    pub listed: Sums,
}

/// How much the mirror holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of objects.
    pub objects: u64,
    /// Their sizes' sum in bytes.
    pub bytes: u64,
}

impl Mirror {
    /// Reads the mirror's sums. The inner error says what is wrong with them.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(bundle: &Path) -> Result<Result<Self, String>> {
        let text = std::fs::read(bundle.join(SUMS))
            .with_context(|| format!("reading {}", bundle.join(SUMS).display()))?;
        Ok(sums::parse(&text).map(|sums| {
            let listed = sums.into_iter().map(|(path, digest)| (below(&path), digest));
            // The list cannot vouch for itself: the bundle's seal does.
            Self { listed: listed.filter(|(path, _)| path != SUMS).collect() }
        }))
    }

    /// The objects' number and bytes, as their files lie on disk.
    #[must_use]
    pub fn extent(&self, tree: &Tree) -> Extent {
        let bytes = self.listed.keys().filter_map(|path| tree.size(path)).sum();
        Extent { objects: self.listed.len() as u64, bytes }
    }

    /// Listed files that are not there.
    pub fn missing<'a>(&'a self, tree: &'a Tree) -> impl Iterator<Item = &'a OsStr> {
        self.listed
            .keys()
            .map(OsString::as_os_str)
            .filter(|path| tree.size(path).is_none() && !tree.odd.contains_key(*path))
    }
}

/// Whether the mirror says of itself that it is not finished.
#[must_use]
pub fn is_unfinished(tree: &Tree) -> bool {
    tree.size(JOURNAL).is_some()
}

/// Files whose size is not what the mirror's index says: path and size in bytes by the index.
/// Nothing where there is no such index; `obj-mirror verify` judges one that cannot be read.
///
/// # Errors
/// If the index cannot be read from the disk.
pub fn resized(bundle: &Path, tree: &Tree) -> Result<Vec<(OsString, u64)>> {
    if tree.size(INDEX).is_none() {
        return Ok(Vec::new());
    }
    let path = bundle.join(INDEX);
    let failed = || format!("reading {}", path.display());
    let mut resized = Vec::new();
    for line in BufReader::new(File::open(&path).with_context(failed)?).split(b'\n') {
        let Ok(indexed) = serde_json::from_slice::<Indexed>(&line.with_context(failed)?) else {
            continue;
        };
        let file = below(OsStr::new(&indexed.path));
        if tree.size(&file).is_some_and(|is| is != indexed.size) {
            resized.push((file, indexed.size));
        }
    }
    Ok(resized)
}

/// How much a mirror without sums of its own holds: every file below it.
#[must_use]
pub fn plain_extent(tree: &Tree) -> Extent {
    let inside = tree.files.iter().filter(|(path, _)| is_inside(path));
    let (objects, bytes) = inside.fold((0, 0), |(n, sum), (_, size)| (n + 1, sum + size));
    Extent { objects, bytes }
}

/// Whether a file lies in the mirror.
#[must_use]
pub fn is_inside(path: &OsStr) -> bool {
    path.as_bytes().starts_with(b"minio/")
}

fn below(path: &OsStr) -> OsString {
    let mut below = OsString::from(DIR);
    below.push("/");
    below.push(path);
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_never_vouch_for_themselves() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(OWN)).unwrap();
        let sum = "0".repeat(64);
        let text = format!("{sum}  a/b\n{sum}  .obj-mirror/SHA256SUMS\n");
        std::fs::write(dir.path().join(SUMS), text).unwrap();
        let mirror = Mirror::read(dir.path()).unwrap().unwrap();
        assert_eq!(mirror.listed.keys().collect::<Vec<_>>(), ["minio/a/b"]);
        let tree = Tree::walk(dir.path()).unwrap();
        assert_eq!(mirror.missing(&tree).collect::<Vec<_>>(), ["minio/a/b"]);
    }
}
