//! Where an archive is unpacked: a partial bundle that nobody takes for a finished one, and that is
//! gone again unless it is published.

use crate::bundle_name::BundleName;
use crate::publish;
use crate::sums::{Digest, Sums};
use crate::text;
use anyhow::{Context, Result};
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::{Stop, atomic};
use rustix::fs::{FlockOperation, flock, statvfs};
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, FileTimes, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What is left free at most on the filesystem, in bytes; a small one keeps a twentieth.
const RESERVE: u64 = 256 << 20;
/// The same of its files' number.
const RESERVE_FILES: u64 = 1000;
/// What an entry takes at least, in bytes.
const LEAST: u64 = 4096;
const BLOCK: usize = 1 << 20;

/// The directory that bundles are unpacked in, locked against every other run that makes bundles there.
pub struct Ground {
    dir: PathBuf,
    /// Held for as long as this lives.
    _lock: File,
    /// Undoes the directory, where it was made for this run and nothing came of it.
    made: Option<Guard>,
}

impl Ground {
    /// Makes the directory (0700) if it is missing, and removes what a killed run left in it.
    ///
    /// # Errors
    /// [`Stop::refused`] if another run holds its lock; if it cannot be made or written to.
    pub fn prepare(dir: &Path) -> Result<Self> {
        let is_new = dir.symlink_metadata().is_err();
        if is_new {
            let parent = atomic::directory_of(dir);
            make_directories(parent).with_context(|| format!("making {}", parent.display()))?;
            make_directories(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        let dir = crate::tree::resolve(dir)?;
        let path = dir.join(".lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let lock = lock.with_context(|| format!("opening {}", path.display()))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let why = "another run is working in the directory (it holds";
            Stop::refused(format!("{why} {}); nothing was done", path.display()))
        })?;
        let undone = dir.clone();
        let made = is_new.then(|| {
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
        let ground = Self { dir, _lock: lock, made };
        ground.clear()?;
        Ok(ground)
    }

    /// Holding the lock, whatever partial lies here is a killed run's.
    fn clear(&self) -> Result<()> {
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

    /// What was unpacked is to stay.
    pub fn keep(self) {
        if let Some(made) = self.made {
            made.disarm();
        }
    }
}

fn make_directories(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A partial bundle being filled. Dropped, or ended by a signal, it is removed.
pub struct Landing {
    /// `.NAME.partial`
    pub partial: PathBuf,
    /// The name it is to have.
    pub name: BundleName,
    /// The sum of every file written.
    pub written: Sums,
    guard: Guard,
}

impl Landing {
    /// Makes an empty one.
    ///
    /// # Errors
    /// [`Stop::refused`] if there is such a bundle already; if it cannot be made.
    pub fn begin(ground: &Ground, name: BundleName) -> Result<Self> {
        let target = ground.dir.join(name.as_str());
        if target.symlink_metadata().is_ok() {
            return Err(publish::exists(&target).into());
        }
        let partial = ground.dir.join(format!(".{}.partial", name.as_str()));
        let undone = partial.clone();
        let guard = cleanup::on_failure(move || {
            // What is being written meanwhile may need a second round.
            let _ = (0..5).any(|_| std::fs::remove_dir_all(&undone).is_ok());
        });
        DirBuilder::new()
            .mode(0o700)
            .create(&partial)
            .with_context(|| format!("making {}", partial.display()))?;
        Ok(Self { partial, name, written: Sums::new(), guard })
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// [`Stop::damaged`] if a file is in its way; if it cannot be made.
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
        let mut file = self.create(path).map_err(|e| failed(path, e))?;
        let digest = self.fill(&mut file, path, size, content)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(mtime);
        file.set_times(FileTimes::new().set_modified(time)).map_err(|e| failed(path, e))?;
        self.written.insert(path.to_owned(), digest);
        Ok(())
    }

    fn create(&self, path: &OsStr) -> std::io::Result<File> {
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
            // Others write to the filesystem too, and a signal's clean-up must find an end to this.
            self.require_room(0)?;
        }
    }

    /// A size that an archive tells is believed only if there is room for it; what it does not tell of
    /// cannot be written at all.
    fn require_room(&self, bytes: u64) -> Result<()> {
        if cleanup::signal().is_some() {
            anyhow::bail!("ended by a signal");
        }
        let fs = statvfs(&self.partial)
            .with_context(|| format!("asking for room on {}", self.partial.display()))?;
        let free = fs.f_bavail.saturating_mul(fs.f_frsize);
        let reserve = RESERVE.min(fs.f_blocks.saturating_mul(fs.f_frsize) / 20);
        let dir = atomic::directory_of(&self.partial).display();
        if free.saturating_sub(bytes) < reserve {
            let reserve = text::size(reserve);
            return Err(Stop::refused(format!(
                "no room in {dir}: {} are free, {} more are needed, and {reserve} must stay free; nothing was kept",
                text::size(free),
                text::size(bytes)
            ))
            .into());
        }
        // Filesystems without a fixed number of files tell none.
        if fs.f_files > 0 && fs.f_favail < RESERVE_FILES.min(fs.f_files / 20) {
            return Err(Stop::refused(format!(
                "no room in {dir}: the filesystem takes {} more files; nothing was kept",
                fs.f_favail
            ))
            .into());
        }
        Ok(())
    }

    /// It is published, or somebody else's now.
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
            Stop::damaged(format!("the archive's {shown} lies in a file")).into()
        }
        _ => anyhow::Error::new(error).context(format!("writing {shown}")),
    }
}
