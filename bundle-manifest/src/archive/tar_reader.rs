//! A tar from outside, read as a stream and trusted in nothing: directories and regular files alone, each with a
//! path that stays inside, up to the end mark and the end of the input.

use pipe_kit::{Stop, text};
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// The longest path, in bytes.
const MAX_PATH: usize = 4095;
/// The longest part of a path, in bytes.
const MAX_PART: usize = 255;
/// The longest extension header, in bytes. They hold names and times.
const MAX_EXTENSION: u64 = 64 * 1024;

/// How much of a name is shown, in bytes.
const LONGEST_SHOWN: usize = 300;

/// A directory or file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative, `/` between its parts, no empty, `.` or `..` part. Never empty.
    pub path: OsString,
    /// A directory, else a file.
    pub is_directory: bool,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970, UTC.
    pub mtime: u64,
}

/// Reads `input`. After [`TarReader::next`] returned a file, reading returns its content.
pub struct TarReader<R> {
    input: R,
    /// Bytes of the entry's content that are not read yet, and the padding after them.
    left: u64,
    padding: u64,
}

/// What extension headers set for the entry after them.
#[derive(Debug, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

fn damaged(why: impl Into<String>) -> io::Error {
    io::Error::other(Stop::damaged(why))
}

fn truncated() -> io::Error {
    damaged("the archive is truncated: its end mark is missing")
}

impl<R: Read> TarReader<R> {
    /// Reads nothing yet.
    pub fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// The next directory or file; `None` after the end mark and the end of the input.
    ///
    /// # Errors
    /// A [`Stop`] for damage, or for what no bundle holds; or the error of reading.
    pub fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut set = Extensions::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                self.drain()?;
                return Ok(None);
            };
            let size = header.entry_size().map_err(|_| damaged("a header without a size"))?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    let mut name = self.extension(size)?;
                    name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
                    set_once(&mut set.path, name)?;
                }
                EntryType::XHeader => read_pax(&self.extension(size)?, &mut set)?,
                EntryType::XGlobalHeader => {
                    let mut global = Extensions::default();
                    read_pax(&self.extension(size)?, &mut global)?;
                    if global.path.is_some() || global.size.is_some() {
                        return Err(damaged("a global header names a path or a size"));
                    }
                }
                kind => {
                    let size = set.size.unwrap_or(size);
                    let path = set.path.take();
                    let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
                    let entry = entry(&header, kind, &path, size)?;
                    self.expect(size)?;
                    // The directory that everything lies in, as `tar c .` writes it.
                    if let Some(entry) = entry {
                        return Ok(Some(entry));
                    }
                    set = Extensions::default();
                }
            }
        }
    }

    fn expect(&mut self, size: u64) -> io::Result<()> {
        let padded = size.checked_next_multiple_of(BLOCK as u64);
        let padded = padded.ok_or_else(|| damaged("the size of an entry is too large"))?;
        self.left = size;
        self.padding = padded - size;
        Ok(())
    }

    /// Skips the rest of an entry.
    fn skip(&mut self) -> io::Result<()> {
        let rest = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())?;
        if skipped < rest { Err(truncated()) } else { Ok(()) }
    }

    /// The next header; `None` at the end mark.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        self.block(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|b| *b == 0) {
            let mut second = [0; BLOCK];
            self.block(&mut second)?;
            return match second.iter().all(|b| *b == 0) {
                true => Ok(None),
                false => Err(damaged("the archive continues after the first half of its end mark")),
            };
        }
        // The checksum's own field counts as blanks.
        let sum: u32 = header.as_bytes().iter().map(|b| u32::from(*b)).sum();
        let own: u32 = header.as_old().cksum.iter().map(|b| u32::from(*b)).sum();
        match header.cksum() {
            Ok(declared) if declared == sum - own + 8 * u32::from(b' ') => Ok(Some(header)),
            _ => {
                Err(damaged("it is not a complete tar file: a header does not match its checksum"))
            }
        }
    }

    fn block(&mut self, block: &mut [u8]) -> io::Result<()> {
        self.input.read_exact(block).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => truncated(),
            _ => e,
        })
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            return Err(damaged(format!("an extension header of {size} bytes")));
        }
        self.expect(size)?;
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Nothing but zeros may follow the end mark; reading on checks a gzip's trailer too.
    fn drain(&mut self) -> io::Result<()> {
        let mut rest = [0; 16 * 1024];
        loop {
            match self.input.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(n) if rest[..n].iter().any(|b| *b != 0) => {
                    return Err(damaged("something follows the archive's end mark"));
                }
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.input.read(&mut buffer[..most])?;
        if n == 0 && most > 0 {
            return Err(truncated());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

fn set_once<T>(field: &mut Option<T>, value: T) -> io::Result<()> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(damaged("an entry's name or size is set twice")),
    }
}

/// Reads the records `LENGTH KEY=VALUE\n` of an extension header.
fn read_pax(mut records: &[u8], set: &mut Extensions) -> io::Result<()> {
    let broken = || damaged("an extension header that cannot be read");
    while !records.is_empty() {
        let space = records.iter().position(|b| *b == b' ').ok_or_else(broken)?;
        let length = std::str::from_utf8(&records[..space]).ok().and_then(|n| n.parse().ok());
        let (record, rest) = length.and_then(|n| records.split_at_checked(n)).ok_or_else(broken)?;
        let record = record.get(space + 1..).and_then(|r| r.strip_suffix(b"\n"));
        let record = record.ok_or_else(broken)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(broken)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => set_once(&mut set.path, value.to_vec())?,
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok());
                set_once(&mut set.size, size.ok_or_else(broken)?)?;
            }
            key if key.starts_with(b"GNU.sparse") => {
                return Err(damaged("a sparse file, which no bundle holds"));
            }
            _ => {}
        }
        records = rest;
    }
    Ok(())
}

