//! The format of `sha256sum`, as `sha256sum -c` reads it.

use pipe_kit::text::hex;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

/// A SHA-256.
pub type Digest = [u8; 32];

/// Paths relative to the file of checksums, each with its checksum.
pub type Sums = BTreeMap<OsString, Digest>;

/// One line, from a checksum in hexadecimal. As `sha256sum` does, a name with a backslash, line feed or carriage
/// return is escaped, and its line begins with a backslash.
#[must_use]
pub fn line(hex: &str, path: &OsStr) -> Vec<u8> {
    let path = path.as_bytes();
    let mut name = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b'\\' => name.extend(b"\\\\"),
            b'\n' => name.extend(b"\\n"),
            b'\r' => name.extend(b"\\r"),
            byte => name.push(byte),
        }
    }
    let mark: &[u8] = if name.len() == path.len() { b"" } else { b"\\" };
    [mark, hex.as_bytes(), b"  ", &name, b"\n"].concat()
}

/// The whole file: a line for each path, sorted by path.
#[must_use]
pub fn text(sums: &Sums) -> Vec<u8> {
    sums.iter().flat_map(|(path, digest)| line(&hex(digest), path)).collect()
}

/// Reads a whole file of sums.
///
/// # Errors
/// What is wrong with it, for the operator: a line without a checksum, a path that leaves the directory, a path
/// listed twice, a last line without its end.
pub fn parse(text: &[u8]) -> Result<Sums, String> {
    let mut sums = Sums::new();
    let read = each(text, |path, digest| sums.insert(path, digest).is_none());
    read.map_err(|error| error.to_string())?.map(|()| sums)
}

/// Reads a file of sums line by line and passes each path and its checksum to `take`, which answers whether it has not
/// had that path before. The inner error is what is wrong with the file, as by [`parse`].
///
/// # Errors
/// Those of the reader.
pub fn each(
    mut text: impl BufRead,
    mut take: impl FnMut(OsString, Digest) -> bool,
) -> io::Result<Result<(), String>> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if text.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Some(line) = line.strip_suffix(b"\n") else {
            return Ok(Err("has a truncated last line".to_owned()));
        };
        let Some((path, digest)) = parse_line(line) else {
            return Ok(Err(format!("has no checksum in line {number}")));
        };
        if !is_inside(&path) {
            return Ok(Err(format!("lists a path outside the bundle in line {number}")));
        }
        if !take(path, digest) {
            return Ok(Err(format!("lists a path a second time in line {number}")));
        }
    }
    Ok(Ok(()))
}

/// Reads one line, without its end: the path, which may lead anywhere, and its checksum.
#[must_use]
pub fn parse_line(line: &[u8]) -> Option<(OsString, Digest)> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hex, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    let name = if escaped { unescape(name)? } else { name.to_vec() };
    let name = name.strip_prefix(b"./").map(<[u8]>::to_vec).unwrap_or(name);
    Some((OsString::from_vec(name), unhex(hex)?))
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(plain)
}

fn is_inside(path: &OsStr) -> bool {
    let plain: Vec<_> = Path::new(path).components().collect();
    // The walk of a directory gives no other spelling, so another one would never be found there.
    !plain.is_empty()
        && plain.iter().all(|c| matches!(c, Component::Normal(_)))
        && plain.iter().collect::<std::path::PathBuf>().as_os_str() == path
}

fn unhex(hex: &[u8]) -> Option<Digest> {
    let mut digest = Digest::default();
    for (byte, pair) in digest.iter_mut().zip(hex.chunks(2)) {
        // Lower case alone, as sha256sum writes it: a flipped bit must not turn `a` into an equal `A`.
        let digit = |at: usize| {
            let digit = pair.get(at).filter(|d| !d.is_ascii_uppercase())?;
            char::from(*digit).to_digit(16)
        };
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(text: &str) -> Result<Vec<String>, String> {
        let sums = parse(text.as_bytes())?;
        Ok(sums.into_keys().map(|k| k.into_string().unwrap()).collect())
    }

    #[test]
    fn what_sha256sum_writes_is_read() {
        let text = format!("{SUM}  a\n{SUM} *b/c d\n\\{SUM}  e\\\\f\\ng\\rh\n{SUM}  ./i\n");
        assert_eq!(read(&text).unwrap(), ["a", "b/c d", "e\\f\ng\rh", "i"]);
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn names_are_escaped_as_sha256sum_does() {
        assert_eq!(line("00", OsStr::new("a b")), b"00  a b\n");
        assert_eq!(line("00", OsStr::new("a\\b\n")), b"\\00  a\\\\b\\n\n");
    }

    #[test]
    fn what_is_no_list_of_sums_is_refused() {
        let whole = format!("{SUM}  a");
        for (text, why) in [
            (whole.clone(), "has a truncated last line"),
            ("\n".into(), "has no checksum in line 1"),
            (format!("{whole}\n\n"), "has no checksum in line 2"),
            (format!("{SUM} a\n"), "has no checksum in line 1"),
            (format!("\\{SUM}  a\\x\n"), "has no checksum in line 1"),
            (format!("\\{SUM}  a\\\n"), "has no checksum in line 1"),
            (format!("{}g  a\n", &SUM[1..]), "has no checksum in line 1"),
            (format!("{}  a\n", SUM.to_uppercase()), "has no checksum in line 1"),
            (format!("{SUM}  /etc/passwd\n"), "lists a path outside the bundle in line 1"),
            (format!("{SUM}  a/../../b\n"), "lists a path outside the bundle in line 1"),
            (format!("{SUM}  a//b\n"), "lists a path outside the bundle in line 1"),
            (format!("{SUM}  a/\n"), "lists a path outside the bundle in line 1"),
            (format!("{SUM}  \n"), "lists a path outside the bundle in line 1"),
            (format!("{whole}\n{whole}\n"), "lists a path a second time in line 2"),
        ] {
            assert_eq!(read(&text).unwrap_err(), why, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse_line(&bytes);
        }

        #[test]
        fn what_is_written_is_read_back(
            names in prop::collection::btree_set("[^/\0]{1,8}", 0..5),
            digest: Digest,
        ) {
            let names: Vec<_> = names.into_iter().filter(|n| n != "." && n != "..").collect();
            let lines = names.iter().flat_map(|name| line(&hex(&digest), OsStr::new(name)));
            let sums = parse(&lines.collect::<Vec<_>>()).unwrap();
            prop_assert!(sums.values().all(|d| *d == digest));
            let read: Vec<_> = sums.into_keys().map(|k| k.into_string().unwrap()).collect();
            prop_assert_eq!(read, names);
        }
    }
}
