//! Files that settings name: what is opened may be anything, and opening a pipe would wait for its writer.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{Error, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How much of a file is read: what is looked for is in small ones.
pub const MOST: u64 = 64 * 1024;

/// Opens a regular file for reading.
///
/// # Errors
/// If it cannot be opened, or is anything else.
pub fn open(path: &Path) -> Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(Error::other("it is not a regular file")),
    }
}

/// The first [`MOST`] bytes of a regular file.
///
/// # Errors
/// If it cannot be opened or read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A text as the name of a file: no two texts have the same one.
pub fn name_of(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        match byte {
            b'/' => name.push('+'),
            b'.' | b'_' | b'-' | b'@' => name.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => name.push(byte.into()),
            _ => name += &format!("%{byte:02X}"),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_without_a_writer_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(open(&pipe).is_err());
        assert!(read(dir.path()).is_err());
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(read(&file).unwrap(), b"x");
    }

    #[test]
    fn different_texts_have_different_names() {
        for (text, name) in [
            ("/srv/d/secrets/key", "+srv+d+secrets+key"),
            ("a b", "a%20b"),
            ("a+b%", "a%2Bb%25"),
            ("user@example.com", "user@example.com"),
        ] {
            assert_eq!(name_of(text), name);
        }
    }
}
