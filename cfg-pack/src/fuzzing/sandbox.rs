//! A deployment's directory with links in it, one a thread, that plans are made over and nothing
//! is written to.

use crate::disk::{Disk, Walked};
use crate::rel_path::RelPath;
use rustix::fd::AsRawFd;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use tempfile::TempDir;

thread_local! {
    static SANDBOX: Sandbox = Sandbox::make().unwrap_or_else(|error| panic!("{error}"));
}

pub fn with(test: impl FnOnce(&Sandbox)) {
    SANDBOX.with(test);
}

pub struct Sandbox {
    dir: TempDir,
    real: PathBuf,
}

impl Sandbox {
    /// `certs` leads to another disk, as an operator may have it; `a/out` and `secrets/up` lead where
    /// nothing may be written.
    fn make() -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let real = dir.path().canonicalize()?;
        for name in ["deploy/secrets", "deploy/a/b", "other-disk/live", "outside"] {
            std::fs::create_dir_all(real.join(name))?;
        }
        for file in ["deploy/.env", "deploy/a/b/file", "other-disk/x.pem", "outside/file"] {
            std::fs::write(real.join(file), "A=1\n")?;
        }
        symlink("../other-disk", real.join("deploy/certs"))?;
        symlink("../../outside", real.join("deploy/a/out"))?;
        symlink("../..", real.join("deploy/secrets/up"))?;
        symlink("../outside", real.join("other-disk/out"))?;
        Ok(Self { dir, real })
    }

    pub fn disk(&self) -> Disk {
        Disk::open(&self.dir.path().join("deploy")).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether a path of the deployment would be written in it, or on the other disk.
    pub fn allows(&self, disk: &Disk, path: &RelPath) -> bool {
        let Ok(Walked::At(location)) = disk.walk(path, None) else {
            // Its directory is yet to be made, by a step before.
            return true;
        };
        let dir = std::fs::read_link(format!("/proc/self/fd/{}", location.dir.as_raw_fd()));
        let name_is_plain = !matches!(location.name.as_slice(), b"" | b"." | b"..");
        dir.is_ok_and(|dir| {
            let allowed = ["deploy", "other-disk"].map(|name| self.real.join(name));
            let itself = dir == self.real && location.name == b"other-disk";
            itself || allowed.iter().any(|allowed| dir.starts_with(allowed))
        }) && name_is_plain
            && !location.name.contains(&b'/')
    }
}
