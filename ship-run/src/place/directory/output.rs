//! A file that is written past the page cache where that is of use: a copy is written once, and would take memory from
//! the database and processor time for each destination.

use rustix::fs::{FsWord, OFlags, fcntl_getfl, fcntl_setfl, fstatfs};
use std::fs::File;
use std::io::{self, ErrorKind, Write};

/// What must start at a multiple of this in memory, and be a multiple long, to be written past the page cache.
pub const ALIGNMENT: usize = 4096;

/// Filesystems of local disks. Others, such as those of a network, wait for each write.
const LOCAL: [FsWord; 2] = [EXT4, XFS];
const EXT4: FsWord = 0xef53;
const XFS: FsWord = 0x5846_5342;

/// A file that is written from its beginning to its end.
pub struct Output {
    file: File,
    is_direct: bool,
}

impl Output {
    pub fn new(file: File) -> Self {
        let is_local = fstatfs(&file).is_ok_and(|found| LOCAL.contains(&found.f_type));
        let mut output = Self { file, is_direct: false };
        if is_local {
            // A filesystem may refuse it.
            let _ = output.set_direct(true);
        }
        output
    }

    fn set_direct(&mut self, is_direct: bool) -> io::Result<()> {
        let mut flags = fcntl_getfl(&self.file)?;
        flags.set(OFlags::DIRECT, is_direct);
        fcntl_setfl(&self.file, flags)?;
        self.is_direct = is_direct;
        Ok(())
    }

    /// Appends bytes. What is not aligned goes through the page cache, and everything after it.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            if self.is_direct && !is_aligned(left) {
                self.set_direct(false)?;
            }
            match self.file.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => left = &left[n..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The disk has larger blocks.
                Err(error) if self.is_direct && error.kind() == ErrorKind::InvalidInput => {
                    self.set_direct(false)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// If it is not.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) && bytes.len().is_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Where these bytes are aligned.
    fn aligned(bytes: &[u8]) -> usize {
        bytes.as_ptr().addr().next_multiple_of(ALIGNMENT) - bytes.as_ptr().addr()
    }

    #[test]
    fn whatever_the_pieces_are_the_file_holds_them() {
        // The build's directory is on a disk; the one for temporary files may be in memory.
        for parent in [Path::new(env!("CARGO_MANIFEST_DIR")), &std::env::temp_dir()] {
            let memory: Vec<u8> = (0..6 * ALIGNMENT).map(|at| (at * 7 / 3) as u8).collect();
            let start = aligned(&memory);
            for pieces in [
                &[0..ALIGNMENT, ALIGNMENT..3 * ALIGNMENT, 3 * ALIGNMENT..4 * ALIGNMENT + 5][..],
                &[0..5, 5..2 * ALIGNMENT, 2 * ALIGNMENT..4 * ALIGNMENT],
                &[0..ALIGNMENT, 7..7 + ALIGNMENT, 0..ALIGNMENT, 0..0],
            ] {
                let file = tempfile::tempfile_in(parent).unwrap();
                let mut output = Output::new(file.try_clone().unwrap());
                let mut expected = Vec::new();
                for piece in pieces {
                    let piece = &memory[start + piece.start..start + piece.end];
                    output.write_all(piece).unwrap();
                    expected.extend_from_slice(piece);
                }
                output.sync().unwrap();
                let mut found = vec![0; expected.len() + 1];
                let read = std::os::unix::fs::FileExt::read_at(&file, &mut found, 0).unwrap();
                assert!(found[..read] == expected, "{} bytes", expected.len());
            }
        }
    }
}
