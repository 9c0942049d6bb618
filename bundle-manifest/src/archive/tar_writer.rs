//! A tar of directories and files, written as a stream. Only [`TarWriter::finish`] writes its end: an interrupted
//! one must not read as a whole one.

use std::io::{self, Write};
use tar::{EntryType, Header};

const BLOCK: usize = 512;

/// Writes to `out`.
pub struct TarWriter<W> {
    out: W,
}

impl<W: Write> TarWriter<W> {
    /// Writes nothing yet.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Adds a directory, mode 0700.
    pub fn directory(&mut self, path: &[u8], mtime: u64) -> io::Result<()> {
        let path = [path, b"/"].concat();
        self.header(EntryType::Directory, &path, 0o700, 0, mtime)
    }

    /// Begins a file, mode 0600; exactly `size` bytes must follow through [`TarWriter::content`], and
    /// then [`TarWriter::end_file`].
    pub fn begin_file(&mut self, path: &[u8], size: u64, mtime: u64) -> io::Result<()> {
        self.header(EntryType::Regular, path, 0o600, size, mtime)
    }

    /// Bytes of the file that was begun.
    pub fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Ends a file of `size` bytes.
    pub fn end_file(&mut self, size: u64) -> io::Result<()> {
        let over = (size % BLOCK as u64) as usize;
        if over > 0 { self.out.write_all(&[0; BLOCK][over..]) } else { Ok(()) }
    }

    /// Writes the end mark and flushes.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()
    }

    fn header(
        &mut self,
        kind: EntryType,
        path: &[u8],
        mode: u32,
        size: u64,
        mtime: u64,
    ) -> io::Result<()> {
        const NAME: usize = 100;
        if path.len() > NAME {
            // Every tar reads GNU's form of a long name: as the content of an entry before.
            let name = [path, b"\0"].concat();
            self.plain(EntryType::GNULongName, b"././@LongLink", 0o644, name.len() as u64, 0)?;
            self.content(&name)?;
            self.end_file(name.len() as u64)?;
        }
        self.plain(kind, &path[..path.len().min(NAME)], mode, size, mtime)
    }

    fn plain(
        &mut self,
        kind: EntryType,
        name: &[u8],
        mode: u32,
        size: u64,
        mtime: u64,
    ) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        header.set_mtime(mtime);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }
}