/// The entry of a header, if it is what a bundle may hold; `None` for the directory `.` itself.
fn entry(header: &Header, kind: EntryType, raw: &[u8], size: u64) -> io::Result<Option<Entry>> {
    let shown = text::path(std::ffi::OsStr::from_bytes(&raw[..raw.len().min(LONGEST_SHOWN)]));
    let refuse = |why: &str| damaged(format!("the archive's {shown} {why}"));
    let is_directory = match kind {
        EntryType::Directory => true,
        EntryType::Regular => false,
        EntryType::Symlink => return Err(refuse("is a symbolic link")),
        EntryType::Link => return Err(refuse("is a hard link")),
        EntryType::Char | EntryType::Block => return Err(refuse("is a device")),
        EntryType::Fifo => return Err(refuse("is a named pipe")),
        EntryType::GNUSparse => return Err(refuse("is a sparse file")),
        other => {
            let letter = char::from(other.as_byte()).escape_default();
            return Err(refuse(&format!("is of the unknown kind {letter}")));
        }
    };
    if is_directory && size > 0 {
        return Err(refuse("is a directory with content"));
    }
    if !is_directory && raw.ends_with(b"/") {
        return Err(refuse("is named like a directory and is none"));
    }
    let path = inside(raw).map_err(refuse)?;
    if path.is_empty() {
        return if is_directory { Ok(None) } else { Err(refuse("has no name")) };
    }
    // Filesystems differ in later times.
    let mtime = header.mtime().unwrap_or(0).min(u32::MAX.into());
    Ok(Some(Entry { path: OsString::from_vec(path), is_directory, size, mtime }))
}

/// A path without `.` and empty parts; the error is what is wrong with it.
fn inside(raw: &[u8]) -> Result<Vec<u8>, &'static str> {
    if raw.first() == Some(&b'/') {
        return Err("is an absolute path");
    }
    if raw.contains(&0) {
        return Err("holds a NUL byte");
    }
    let parts = raw.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<&[u8]> = parts.collect();
    if parts.contains(&b"..".as_slice()) {
        return Err("climbs with ..");
    }
    if raw.len() > MAX_PATH || parts.iter().any(|part| part.len() > MAX_PART) {
        return Err("is too long");
    }
    Ok(parts.join(&b'/'))
}

#[cfg(test)]
mod tests;
