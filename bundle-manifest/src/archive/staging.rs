//! The directory into which an archive is unpacked: a partial bundle, removed again unless it is published.

use crate::bundle::path_map::PathList;
use crate::bundle::tree;
use crate::publish;
use anyhow::{Context, Result};
use bundle_format::BundleName;
use bundle_format::name::Beside;
use bundle_format::sums::Digest;
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::{Stop, atomic, text};
use rustix::fs::{FlockOperation, flock, statvfs};
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, FileTimes, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What stays free on the filesystem, in bytes; on a small one, a twentieth of it.
const RESERVE: u64 = 256 << 20;
/// How many more files the filesystem must be able to take; on a small one, a twentieth of its number.
const RESERVE_FILES: u64 = 1000;
/// The least that an entry takes, in bytes.
const LEAST: u64 = 4096;
const BLOCK: usize = 1 << 20;

/// The directory that holds the bundles, locked against every other run that makes bundles there.
pub struct LockedDirectory {
    dir: PathBuf,
    /// Held for as long as this lives.
    _lock: File,
    /// Removes the directory again, where it was created for this run and the run fails.
    created: Option<Guard>,
}

impl LockedDirectory {
    /// Creates the directory (0700) if it is missing, and removes what a killed run left in it.
    ///
    /// # Errors
    /// [`Stop::refused`] if another run holds its lock; if it cannot be created or written to.
    pub fn prepare(dir: &Path) -> Result<Self> {
        let is_new = dir.symlink_metadata().is_err();
        if is_new {
            let parent = atomic::directory_of(dir);
            make_directories(parent).with_context(|| format!("creating {}", parent.display()))?;
            make_directories(dir).with_context(|| format!("creating {}", dir.display()))?;
        }
        let dir = tree::resolve(dir)?;
        let path = dir.join(".lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let lock = lock.with_context(|| format!("opening {}", path.display()))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let why = "another run is working in the directory (it holds";
            Stop::refused(format!("{why} {}); nothing was done", path.display()))
        })?;
        let undone = dir.clone();
        let created = is_new.then(|| {
            cleanup::on_failure(move || {
                let _ = std::fs::remove_file(undone.join(".lock"));
                // Only if it is empty; after a signal, another thread may be emptying it.
                for _ in 0..100 {
                    if std::fs::remove_dir(&undone).is_ok() || cleanup::signal().is_none() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        });
        let locked = Self { dir, _lock: lock, created };
        locked.remove_partials()?;
        Ok(locked)
    }

    /// While the lock is held, every partial bundle here is the leftover of a killed run.
    fn remove_partials(&self) -> Result<()> {
        let failed = || format!("reading {}", self.dir.display());
        for entry in std::fs::read_dir(&self.dir).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let is_dir = entry.file_type().with_context(failed)?.is_dir();
            if is_dir && BundleName::parse_partial(&entry.file_name()).is_some() {
                let path = entry.path();
                std::fs::remove_dir_all(&path)
                    .with_context(|| format!("removing the leftover {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Keeps the directory, whether or not it was created for this run.
    pub fn keep(self) {
        if let Some(created) = self.created {
            created.disarm();
        }
    }
}

fn make_directories(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A partial bundle being filled. Dropped, or ended by a signal, it is removed.
pub struct StagingDirectory {
    /// `.NAME.partial`
    pub partial: PathBuf,
    /// The name of the finished bundle.
    pub name: BundleName,
    /// The checksum of every file written.
    pub written: PathList<Digest>,
    guard: Guard,
}

impl StagingDirectory {
    /// Creates an empty one.
    ///
    /// # Errors
    /// [`Stop::refused`] if there is such a bundle already; if it cannot be created.
    pub fn create(root: &LockedDirectory, name: BundleName) -> Result<Self> {
        let target = root.dir.join(name.as_str());
        if target.symlink_metadata().is_ok() {
            return Err(publish::exists(&target).into());
        }
        let partial = root.dir.join(name.beside(Beside::Partial));
        let undone = partial.clone();
        let guard = cleanup::on_failure(move || {
            // A file that is written meanwhile may need a second attempt.
            let _ = (0..5).any(|_| std::fs::remove_dir_all(&undone).is_ok());
        });
        DirBuilder::new()
            .mode(0o700)
            .create(&partial)
            .with_context(|| format!("creating {}", partial.display()))?;
        Ok(Self { partial, name, written: PathList::default(), guard })
    }

    /// Creates a directory.
    ///
    /// # Errors
    /// [`Stop::damaged`] if a file is in its place; if it cannot be created.
    pub fn directory(&self, path: &OsStr) -> Result<()> {
        let room = self.require_room(LEAST);
        room.and_then(|()| make_directories(&self.partial.join(path)).map_err(|e| failed(path, e)))
    }

    /// Writes a file of exactly `size` bytes.
    ///
    /// # Errors
    /// [`Stop::damaged`] if something is there already or the content ends early, [`Stop::refused`] if
    /// there is no room for it; if it cannot be written.
    pub fn file(&mut self, path: &OsStr, size: u64, mtime: u64, content: impl Read) -> Result<()> {
        self.require_room(size.max(LEAST))?;
        let mut file = self.create_file(path).map_err(|e| failed(path, e))?;
        let digest = self.fill(&mut file, path, size, content)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(mtime);
        file.set_times(FileTimes::new().set_modified(time)).map_err(|e| failed(path, e))?;
        self.written.push(path, digest);
        Ok(())
    }

    fn create_file(&self, path: &OsStr) -> std::io::Result<File> {
        let path = self.partial.join(path);
        let mut new = OpenOptions::new();
        new.write(true).create_new(true).mode(0o600);
        match new.open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                make_directories(atomic::directory_of(&path))?;
                new.open(&path)
            }
            opened => opened,
        }
    }

    fn fill(&self, file: &mut File, path: &OsStr, size: u64, content: impl Read) -> Result<Digest> {
        let mut content = content.take(size);
        let mut hasher = Sha256::new();
        let mut block = vec![0; BLOCK.min(usize::try_from(size).unwrap_or(BLOCK).max(1))];
        loop {
            let n = match content.read(&mut block) {
                Ok(0) => return Ok(hasher.finalize().into()),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.into()),
            };
            hasher.update(&block[..n]);
            file.write_all(&block[..n]).map_err(|e| failed(path, e))?;
            // Others write to the filesystem too; and a signal must end this, for its clean-up to run.
            self.require_room(0)?;
        }
    }

    /// Refuses what would fill the filesystem, whatever size an archive declares.
    fn require_room(&self, bytes: u64) -> Result<()> {
        if cleanup::signal().is_some() {
            anyhow::bail!("ended by a signal");
        }
        let fs = statvfs(&self.partial)
            .with_context(|| format!("checking the free space on {}", self.partial.display()))?;
        let free = fs.f_bavail.saturating_mul(fs.f_frsize);
        let reserve = RESERVE.min(fs.f_blocks.saturating_mul(fs.f_frsize) / 20);
        let dir = atomic::directory_of(&self.partial).display();
        if free.saturating_sub(bytes) < reserve {
            let reserve = text::size(reserve);
            return Err(Stop::refused(format!(
                "not enough space in {dir}: {} are free, {} more are needed, and {reserve} must stay free; \
                 nothing was kept",
                text::size(free),
                text::size(bytes)
            ))
            .into());
        }
        // Filesystems without a fixed number of files report none.
        if fs.f_files > 0 && fs.f_favail < RESERVE_FILES.min(fs.f_files / 20) {
            return Err(Stop::refused(format!(
                "not enough space in {dir}: the filesystem has only {} free inodes; nothing was kept",
                fs.f_favail
            ))
            .into());
        }
        Ok(())
    }

    /// Keeps the directory: it is published.
    pub fn keep(self) {
        self.guard.disarm();
    }
}

fn failed(path: &OsStr, error: std::io::Error) -> anyhow::Error {
    let shown = text::path(path);
    match error.kind() {
        ErrorKind::AlreadyExists => {
            Stop::damaged(format!("the archive holds {shown} twice")).into()
        }
        ErrorKind::NotADirectory => {
            Stop::damaged(format!("the archive's {shown} is below a file")).into()
        }
        _ => anyhow::Error::new(error).context(format!("writing {shown}")),
    }
}
