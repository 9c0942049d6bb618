//! Where filesystems are mounted.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The path without links, or its nearest directory that exists.
#[must_use]
pub fn existing(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|path| path.canonicalize().ok());
    real.unwrap_or_else(|| PathBuf::from("/"))
}

/// The device of a directory; what an automounter mounts there is mounted by this.
fn device(dir: &Path) -> Option<u64> {
    dir.join(".").metadata().ok().map(|found| found.dev())
}

/// The topmost directory of the filesystem that a directory is on.
#[must_use]
pub fn mount_point(dir: &Path) -> PathBuf {
    let here = device(dir);
    let same = dir.ancestors().take_while(|dir| device(dir) == here);
    same.last().unwrap_or(dir).to_owned()
}

/// Whether a filesystem is mounted at a directory.
#[must_use]
pub fn is_mount_point(dir: &Path) -> bool {
    match dir.parent() {
        None => true,
        Some(parent) => device(dir).is_some_and(|here| device(parent) != Some(here)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_on_the_filesystem_that_is_mounted_above_it() {
        assert_eq!(mount_point(Path::new("/proc/self")), Path::new("/proc"));
        assert!(is_mount_point(Path::new("/proc")) && !is_mount_point(Path::new("/proc/self")));
        assert!(!is_mount_point(Path::new("/nonexistent/x")));
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        assert_eq!(existing(&real.join("a/b")), real);
    }
}
