//! Reusing files of another mirror.

use crate::mirror::tree::{Tree, split};
use pipe_kit::text::hex;
use rustix::fs::{AtFlags, linkat, statat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::{File, FileTimes};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

impl Tree {
    /// Gives a file of another mirror a temporary name in this one: as a hard link, or as a copy that
    /// shares its blocks. An error if the filesystem can do neither.
    pub fn link_temp(&self, other: &Self, relative: &str, name: &str) -> io::Result<()> {
        let temp = self.temp_dir()?;
        let (parent, last) = split(relative);
        // The target must be a regular file: a link to a symbolic link could lead anywhere.
        let file = other.open_file(relative)?;
        match linkat(&*other.recent(parent, false)?, last, temp, name, AtFlags::empty()) {
            Ok(()) if same_file(temp.as_fd(), name, &file)? => return Ok(()),
            Ok(()) => self.remove_temp(name),
            Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::NOTSUP) => {}
            Err(e) => return Err(e.into()),
        }
        let copy = self.create_temp(name)?;
        rustix::fs::ioctl_ficlone(&copy, &file)?;
        copy.set_times(std::fs::FileTimes::new().set_modified(file.metadata()?.modified()?))
    }

    /// Copies a file of another mirror, if its SHA-256 (hex) is the expected one.
    pub fn copy_temp(
        &self,
        other: &Self,
        relative: &str,
        name: &str,
        expected: &str,
    ) -> io::Result<()> {
        let mut source = other.open_file(relative)?;
        let mut file = self.create_temp(name)?;
        let mut sha256 = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match source.read(&mut buffer)? {
                0 => break,
                n => {
                    file.write_all(&buffer[..n])?;
                    sha256.update(&buffer[..n]);
                }
            }
        }
        if hex(&sha256.finalize()) != expected {
            return Err(io::Error::other("its content does not match the index"));
        }
        file.set_times(FileTimes::new().set_modified(source.metadata()?.modified()?))
    }
}

/// Whether a name refers to an open file.
fn same_file(dir: BorrowedFd<'_>, name: &str, file: &File) -> io::Result<bool> {
    let (linked, opened) = (statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?, file.metadata()?);
    Ok((linked.st_dev, linked.st_ino) == (opened.dev(), opened.ino()))
}
