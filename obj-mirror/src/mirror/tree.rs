//! The directory of a mirror, used only through descriptors that follow no symbolic link: whatever it contains,
//! nothing outside is read or written.

use crate::mirror::directories::Directories;
use crate::mirror::placement::OWN;
use crate::object::whole_millis;
use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use pipe_kit::cleanup::{self, Guard};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// An open mirror.
pub struct Tree {
    path: PathBuf,
    directories: Directories,
    temp: OnceLock<OwnedFd>,
}

/// A file's size in bytes and modification time (UTC, milliseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub size: u64,
    /// None if the time is out of range.
    pub modified: Option<DateTime<Utc>>,
}

impl Tree {
    pub fn open(path: &Path) -> Result<Self> {
        // The directory itself may be reached through a link: the operator named it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .with_context(|| format!("opening directory {}", path.display()))?;
        let directories = Directories::new(root);
        Ok(Self { path: path.to_owned(), directories, temp: OnceLock::new() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory at a relative path; `create` makes it (0700) if it is missing.
    pub fn directory(&self, relative: &str, create: bool) -> io::Result<OwnedFd> {
        self.directories.open(relative, create)
    }

    /// Opens a directory and keeps it open for the next callers.
    pub(crate) fn recent(&self, relative: &str, create: bool) -> io::Result<Arc<OwnedFd>> {
        self.directories.recent(relative, create)
    }

    /// The regular file at a relative path; none if there is none or something else.
    pub fn stat(&self, relative: &str) -> Option<Stat> {
        let (parent, name) = split(relative);
        let dir = self.recent(parent, false).ok()?;
        let stat = statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        is_file.then(|| Stat {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: DateTime::from_timestamp(stat.st_mtime, stat.st_mtime_nsec as u32)
                .map(whole_millis),
        })
    }

    /// Whether a file is where the path needs a directory, or a directory where it needs a file.
    pub fn is_blocked(&self, relative: &str) -> bool {
        let (parent, name) = split(relative);
        match self.recent(parent, false) {
            Ok(dir) => statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, relative: &str) -> io::Result<File> {
        let (parent, name) = split(relative);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&*self.recent(parent, false)?, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::other("not a regular file"))
        }
    }

    /// Creates a temporary file (0600) in the mirror's own directory.
    pub fn create_temp(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(openat(self.temp_dir()?, name, flags | OFlags::CLOEXEC, mode)?.into())
    }

    /// Renames a temporary file to its final path, replacing what was there.
    pub fn place_temp(&self, name: &str, relative: &str) -> io::Result<()> {
        let (parent, last) = split(relative);
        let target = self.recent(parent, true)?;
        let renamed = match renameat(self.temp_dir()?, name, &*target, last) {
            // Somebody has removed the directory meanwhile.
            Err(Errno::NOENT) => {
                renameat(self.temp_dir()?, name, self.directory(parent, true)?, last)
            }
            other => other,
        };
        renamed.map_err(|e| match e {
            Errno::ISDIR | Errno::NOTEMPTY => io::Error::other("a directory is in the way"),
            e => e.into(),
        })
    }

    pub fn remove_temp(&self, name: &str) {
        if let Ok(dir) = self.temp_dir() {
            let _ = unlinkat(dir, name, AtFlags::empty());
        }
    }

    /// Creates the mirror's own directories.
    pub fn prepare(&self) -> Result<()> {
        self.directory(&format!("{OWN}/tmp"), true)
            .map(|temp| drop(self.temp.set(temp)))
            .with_context(|| format!("creating {OWN} in {}", self.path.display()))
    }

    /// Opened once and never created again: a thread that still runs while a signal ends the run must
    /// not bring the directory back.
    pub(crate) fn temp_dir(&self) -> io::Result<&OwnedFd> {
        self.temp.get().ok_or_else(|| io::Error::other("there is no directory for temporary files"))
    }

    /// Whether the filesystem ignores case.
    pub fn is_case_blind(&self) -> io::Result<bool> {
        drop(self.create_temp("Case")?);
        let blind = statat(self.temp_dir()?, "cASE", AtFlags::SYMLINK_NOFOLLOW).is_ok();
        self.remove_temp("Case");
        Ok(blind)
    }

    /// Syncs the whole filesystem that the mirror is on.
    pub fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(self.directories.root())?)
    }

