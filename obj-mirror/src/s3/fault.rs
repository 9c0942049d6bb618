//! What can go wrong with an object or a bucket.

use std::io;
use std::time::Duration;

/// What a failure means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bucket does not exist.
    NoBucket,
    /// The bucket exists already and belongs to the caller.
    BucketThere,
    /// The object or upload does not exist.
    NoKey,
    /// The keys are wrong or lack a permission.
    Denied,
    /// The server refuses the time of the request: the clocks differ too much.
    Skewed,
    /// The server cannot be reached.
    Unreachable,
    /// The server cannot be trusted, or does not speak TLS.
    Tls,
    /// The server asks for fewer requests.
    Busy,
    /// The object has changed since it was listed or first read.
    Changed,
    /// The server does not implement the operation.
    Unsupported,
    /// The server or the network failed this time.
    Transient,
    /// The server received other bytes than were sent.
    Garbled,
    /// The response is not valid HTTP.
    Malformed,
    /// No progress within the time limit.
    Silent,
    /// A retry will not help.
    Permanent,
    /// The local disk is full or read-only.
    Disk,
    /// A local file is missing, unreadable or not what the index lists.
    Damaged,
}

/// A failure, as one line without secrets.
#[derive(Clone, Debug)]
pub struct StoreError {
    pub kind: Kind,
    pub message: String,
    /// How long the server asks to wait before the next attempt.
    pub retry_after: Option<Duration>,
}

impl StoreError {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// A failure that a retry will not resolve.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Kind::Permanent, message)
    }

    /// A failure that a retry may resolve.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Kind::Transient, message)
    }

    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(Kind::Damaged, message)
    }

    /// A failure of the local disk.
    pub fn local(error: &io::Error) -> Self {
        use io::ErrorKind as E;
        let kind = match error.kind() {
            E::StorageFull | E::QuotaExceeded | E::ReadOnlyFilesystem => Kind::Disk,
            E::UnexpectedEof | E::NotFound | E::NotADirectory | E::IsADirectory => Kind::Damaged,
            _ if error.raw_os_error().is_some_and(is_damage) => Kind::Damaged,
            _ => Kind::Permanent,
        };
        Self::new(kind, error.to_string())
    }

    /// Whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            Kind::Transient
                | Kind::Garbled
                | Kind::Malformed
                | Kind::Silent
                | Kind::Unreachable
                | Kind::Busy
                | Kind::Changed
        )
    }

    /// Whether every other object will fail in the same way.
    pub fn is_fatal(&self) -> bool {
        use Kind::{Disk, NoBucket, Skewed, Tls, Unreachable};
        matches!(self.kind, NoBucket | Skewed | Unreachable | Tls | Disk)
    }
}

/// The disk cannot return a file's bytes, or a link is in the file's place.
fn is_damage(errno: i32) -> bool {
    use rustix::io::Errno;
    [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::LOOP].iter().any(|e| e.raw_os_error() == errno)
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::local(&error)
    }
}

/// The result of a request, or of one object's transfer.
pub type Answer<T> = Result<T, StoreError>;
