//! The destinations of copies, and what can be done with the files that lie there.

pub mod bucket;
pub mod directory;
pub mod remote_file;

use crate::place::bucket::Bucket;
use crate::place::directory::Directory;
use crate::place::remote_file::RemoteFile;
use anyhow::Result;
use std::fmt;
use std::ops::Range;

/// One destination.
pub struct Destination {
    /// From 1 to 9.
    pub number: u8,
    /// Where it is, without secrets: as recorded.
    pub name: String,
    pub place: Place,
    /// Days that each copy is locked.
    pub retain_days: Option<u32>,
}

/// Where the files lie.
pub enum Place {
    Bucket(Bucket),
    Directory(Directory),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHIP_{} ({})", self.number, self.name)
    }
}

impl Place {
    /// Lists the files.
    pub fn list(&self) -> Result<Vec<RemoteFile>> {
        match self {
            Self::Bucket(bucket) => bucket.list(),
            Self::Directory(directory) => directory.list(),
        }
    }

    /// Reads a small file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        match self {
            Self::Bucket(bucket) => bucket.read(name),
            Self::Directory(directory) => directory.read(name),
        }
    }

    /// Stores a small file, whole or not at all.
    pub fn write(&self, name: &str, bytes: &[u8], retain_days: Option<u32>) -> Result<()> {
        match self {
            Self::Bucket(bucket) => bucket.write(name, bytes, retain_days),
            Self::Directory(directory) => directory.write(name, bytes),
        }
    }

    /// Reads a file, or a range of it, and compares its SHA-256, hex.
    ///
    /// # Errors
    /// [`pipe_kit::Stop::damaged`] if it is another one.
    pub fn check(&self, name: &str, range: Option<Range<u64>>, sha256: &str) -> Result<()> {
        match self {
            Self::Bucket(bucket) => bucket.check(name, range, sha256),
            Self::Directory(directory) => directory.check(name, range, sha256),
        }
    }

    /// Removes a file; it may be gone.
    pub fn remove(&self, name: &str) -> Result<()> {
        match self {
            Self::Bucket(bucket) => bucket.remove(name),
            Self::Directory(directory) => directory.remove(name),
        }
    }
}
