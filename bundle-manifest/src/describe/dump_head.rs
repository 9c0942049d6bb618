//! The server's version, as pg_dump wrote it near the head of a dump.

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// How much of the uncompressed text is searched, in bytes.
const HEAD: u64 = 1024 * 1024;
const MARK: &[u8] = b"-- Dumped from database version ";

/// The version of the server that a gzipped dump was taken from, as in `15.18 (Debian …)`; `None` where the dump's
/// head does not name it.
pub fn server_version(dump: &Path) -> Result<Option<String>> {
    let failed = || format!("reading the head of {}", dump.display());
    let file = File::open(dump).with_context(failed)?;
    find(MultiGzDecoder::new(BufReader::new(file))).with_context(failed)
}

pub(crate) fn find(text: impl Read) -> std::io::Result<Option<String>> {
    let mut head = BufReader::new(text.take(HEAD));
    let mut line = Vec::new();
    while head.read_until(b'\n', &mut line)? > 0 {
        if let Some(version) = line.strip_prefix(MARK) {
            return Ok(Some(String::from_utf8_lossy(version).trim().to_owned()));
        }
        line.clear();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<String> {
        find(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_version_is_found_after_other_comments() {
        let dump = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n\
                    -- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)\n\
                    -- Dumped by pg_dump version 17.1\n";
        assert_eq!(version(dump).as_deref(), Some("15.18 (Debian 15.18-0+deb12u1)"));
        assert_eq!(version("-- Dumped from database version 16.2").as_deref(), Some("16.2"));
    }

    #[test]
    fn a_dump_that_does_not_name_it_has_no_version() {
        assert_eq!(version(""), None);
        assert_eq!(version("x -- Dumped from database version 15\n"), None);
        let late = format!("{}\n-- Dumped from database version 15\n", "x".repeat(1 << 20));
        assert_eq!(version(&late), None);
    }

    #[test]
    fn what_is_not_gzip_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("database.sql.gz");
        std::fs::write(&path, "-- Dumped from database version 15\n").unwrap();
        assert!(server_version(&path).is_err());
    }
}