    /// Removes what a killed run left.
    pub fn clear_temps(&self) -> Result<()> {
        let own = self.path.join(OWN);
        for dir in [own.join("tmp"), own] {
            for item in
                std::fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?
            {
                let item = item.with_context(|| format!("reading {}", dir.display()))?;
                let name = item.file_name();
                if dir.ends_with("tmp") || is_temp(&name.to_string_lossy()) {
                    let path = item.path();
                    std::fs::remove_file(&path)
                        .with_context(|| format!("removing {}", path.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Removes the temporary files if the run fails or a signal ends it.
    pub fn remove_temps_on_failure(&self) -> Guard {
        let tmp = self.path.join(OWN).join("tmp");
        cleanup::on_failure(move || {
            // Files written meanwhile may need another attempt.
            let _ = (0..3).any(|_| std::fs::remove_dir_all(&tmp).is_ok());
        })
    }

    pub fn remove_temp_directory(&self) {
        let _ = std::fs::remove_dir(self.path.join(OWN).join("tmp"));
    }

    pub fn open_journal(&self) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let own = self.directory(OWN, false)?;
        Ok(openat(own, "journal.jsonl", flags | OFlags::CLOEXEC, mode)?.into())
    }

    /// Removes a file, and the directories that this leaves empty.
    pub fn remove(&self, relative: &str) -> io::Result<()> {
        let (mut parent, name) = split(relative);
        match unlinkat(self.directory(parent, false)?, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        while !parent.is_empty() && !parent.starts_with(OWN) {
            let (above, name) = split(parent);
            if unlinkat(self.directory(above, false)?, name, AtFlags::REMOVEDIR).is_err() {
                break;
            }
            parent = above;
        }
        Ok(())
    }

    /// Syncs the names in a directory; one that is gone needs no sync.
    pub fn sync(&self, relative: &str) -> Result<()> {
        let synced = match self.directory(relative, false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => opened.and_then(|fd| File::from(fd).sync_all()),
        };
        synced.with_context(|| format!("syncing {}", self.path.join(relative).display()))
    }
}

pub fn is_temp(name: &str) -> bool {
    name.starts_with(pipe_kit::atomic::PREFIX)
}

/// The parent of a relative path (empty for the root) and its last component.
pub fn split(relative: &str) -> (&str, &str) {
    relative.rsplit_once('/').unwrap_or(("", relative))
}

pub fn require_directory(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => bail!("{} is not a directory", path.display()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            bail!("directory {} does not exist; nothing was changed", path.display())
        }
        Err(e) => Err(e).with_context(|| format!("opening {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(tree: &Tree, relative: &str) -> io::Result<()> {
        tree.prepare().map_err(io::Error::other)?;
        tree.create_temp("t")?;
        tree.place_temp("t", relative)
    }

    #[test]
    fn nothing_is_written_or_read_through_a_link() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        symlink(outside.path(), dir.path().join("link")).unwrap();
        symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        assert!(put(&tree, "link/x").is_err());
        assert!(put(&tree, "link/sub/x").is_err());
        assert!(tree.open_file("link/secret").is_err());
        assert!(tree.open_file("file").is_err());
        assert!(tree.directory("../x", true).is_err());
        // A link in a file's place is replaced, not followed.
        put(&tree, "file").unwrap();
        assert!(!dir.path().join("file").symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"s");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_mirror_whose_own_directory_is_a_link_is_not_used() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        symlink(outside.path(), dir.path().join(OWN)).unwrap();
        assert!(Tree::open(dir.path()).unwrap().prepare().is_err());
    }

    #[test]
    fn removing_the_last_file_removes_its_directories() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        put(&tree, "a/b/c").unwrap();
        put(&tree, "a/d").unwrap();
        tree.remove("a/b/c").unwrap();
        assert!(!dir.path().join("a/b").exists() && dir.path().join("a/d").exists());
    }
}
