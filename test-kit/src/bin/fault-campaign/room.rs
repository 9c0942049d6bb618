//! A disk of a chosen size, filled as far as is wanted: a tmpfs.

use anyhow::{Context, Result};
use pipe_kit::cleanup::{self, Guard};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; dropped, it is gone.
pub struct Room {
    dir: PathBuf,
    _unmount: Guard,
}

/// What its disk has given or refused.
pub enum Mounted {
    Room(Room),
    /// Nobody but root may mount, and a container's root often neither.
    Impossible(String),
}

impl Room {
    /// Mounts one of so many bytes on a directory.
    ///
    /// # Errors
    /// If `mount` cannot be run.
    pub fn mount(dir: &Path, bytes: u64) -> Result<Mounted> {
        let options = format!("size={bytes},mode=755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir)
            .output()
            .context("running mount")?;
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
            return Ok(Mounted::Impossible(format!("no tmpfs can be mounted here: {why}")));
        }
        let at = dir.to_owned();
        let unmount = cleanup::on_failure(move || {
            let _ = Command::new("umount").arg("--lazy").arg(&at).status();
        });
        Ok(Mounted::Room(Self { dir: dir.to_owned(), _unmount: unmount }))
    }

    /// How many bytes are free.
    pub fn free(&self) -> Result<u64> {
        let report = rustix::fs::statvfs(&self.dir).context("asking for the free room")?;
        Ok(report.f_bavail * report.f_frsize)
    }

    /// Leaves at most so many bytes free, at once, so that it can come in the middle of a run.
    pub fn leave(&self, bytes: u64) -> Result<()> {
        let file = std::fs::File::create(self.filler()).context("filling a disk")?;
        loop {
            let fill = self.free()?.saturating_sub(bytes);
            if fill == 0 {
                return Ok(());
            }
            let end = file.metadata().context("filling a disk")?.len();
            match fallocate(&file, FallocateFlags::empty(), end, fill) {
                // Others take room meanwhile.
                Ok(()) | Err(Errno::NOSPC) => {}
                Err(error) => return Err(error).context("filling a disk"),
            }
        }
    }

    /// Gives the room back.
    pub fn clear(&self) -> Result<()> {
        std::fs::remove_file(self.filler()).context("clearing a disk")
    }

    fn filler(&self) -> PathBuf {
        self.dir.join("filler")
    }
}
