//! An archive from outside, read and checked whole before anyone acts on it.

use crate::check;
use crate::entry::{Entry, MAX_BYTES};
use crate::headers::{self, damaged};
use crate::rel_path::RelPath;
use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;

/// A checked archive. Its content lies in a file without a name, the owner's alone.
pub struct Archive {
    tar: File,
    /// By path.
    pub entries: BTreeMap<RelPath, Entry>,
}

/// Reads an archive to its last byte and checks it.
///
/// # Errors
/// [`pipe_kit::Stop::damaged`] if it is not whole, or holds what cannot be extracted safely; if it cannot be
/// read or there is no room for it.
pub fn read(input: impl Read) -> Result<Archive> {
    let mut tar = tempfile::tempfile().context("creating a temporary file for the archive")?;
    inflate(input, &mut tar, MAX_BYTES)?;
    let (raw, end) = headers::read(&mut tar)?;
    ends_properly(&tar, end)?;
    let entries = check::check(raw).map_err(damaged)?;
    Ok(Archive { tar, entries })
}

impl Archive {
    /// Whether it holds a path or something below it.
    pub fn holds(&self, path: &RelPath) -> bool {
        let from = self.entries.range(path.clone()..).map(|(entry, _)| entry);
        from.take_while(|entry| entry.bytes().starts_with(path.bytes())).any(|e| e.is_under(path))
    }

    /// The content of a file entry.
    pub fn content(&self, offset: u64, size: u64) -> Content<'_> {
        Content { tar: &self.tar, at: offset, end: offset + size }
    }
}

/// See [`Archive::content`].
pub struct Content<'a> {
    tar: &'a File,
    at: u64,
    end: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let n = self.tar.read_at(&mut buffer[..most], self.at)?;
        if n == 0 && most > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.at += n as u64;
        Ok(n)
    }
}

fn inflate(input: impl Read, into: &mut impl Write, limit: u64) -> Result<()> {
    let mut gzip = MultiGzDecoder::new(io::BufReader::with_capacity(64 * 1024, input));
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0_u64;
    loop {
        let n = match gzip.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            // The decoder's own errors carry no number of the system's.
            Err(e) if e.raw_os_error().is_none() => {
                return Err(damaged(format!("it is not a complete gzip file ({e})")));
            }
            Err(e) => return Err(e).context("reading the archive"),
        };
        total += n as u64;
        if total > limit {
            return Err(damaged(format!("it holds more than {} MiB", limit >> 20)));
        }
        into.write_all(&buffer[..n]).context("writing the archive to a temporary file")?;
    }
    if total == 0 {
        return Err(damaged("it is empty"));
    }
    into.flush().context("writing the archive to a temporary file")
}

/// A tar ends in two blocks of zeros. One that does not was cut, and after them nothing may hide.
fn ends_properly(tar: &File, end: u64) -> Result<()> {
    let size = tar.metadata().context("reading the temporary file")?.len();
    if size.checked_sub(end).is_none_or(|left| left < 1024) {
        return Err(damaged("it is truncated: its end mark is missing"));
    }
    let mut rest = Content { tar, at: end, end: size };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match rest.read(&mut buffer).context("reading the temporary file")? {
            0 => return Ok(()),
            n if buffer[..n].iter().any(|b| *b != 0) => {
                return Err(damaged("data follows its end mark"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn status(error: &anyhow::Error) -> pipe_kit::Exit {
        pipe_kit::status::of(error)
    }

    #[test]
    fn a_small_file_that_inflates_without_end_is_refused() {
        let bomb = gzip(&vec![0; 3 << 20]);
        let mut out = Vec::new();
        let error = inflate(bomb.as_slice(), &mut out, 2 << 20).unwrap_err();
        assert_eq!(status(&error), pipe_kit::Exit::Damaged);
        assert!(error.to_string().contains("more than 2 MiB"), "{error}");
        assert!(out.len() <= 2 << 20);
        inflate(bomb.as_slice(), &mut io::sink(), 3 << 20).unwrap();
    }

    #[test]
    fn an_input_that_cannot_be_read_is_not_called_damaged() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        let error = inflate(Broken, &mut io::sink(), 1 << 20).unwrap_err();
        assert_eq!(status(&error), pipe_kit::Exit::Failed);
    }

    #[test]
    fn an_archive_without_its_end_mark_was_cut() {
        let header = {
            let mut header = tar::Header::new_gnu();
            header.set_path("a").unwrap();
            header.set_size(0);
            header.set_mode(0o600);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_cksum();
            header.as_bytes().to_vec()
        };
        let with_end = |end: &[u8]| gzip(&[header.as_slice(), end].concat());
        assert!(read(with_end(&[0; 1024]).as_slice()).is_ok());
        for end in [&[0; 0][..], &[0; 512], &[0; 600]] {
            let error = read(with_end(end).as_slice()).err().unwrap();
            assert!(error.to_string().contains("end mark"), "{error}");
        }
        let hidden = [&[0; 1024], header.as_slice()].concat();
        let error = read(with_end(&hidden).as_slice()).err().unwrap();
        assert!(error.to_string().contains("follows its end mark"), "{error}");
    }
}
