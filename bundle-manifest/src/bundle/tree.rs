//! The files of a bundle as they lie on disk, links not followed.

use crate::bundle::path_map::{PathList, PathMap};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::FileType;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Everything below a directory; paths are relative to it.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Regular files, each with its size in bytes.
    pub files: PathMap<u64>,
    /// What a bundle must not hold (links, devices, …), each with the name of its kind.
    pub odd: BTreeMap<OsString, &'static str>,
    /// Directories, the root itself (an empty path) included.
    pub directories: Vec<PathBuf>,
}

impl Tree {
    /// Walks a directory.
    pub fn walk(dir: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let mut files = PathList::default();
        for entry in WalkDir::new(dir).follow_root_links(true) {
            let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
            let path = entry.path().strip_prefix(dir)?;
            let kind = entry.file_type();
            if entry.depth() == 0 || kind.is_dir() {
                tree.directories.push(path.to_owned());
            } else if kind.is_file() {
                let size =
                    entry.metadata().with_context(|| format!("reading {}", dir.display()))?;
                files.push(path.as_os_str(), size.len());
            } else {
                tree.odd.insert(path.into(), name_of(kind));
            }
        }
        tree.files = files.sorted();
        Ok(tree)
    }

    /// The size of a regular file in bytes.
    pub fn size(&self, path: impl AsRef<OsStr>) -> Option<u64> {
        self.files.get(path).copied()
    }

    /// The sum of all sizes in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    /// Directories without a file anywhere below them, except the root.
    pub fn empty_directories(&self) -> impl Iterator<Item = &PathBuf> {
        let odd: PathMap<()> = self.odd.keys().map(|path| (path, ())).collect();
        let holds = move |dir: &Path| self.files.has_below(dir) || odd.has_below(dir);
        self.directories.iter().filter(move |dir| !dir.as_os_str().is_empty() && !holds(dir))
    }

    /// Whether there is such a directory.
    pub fn has_directory(&self, path: &str) -> bool {
        self.directories.iter().any(|d| d.as_os_str() == path)
    }
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Removes a file, if it is there. On a read-only filesystem even removing one that is not there fails.
pub fn remove_file_if_there(path: &Path) -> io::Result<()> {
    let removed = path.symlink_metadata().and_then(|_| std::fs::remove_file(path));
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        ended => ended,
    }
}

/// The directory that a path names, made absolute, so that its name is known where it is `.`.
pub fn resolve(dir: &Path) -> Result<PathBuf> {
    let real = dir.canonicalize().with_context(|| format!("opening {}", dir.display()))?;
    anyhow::ensure!(real.is_dir(), "{} is not a directory", dir.display());
    Ok(real)
}

/// Whether group or others may read a directory or go into it.
pub fn is_open(dir: &Path) -> bool {
    dir.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o055 != 0)
}

/// The last part of a path.
pub fn name(dir: &Path) -> &OsStr {
    dir.file_name().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_known_as_such_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d/f"), "four").unwrap();
        std::os::unix::fs::symlink("d", dir.path().join("l")).unwrap();
        let tree = Tree::walk(dir.path()).unwrap();
        assert_eq!(tree.size("d/f"), Some(4));
        assert_eq!(tree.bytes(), 4);
        assert_eq!(tree.odd.get(OsStr::new("l")), Some(&"a symbolic link"));
        assert!(tree.has_directory("d"));
        std::fs::create_dir_all(dir.path().join("e/f")).unwrap();
        let tree = Tree::walk(dir.path()).unwrap();
        assert_eq!(tree.empty_directories().count(), 2);
        assert_eq!(tree.files.len(), 1);
    }
}
