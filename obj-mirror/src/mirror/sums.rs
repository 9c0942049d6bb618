//! `SHA256SUMS`, as `sha256sum -c` reads it.

use crate::mirror::files;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// One line: hash, two spaces, path; escaped as sha256sum does.
pub fn line(sha256: &str, path: &str) -> String {
    if path.contains(['\\', '\n', '\r']) {
        let path = path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        format!("\\{sha256}  {path}\n")
    } else {
        format!("{sha256}  {path}\n")
    }
}

/// The sum of each path, from the lines of a damaged file that can still be read.
pub fn read_whole_lines(path: &Path) -> Result<BTreeMap<String, String>> {
    Ok(files::whole_lines(path)?.iter().filter_map(|line| parse(line)).collect())
}

fn parse(line: &str) -> Option<(String, String)> {
    let (escaped, line) = match line.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (sha256, path) = line.split_once("  ")?;
    let is_sum = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    let path = if escaped { unescape(path)? } else { path.to_owned() };
    is_sum.then(|| (path, sha256.to_owned()))
}

fn unescape(path: &str) -> Option<String> {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
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

    #[test]
    fn names_are_escaped_as_sha256sum_does() {
        assert_eq!(line("00", "a b"), "00  a b\n");
        assert_eq!(line("00", "a\\b\n"), "\\00  a\\\\b\\n\n");
    }
}
