//! A disk of a chosen size, filled as far as is wanted: a tmpfs.

use anyhow::{Context, Result, bail, ensure};
use pipe_kit::cleanup::{self, Guard};
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

const PAGE: u64 = 4096;

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
        let told = rustix::fs::statvfs(&self.dir).context("asking for the free room")?;
        Ok(told.f_bavail * told.f_frsize)
    }

    /// Leaves so many bytes free; less than it has now.
    pub fn leave(&self, bytes: u64) -> Result<()> {
        let path = self.dir.join("filler");
        let _ = std::fs::remove_file(&path);
        let free = self.free()?;
        let Some(fill) = free.checked_sub(bytes) else {
            bail!("{free} bytes are free, and {bytes} are wanted");
        };
        std::fs::write(&path, vec![0; usize::try_from(fill)?]).context("filling a disk")?;
        let free = self.free()?;
        ensure!(free.abs_diff(bytes) <= 2 * PAGE, "{free} bytes are left, and not {bytes}");
        Ok(())
    }
}
