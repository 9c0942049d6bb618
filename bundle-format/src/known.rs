//! The checksums of files that their writer has computed itself, for `bundle-manifest sums --known`.
//!
//! A line is the file's size in bytes, its modification time in nanoseconds since 1970, and a line as `sha256sum`
//! writes it: `42 1776736800000000000 9f86…  database.sql.gz`.

use crate::sums::{self, Digest};
use pipe_kit::text::hex;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// A file as its writer has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
    /// The SHA-256 of what was written.
    pub digest: Digest,
}

/// Paths relative to the bundle.
pub type Known = BTreeMap<OsString, Written>;

/// One line, with its end.
#[must_use]
pub fn line(path: &OsStr, written: &Written) -> Vec<u8> {
    let Written { size, modified, digest } = written;
    [format!("{size} {modified} ").as_bytes(), &sums::line(&hex(digest), path)].concat()
}

/// Reads such lines.
///
/// # Errors
/// What is wrong with them, for the operator.
pub fn parse(text: &[u8]) -> Result<Known, String> {
    let mut known = Known::new();
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = number + 1;
        let (path, written) = line
            .strip_suffix(b"\n")
            .and_then(parse_line)
            .ok_or_else(|| format!("has no size, time and checksum in line {number}"))?;
        if known.insert(path, written).is_some() {
            return Err(format!("lists a path a second time in line {number}"));
        }
    }
    Ok(known)
}

fn parse_line(line: &[u8]) -> Option<(OsString, Written)> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok();
    let (size, modified) = (number()?.parse().ok()?, number()?.parse().ok()?);
    let (path, digest) = sums::parse_line(parts.next()?)?;
    Some((path, Written { size, modified, digest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_and_no_other_text_does() {
        let written = Written { size: 42, modified: -7, digest: [171; 32] };
        let text = [line(OsStr::new("a"), &written), line(OsStr::new("b\n"), &written)].concat();
        let known = parse(&text).unwrap();
        assert_eq!(known.keys().collect::<Vec<_>>(), ["a", "b\n"]);
        assert_eq!(known[OsStr::new("a")], written);
        assert_eq!(parse(b""), Ok(Known::new()));
        let twice = [&text[..], &line(OsStr::new("a"), &written)].concat();
        assert!(parse(&twice).is_err() && parse(&text[..text.len() - 1]).is_err());
        let sum = sums::line(&hex(&[171; 32]), OsStr::new("a"));
        for start in ["", "42 ", "42  7 ", "-1 7 ", "42 x "] {
            assert!(parse(&[start.as_bytes(), &sum].concat()).is_err(), "{start}");
        }
    }
}
