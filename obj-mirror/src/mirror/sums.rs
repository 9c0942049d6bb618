//! `SHA256SUMS`, as `sha256sum -c` reads it.

use crate::mirror::files;
use anyhow::Result;
use bundle_format::sums::parse_line;
use pipe_kit::text::hex;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

/// One line: hash, two spaces, path; escaped as sha256sum does.
pub fn line(sha256: &str, path: &str) -> String {
    let line = bundle_format::sums::line(sha256, OsStr::new(path));
    String::from_utf8_lossy(&line).into_owned()
}

/// The sum of each path, from the lines of a damaged file that can still be read.
pub fn read_whole_lines(path: &Path) -> Result<BTreeMap<String, String>> {
    Ok(files::whole_lines(path)?.iter().filter_map(|line| parse(line)).collect())
}

fn parse(line: &str) -> Option<(String, String)> {
    let (path, digest) = parse_line(line.as_bytes())?;
    Some((path.into_string().ok()?, hex(&digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_what_is_damaged_is_not() {
        let sum = "0".repeat(64);
        for path in ["a b", "a\\b\n\r", "\\", "ü"] {
            let line = line(&sum, path);
            assert_eq!(parse(line.trim_end_matches('\n')), Some((path.to_owned(), sum.clone())));
        }
        for damaged in ["", "00  a", &format!("{sum} a"), &format!("\\{sum}  a\\x")] {
            assert_eq!(parse(damaged), None, "{damaged:?}");
        }
    }
}
