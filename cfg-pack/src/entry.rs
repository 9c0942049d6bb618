//! An entry of an archive, and how much of them an archive may hold.

use crate::extra::Extra;

/// How much an archive may hold, in bytes of tar.
pub const MAX_BYTES: u64 = 1 << 30;
/// How many entries an archive may hold.
pub const MAX_ENTRIES: usize = 100_000;

/// One thing in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Permission bits as archived, with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970, UTC.
    pub mtime: u64,
    pub extra: Extra,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Dir,
    /// Where its content is in the tar, in bytes.
    File {
        offset: u64,
        size: u64,
    },
    /// A link that stays inside, and its text.
    Link(Vec<u8>),
}
