//! Files of one mirror in another, without fetching them.

use crate::mirror::tree::{Tree, split};
use crate::object::hash::hex;
use rustix::fs::{AtFlags, linkat, statat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::{File, FileTimes};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

impl Tree {
    /// Gives a file of another mirror a temporary name in this one: as a link to it, or as a copy that
    /// shares its blocks, where the filesystem can do either.
    ///
    /// # Errors
    /// If it can do neither.
    pub fn link_temp(&self, other: &Self, relative: &str, name: &str) -> io::Result<()> {
        let temp = self.temp_dir()?;
        let (parent, last) = split(relative);
        // What it links to must be a file: a link to a link would lead anywhere.
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

    /// The same as a plain copy, if the file's SHA-256 (hex) is the one expected.
    ///
    /// # Errors
    /// If it is not, or cannot be copied.
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

/// Whether a name is that of an open file.
fn same_file(dir: BorrowedFd<'_>, name: &str, file: &File) -> io::Result<bool> {
    let (linked, opened) = (statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?, file.metadata()?);
    Ok((linked.st_dev, linked.st_ino) == (opened.dev(), opened.ino()))
}
