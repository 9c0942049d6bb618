//! The destinations of copies, and what can be done with what lies there.

pub mod bucket;
pub mod directory;
pub mod remote_file;
pub mod restic;

use crate::place::bucket::Bucket;
use crate::place::directory::Directory;
use crate::place::remote_file::RemoteFile;
use crate::place::restic::Repository;
use anyhow::Result;
use pipe_kit::Stop;
use pipe_kit::progress::Bar;
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// The most that a description has. What is larger is none.
pub const LARGEST_DESCRIPTION: u64 = 2 << 20;

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

/// What kind of place it is.
pub enum Place {
    /// Sealed files.
    Files(Files),
    /// Bundles in the clear, in a repository that is encrypted.
    Restic(Repository),
    /// Why it cannot be used as it is set. The other destinations can.
    Unusable(String),
}

/// Where sealed files lie.
pub enum Files {
    Bucket(Bucket),
    Directory(Directory),
}

impl Destination {
    /// The directory, if it is one.
    pub fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Files(Files::Directory(directory)) => Some(directory.path()),
            _ => None,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHIP_{} ({})", self.number, self.name)
    }
}

/// The error of a destination that is not set as it should be.
pub fn unusable(why: &str) -> anyhow::Error {
    Stop::usage(why).into()
}

impl Files {
    /// Lists the files whose names begin as those of bundles.
    ///
    /// # Errors
    /// [`Stop::refused`] if the keys may not list.
    pub fn list(&self) -> Result<Vec<RemoteFile>> {
        match self {
            Self::Bucket(bucket) => bucket.list(),
            Self::Directory(directory) => directory.list(),
        }
    }

    /// Reads a description.
    ///
    /// # Errors
    /// [`Stop::refused`] if the keys may not read, [`Stop::damaged`] if it is too large to be one.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        match self {
            Self::Bucket(bucket) => bucket.read(name, LARGEST_DESCRIPTION),
            Self::Directory(directory) => directory.read(name, LARGEST_DESCRIPTION),
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
    /// [`Stop::damaged`] if it is another one.
    pub fn check(
        &self,
        name: &str,
        range: Option<Range<u64>>,
        sha256: &str,
        bar: &Bar,
    ) -> Result<()> {
        match self {
            Self::Bucket(bucket) => bucket.check(name, range, sha256, bar),
            Self::Directory(directory) => directory.check(name, range, sha256, bar),
        }
    }

    /// Removes a file; it may be gone.
    pub fn remove(&self, name: &str) -> Result<()> {
        match self {
            Self::Bucket(bucket) => bucket.remove(name),
            Self::Directory(directory) => directory.remove(name),
        }
    }

    /// Removes what killed runs have left half written.
    pub fn remove_unfinished(&self) -> Result<()> {
        match self {
            // `obj-mirror put` aborts what was left of the same key, and a rule of the bucket the rest.
            Self::Bucket(_) => Ok(()),
            Self::Directory(directory) => directory.remove_partials(),
        }
    }
}
