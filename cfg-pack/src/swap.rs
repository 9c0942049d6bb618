//! Things made under a temporary name, and what stood in their place kept aside.

use crate::disk::Location;
use crate::kept;
use anyhow::{Context, Result, anyhow, bail};
use chrono::{DateTime, Utc};
use pipe_kit::{atomic, cleanup};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;

/// A thing being made under a temporary name; gone again unless the guard is disarmed.
pub struct Temp {
    pub dir: Arc<OwnedFd>,
    pub name: Vec<u8>,
    /// Open to be written, unless it is a link.
    pub file: Option<File>,
    pub guard: cleanup::Guard,
}

impl Temp {
    /// A file that is its owner's alone.
    pub fn file(location: &Location) -> Result<Self> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::new(location, |dir, name| {
            let mode = Mode::RUSR | Mode::WUSR;
            rustix::fs::openat(dir, name, flags, mode).map(|fd| Some(File::from(fd)))
        })
    }

    pub fn link(location: &Location, target: &[u8]) -> Result<Self> {
        Self::new(location, |dir, name| rustix::fs::symlinkat(target, dir, name).map(|()| None))
    }

    fn new(
        location: &Location,
        make: impl Fn(&OwnedFd, &[u8]) -> rustix::io::Result<Option<File>>,
    ) -> Result<Self> {
        let dir =
            location.dir.try_clone().with_context(|| format!("writing {}", location.shown()))?;
        let dir = Arc::new(dir);
        for try_again in 0..1000 {
            let name = format!("{}{}-{try_again}", atomic::PREFIX, std::process::id()).into_bytes();
            match make(&dir, &name) {
                Ok(file) => {
                    let (at, gone) = (Arc::clone(&dir), name.clone());
                    let guard = cleanup::on_failure(move || {
                        let _ = rustix::fs::unlinkat(at.as_fd(), gone.as_slice(), AtFlags::empty());
                    });
                    return Ok(Self { dir, name, file, guard });
                }
                Err(Errno::EXIST) => {}
                Err(e) => return Err(anyhow!(e).context(format!("writing {}", location.shown()))),
            }
        }
        bail!("writing {}: too many leftovers ({}*) beside it", location.shown(), atomic::PREFIX)
    }
}

/// What was set aside.
pub enum Kept {
    /// It has a second name, and still its own.
    Linked(Vec<u8>),
    /// It has only its new name.
    Moved(Vec<u8>),
}

impl Kept {
    /// The name it has now.
    pub fn name(&self) -> &[u8] {
        let (Self::Linked(name) | Self::Moved(name)) = self;
        name
    }

    /// Gives it its own name back.
    pub fn undo(&self, location: &Location) {
        let _ = match self {
            Self::Linked(name) => {
                rustix::fs::unlinkat(&location.dir, name.as_slice(), AtFlags::empty())
            }
            Self::Moved(name) => rename_new(&location.dir, name, &location.name),
        };
    }
}

/// Keeps what is at a location under a free name. A second name is better where there may be one: then
/// its own name is never without a file.
pub fn keep(location: &Location, now: DateTime<Utc>, may_link: bool) -> Result<Kept> {
    for name in kept::candidates(&location.name, now) {
        if may_link {
            let (dir, old) = (&location.dir, location.name.as_slice());
            match rustix::fs::linkat(dir, old, dir, name.as_slice(), AtFlags::empty()) {
                Ok(()) => return Ok(Kept::Linked(name)),
                Err(Errno::EXIST) => continue,
                // The filesystem has none, or the file is another user's.
                Err(_) => {}
            }
        }
        match rename_new(&location.dir, &location.name, &name) {
            Ok(()) => return Ok(Kept::Moved(name)),
            Err(Errno::EXIST) => {}
            Err(e) => {
                return Err(anyhow!(e).context(format!("keeping a copy of {}", location.shown())));
            }
        }
    }
    bail!("keeping a copy of {}: no name for it is free", location.shown())
}

/// Renames to a name that must be free.
pub fn rename_new(dir: &OwnedFd, from: &[u8], to: &[u8]) -> rustix::io::Result<()> {
    pipe_kit::atomic::rename_new(dir, from, to)
}
