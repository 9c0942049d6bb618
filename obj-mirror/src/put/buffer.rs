//! A part of a stream: in memory, or, if it is too large for that, in a temporary file without a name.

use crate::put::room::{Lent, Permit, Permits, Room};
use crate::s3::content::{Content, FileRange};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

const MIB: u64 = 1 << 20;
/// The most memory for parts, in bytes.
const MEMORY: u64 = 32 * MIB;
/// Larger parts lie in temporary files, in bytes.
const LARGEST_IN_MEMORY: u64 = 16 * MIB;
/// Temporary files at once: one is filled while the other is sent.
const FILES: u64 = 2;
const BLOCK: usize = 256 * 1024;

/// Makes the parts' buffers.
pub struct Buffers {
    room: Arc<Room>,
    files: Arc<Permits>,
    directory: PathBuf,
}

/// A part that is being filled.
pub enum Buffer {
    Memory(Lent),
    Spooled { file: File, length: u64, block: Vec<u8>, permit: Permit },
}

impl Buffers {
    /// Temporary files are made in `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self { room: Room::new(MEMORY), files: Permits::new(FILES), directory }
    }

    /// Waits for an empty buffer for so many bytes.
    ///
    /// # Errors
    /// If a temporary file cannot be made.
    pub fn empty(&self, bytes: u64) -> io::Result<Buffer> {
        if bytes <= LARGEST_IN_MEMORY {
            return Ok(Buffer::Memory(self.room.lend(bytes as usize)));
        }
        let permit = self.files.take(1);
        let file = tempfile::tempfile_in(&self.directory).map_err(|error| {
            let shown = self.directory.display();
            io::Error::new(error.kind(), format!("a temporary file in {shown}: {error}"))
        })?;
        Ok(Buffer::Spooled { file, length: 0, block: vec![0; BLOCK], permit })
    }
}

impl Buffer {
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(lent) => lent.length() as u64,
            Self::Spooled { length, .. } => *length,
        }
    }

    /// Appends what `read` returns, at most `most` bytes and what a buffer in memory has room for; the number of bytes.
    ///
    /// # Errors
    /// That of `read`; if the temporary file cannot be written.
    pub fn append(
        &mut self,
        most: u64,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match self {
            Self::Memory(lent) => lent.append(usize::try_from(most).unwrap_or(usize::MAX), read),
            Self::Spooled { file, length, block, .. } => {
                let most = usize::try_from(most).unwrap_or(BLOCK).min(BLOCK);
                let added = read(&mut block[..most])?;
                file.write_all(&block[..added])?;
                *length += added as u64;
                Ok(added)
            }
        }
    }

    /// What was filled, and what must be kept for as long as it is used.
    pub fn into_content(self) -> (Content, Option<Permit>) {
        match self {
            Self::Memory(lent) => (lent.into_bytes().into(), None),
            Self::Spooled { file, length, permit, .. } => {
                let range = FileRange { file: Arc::new(file), start: 0, length };
                (Content::File(range), Some(permit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_a_temporary_file_hold_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let buffers = Buffers::new(dir.path().to_owned());
        let contents = [8, LARGEST_IN_MEMORY + 1].map(|bytes| {
            let mut buffer = buffers.empty(bytes).unwrap();
            for piece in [&b"abc"[..], b"", b"defgh"] {
                let read = |free: &mut [u8]| io::Read::read(&mut &*piece, free);
                assert_eq!(buffer.append(5, read).unwrap(), piece.len());
            }
            assert_eq!(buffer.length(), 8);
            let (mut content, _kept) = buffer.into_content();
            content.take(99).unwrap()
        });
        assert_eq!(contents, [&b"abcdefgh"[..]; 2]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(Buffers::new("/nonexistent".into()).empty(LARGEST_IN_MEMORY + 1).is_err());
    }
}
