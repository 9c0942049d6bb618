//! Paths as the archive holds them.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path an archive may hold, in bytes.
const MAX_PATH: usize = 4095;
/// The longest part of a path, in bytes.
const MAX_PART: usize = 255;
/// How many parts a path may have.
const MAX_DEPTH: usize = 100;

/// A relative path with `/` between its parts and no empty, `.` or `..` part. Ordered by its bytes,
/// which puts a directory before what is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// # Errors
    /// Why the bytes are no path inside a directory: a phrase.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.first() == Some(&b'/') {
            return Err("is absolute");
        }
        if bytes.contains(&0) {
            return Err("holds a NUL byte");
        }
        let parts: Vec<&[u8]> =
            bytes.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
        if parts.is_empty() {
            return Err("is empty");
        }
        if parts.contains(&b"..".as_slice()) {
            return Err("climbs with ..");
        }
        if bytes.len() > MAX_PATH || parts.iter().any(|part| part.len() > MAX_PART) {
            return Err("is too long");
        }
        if parts.len() > MAX_DEPTH {
            return Err("is too deep");
        }
        Ok(Self(parts.join(&b'/')))
    }

    /// The parts, outermost first.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/')
    }

    /// How many parts there are.
    pub fn depth(&self) -> usize {
        self.parts().count()
    }

    /// The first part as a path.
    pub fn top(&self) -> Self {
        Self(self.parts().next().unwrap_or_default().to_vec())
    }

    /// The last part.
    pub fn name(&self) -> &[u8] {
        self.parts().next_back().unwrap_or_default()
    }

    /// The directory it lies in; none for a single part.
    pub fn parent(&self) -> Option<Self> {
        let at = self.0.iter().rposition(|b| *b == b'/')?;
        Some(Self(self.0[..at].to_vec()))
    }

    /// Every directory above it, outermost first.
    pub fn ancestors(&self) -> Vec<Self> {
        let ends = self.0.iter().enumerate().filter(|(_, b)| **b == b'/');
        ends.map(|(at, _)| Self(self.0[..at].to_vec())).collect()
    }

    /// The path of `name` in this directory.
    pub fn join(&self, name: &[u8]) -> Self {
        Self([&self.0, b"/".as_slice(), name].concat())
    }

    /// Whether it is `other` or lies below it.
    pub fn is_under(&self, other: &Self) -> bool {
        self.0.strip_prefix(other.0.as_slice()).is_some_and(|r| r.is_empty() || r[0] == b'/')
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where it is below `root`.
    pub fn at(&self, root: &Path) -> PathBuf {
        root.join(OsStr::from_bytes(&self.0))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

/// Bytes from outside as text that is safe to put on a terminal.
pub fn shown(bytes: &[u8]) -> String {
    escape(&String::from_utf8_lossy(bytes))
}

/// Text with its control characters, and those that reorder text, made visible.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (c.is_control() && c != '\t') || reorders {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_paths_that_stay_inside_are_paths() {
        for (text, why) in [
            ("", "is empty"),
            (".", "is empty"),
            ("./", "is empty"),
            ("/etc/passwd", "is absolute"),
            ("..", "climbs with .."),
            ("a/../b", "climbs with .."),
            ("a/..", "climbs with .."),
            ("a\0b", "holds a NUL byte"),
        ] {
            assert_eq!(RelPath::parse(text.as_bytes()), Err(why), "{text:?}");
        }
        assert_eq!(RelPath::parse(&[b'a'; 256]), Err("is too long"));
        assert_eq!(RelPath::parse(&b"a/".repeat(3000)), Err("is too long"));
        assert_eq!(RelPath::parse(&b"a/".repeat(101)), Err("is too deep"));
        for (text, normal) in [("./a//b/", "a/b"), ("..a/b..", "..a/b.."), (".env", ".env")] {
            assert_eq!(path(text).bytes(), normal.as_bytes());
        }
    }

    #[test]
    fn knows_what_lies_above_and_below() {
        let deep = path("a/b/c");
        assert_eq!(deep.top(), path("a"));
        assert_eq!(deep.parent(), Some(path("a/b")));
        assert_eq!(deep.name(), b"c");
        assert_eq!(deep.ancestors(), [path("a"), path("a/b")]);
        assert_eq!(deep.depth(), 3);
        assert!(deep.is_under(&path("a/b")) && deep.is_under(&deep));
        assert!(!path("ab").is_under(&path("a")));
        assert_eq!(path("a").parent(), None);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(shown(b"a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
    }
}
