//! The objects of a bundle's mirror, by its index.

use crate::bundle::tree::Tree;
use anyhow::{Context, Result};
use bundle_format::layout::{MIRROR, MIRROR_INDEX};
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal; none in a mirror without an index.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// Passes each object to `take`, in the order of the index. A mirror that another tool made has no index: every
/// file is an object. Where there is no mirror there are no objects.
pub fn each(bundle: &Path, mut take: impl FnMut(Object)) -> Result<()> {
    let path = bundle.join(MIRROR_INDEX);
    if !path.is_file() {
        return plain(bundle, take);
    }
    let failed = || format!("reading {}", path.display());
    for (number, line) in
        BufReader::new(File::open(&path).with_context(failed)?).split(b'\n').enumerate()
    {
        let line = line.with_context(failed)?;
        let wrong = || format!("{}: line {} names no object", path.display(), number + 1);
        take(serde_json::from_slice(&line).with_context(wrong)?);
    }
    Ok(())
}

fn plain(bundle: &Path, mut take: impl FnMut(Object)) -> Result<()> {
    let root = bundle.join(MIRROR);
    if !root.is_dir() {
        return Ok(());
    }
    let key = |path: &OsStr| path.to_string_lossy().into_owned();
    let tree = Tree::walk(&root)?;
    tree.files
        .iter()
        .map(|(path, size)| Object { key: key(path), size: *size, sha256: None })
        .for_each(&mut take);
    Ok(())
}

/// All objects, sorted by key.
pub fn all(bundle: &Path) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    each(bundle, |object| objects.push(object))?;
    objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(objects)
}

/// The first part of a key, before its first slash; empty where it has no slash.
pub fn prefix(key: &str) -> &str {
    key.split_once('/').map_or("", |(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_from_the_index_or_else_from_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let keys = || -> Vec<_> { all(dir.path()).unwrap().into_iter().map(|o| o.key).collect() };
        assert!(keys().is_empty());
        std::fs::create_dir_all(dir.path().join("minio/b")).unwrap();
        std::fs::write(dir.path().join("minio/b/c"), "12345").unwrap();
        assert_eq!(keys(), ["b/c"]);
        std::fs::create_dir(dir.path().join(bundle_format::layout::MIRROR_OWN)).unwrap();
        let index = "{\"key\":\"z/1\",\"path\":\"z/1\",\"size\":2,\"sha256\":\"00\"}\n{\"key\":\"a\",\"size\":1}\n";
        std::fs::write(dir.path().join(MIRROR_INDEX), index).unwrap();
        assert_eq!(keys(), ["a", "z/1"]);
        std::fs::write(dir.path().join(MIRROR_INDEX), "{\"key\":").unwrap();
        let error = all(dir.path()).unwrap_err();
        assert!(error.to_string().contains("line 1 names no object"), "{error}");
    }

    #[test]
    fn a_prefix_is_what_stands_before_the_first_slash() {
        for (key, expected) in [("a/b/c", "a"), ("a", ""), ("/a", ""), ("ä/", "ä")] {
            assert_eq!(prefix(key), expected);
        }
    }
}
