//! The files in a mirror.

use crate::mirror::placement::OWN;
use crate::mirror::tree::{Stat, Tree, is_temp};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// An entry of a mirror's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A regular file, by path relative to the mirror.
    File(&'a str),
    Directory(&'a str),
    /// A symbolic link, a device, or a name that is not UTF-8: never an object.
    Foreign(&'a Path),
}

/// Everything in a mirror except its own files; objects stored aside are included.
#[derive(Debug, Default)]
pub struct Contents {
    /// Regular files by path relative to the mirror.
    pub files: BTreeMap<String, Stat>,
    /// Symbolic links, devices, and names that are not UTF-8: never an object.
    pub foreign: BTreeSet<PathBuf>,
}

impl Tree {
    /// Visits everything in the mirror except its own files; objects stored aside are included.
    pub fn walk(&self, mut visit: impl FnMut(Item<'_>) -> Result<()>) -> Result<()> {
        let walk = walkdir::WalkDir::new(self.path()).min_depth(1).follow_links(false);
        let own = self.path().join(OWN);
        for item in walk.into_iter().filter_entry(|e| !is_own(e.path(), &own)) {
            let item = item.with_context(|| format!("reading {}", self.path().display()))?;
            let relative = item.path().strip_prefix(self.path()).unwrap_or(item.path());
            let kind = item.file_type();
            match relative.to_str() {
                Some(name) if kind.is_dir() => visit(Item::Directory(name))?,
                Some(name) if kind.is_file() => visit(Item::File(name))?,
                _ => visit(Item::Foreign(relative))?,
            }
        }
        Ok(())
    }

    pub fn contents(&self) -> Result<Contents> {
        let mut contents = Contents::default();
        self.walk(|item| {
            match item {
                Item::Directory(_) => {}
                Item::File(name) => {
                    let stat = self.stat(name).with_context(|| format!("reading {name}"))?;
                    contents.files.insert(name.to_owned(), stat);
                }
                Item::Foreign(path) => {
                    contents.foreign.insert(path.to_owned());
                }
            }
            Ok(())
        })?;
        Ok(contents)
    }

    /// Whether it contains nothing besides the mirror's own files and directories. Objects stored aside are content.
    pub fn is_empty(&self) -> Result<bool> {
        let own = self.path().join(OWN);
        let aside = own.join("objects");
        let is_directory = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_dir());
        let is_content = |path: &Path| match path == own || path == aside {
            true => !is_directory(path),
            false => !is_own(path, &own),
        };
        // What is looked into after the first is a directory, or is not there.
        for dir in [self.path(), &own, &aside] {
            if holds(dir, is_content)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a directory holds an entry of this kind. One that does not exist holds nothing.
fn holds(dir: &Path, is_it: impl Fn(&Path) -> bool) -> Result<bool> {
    let reading = || format!("reading {}", dir.display());
    let items = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        items => items.with_context(reading)?,
    };
    for item in items {
        if is_it(&item.with_context(reading)?.path()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The mirror's own files, which are not objects. Anything else in its directory is reported.
fn is_own(path: &Path, own: &Path) -> bool {
    path.strip_prefix(own).is_ok_and(|inside| {
        let first = inside.components().next().map(|c| c.as_os_str().to_string_lossy());
        first.is_some_and(|first| {
            matches!(&*first, "tmp" | "index.jsonl" | "SHA256SUMS" | "journal.jsonl")
                || is_temp(&first)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(tree: &Tree, relative: &str) {
        tree.prepare().unwrap();
        tree.create_temp("t").unwrap();
        tree.place_temp("t", relative).unwrap();
    }

    #[test]
    fn a_mirror_with_any_object_is_not_empty() {
        let cases = [
            ("a", false),
            ("a/b", false),
            (".obj-mirror/objects/x", false),
            (".obj-mirror/odd", false),
            (".obj-mirror/index.jsonl", true),
            (".obj-mirror/SHA256SUMS", true),
            (".obj-mirror/tmp/get-1", true),
        ];
        for (path, is_empty) in cases {
            let dir = tempfile::tempdir().unwrap();
            let tree = Tree::open(dir.path()).unwrap();
            assert!(tree.is_empty().unwrap());
            std::fs::create_dir_all(dir.path().join(OWN).join("objects")).unwrap();
            assert!(tree.is_empty().unwrap());
            put(&tree, path);
            assert_eq!(tree.is_empty().unwrap(), is_empty, "{path}");
        }
    }

    #[test]
    fn contents_leave_out_the_mirrors_own_files_alone() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        for path in ["a/b", ".obj-mirror/objects/x", ".obj-mirror/index.jsonl", ".obj-mirror/odd"] {
            put(&tree, path);
        }
        symlink("a", dir.path().join("l")).unwrap();
        let contents = tree.contents().unwrap();
        let files: Vec<_> = contents.files.keys().map(String::as_str).collect();
        assert_eq!(files, [".obj-mirror/objects/x", ".obj-mirror/odd", "a/b"]);
        assert_eq!(contents.foreign, BTreeSet::from([PathBuf::from("l")]));
    }
}
