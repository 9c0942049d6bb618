//! Open directories of a mirror. No symbolic link is followed.

use pipe_kit::mutex::lock;
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Directories of one generation that are kept open. Two generations and the connections together must be far
/// from the usual limit of 1,024 descriptors.
const KEPT: usize = 48;

/// The directories that were used last stay open, since objects come in the order of their paths.
pub struct Directories {
    root: Arc<OwnedFd>,
    kept: Mutex<Kept>,
}

/// Open directories by their paths. When the new ones are too many, those that were not used since the last
/// time are closed.
#[derive(Default)]
struct Kept {
    new: HashMap<String, Opened>,
    old: HashMap<String, Opened>,
}

/// An open directory.
#[derive(Clone)]
struct Opened {
    fd: Arc<OwnedFd>,
    /// Whether this run has made it, so that most names in it are still free.
    is_new: bool,
}

impl Kept {
    fn get(&mut self, path: &str) -> Option<Opened> {
        if let Some(opened) = self.new.get(path) {
            return Some(opened.clone());
        }
        let (path, opened) = self.old.remove_entry(path)?;
        self.add(path, opened.clone());
        Some(opened)
    }

    fn add(&mut self, path: String, opened: Opened) {
        if self.new.len() >= KEPT {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(path, opened);
    }
}

impl Directories {
    pub fn new(root: OwnedFd) -> Self {
        Self { root: Arc::new(root), kept: Mutex::default() }
    }

    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the directory at a relative path anew; `create` makes it (0700) if it is missing.
    pub fn open(&self, relative: &str, create: bool) -> io::Result<OwnedFd> {
        let mut dir = self.root.try_clone()?;
        for name in relative.split('/').filter(|s| !s.is_empty()) {
            (dir, _) = open_in(dir.as_fd(), name, create, false)?;
        }
        Ok(dir)
    }

    /// Opens a directory and keeps it open for the next callers.
    pub fn recent(&self, relative: &str, create: bool) -> io::Result<Arc<OwnedFd>> {
        Ok(self.opened(relative, create)?.fd)
    }

    fn opened(&self, relative: &str, create: bool) -> io::Result<Opened> {
        if relative.is_empty() {
            return Ok(Opened { fd: Arc::clone(&self.root), is_new: false });
        }
        if let Some(opened) = lock(&self.kept).get(relative) {
            return Ok(opened);
        }
        let (parent, name) = relative.rsplit_once('/').unwrap_or(("", relative));
        let parent = self.opened(parent, create)?;
        if name.is_empty() {
            return Ok(parent);
        }
        let (fd, is_new) = open_in(parent.fd.as_fd(), name, create, parent.is_new)?;
        let opened = Opened { fd: Arc::new(fd), is_new };
        lock(&self.kept).add(relative.to_owned(), opened.clone());
        Ok(opened)
    }
}

/// Opens a directory in another one, and returns whether it was made. `is_likely_new`: it is made first.
fn open_in(
    dir: BorrowedFd<'_>,
    name: &str,
    create: bool,
    is_likely_new: bool,
) -> io::Result<(OwnedFd, bool)> {
    if name == "." || name == ".." {
        return Err(io::Error::other("the path leaves the mirror"));
    }
    let make = || match mkdirat(dir, name, Mode::RWXU) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e),
    };
    let open = || openat(dir, name, DIRECTORY, Mode::empty());
    let mut is_new = create && is_likely_new && make()?;
    let opened = match open() {
        Err(Errno::NOENT) if create => {
            is_new = make()?;
            open()
        }
        other => other,
    };
    let opened = opened.map_err(|e| match e {
        Errno::LOOP | Errno::NOTDIR => io::Error::other(format!("{name} is not a directory")),
        e => e.into(),
    })?;
    Ok((opened, is_new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn directories(path: &Path) -> Directories {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Directories::new(rustix::fs::open(path, flags, Mode::empty()).unwrap())
    }

    #[test]
    fn directories_are_made_once_and_few_stay_open() {
        let dir = tempfile::tempdir().unwrap();
        let directories = directories(dir.path());
        let path = |n: usize| format!("a/{n}/b");
        for n in (0..500).chain(0..500) {
            directories.recent(&path(n), true).unwrap();
            assert!(dir.path().join(path(n)).is_dir());
        }
        let again = directories.recent(&path(499), false).unwrap();
        assert!(Arc::ptr_eq(&again, &directories.recent(&path(499), true).unwrap()));
        let kept = lock(&directories.kept);
        assert!(kept.new.len() + kept.old.len() <= 2 * KEPT);
    }

    #[test]
    fn a_path_that_leaves_the_mirror_or_leads_through_a_link_is_not_opened() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), dir.path().join("link")).unwrap();
        let directories = directories(dir.path());
        directories.recent("new", true).unwrap();
        symlink(outside.path(), dir.path().join("new/link")).unwrap();
        for path in ["link", "link/a", "new/link", "new/link/a", "..", "new/../../a", "new/."] {
            assert!(directories.recent(path, true).is_err(), "{path}");
            assert!(directories.open(path, true).is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        let missing = directories.recent("missing/a", false).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
