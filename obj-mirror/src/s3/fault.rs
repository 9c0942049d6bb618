//! What a failed request means, and how it is told.

use std::io;
use std::time::Duration;

/// What a failed request means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such bucket.
    NoBucket,
    /// There is such a bucket already, and it is the caller's.
    BucketThere,
    /// There is no such object or upload.
    NoKey,
    /// The keys are wrong or may not do this.
    Denied,
    /// The server does not answer at all.
    Unreachable,
    /// Who answers is not to be trusted, or does not speak TLS.
    Tls,
    /// The server asks for fewer requests.
    Busy,
    /// The object is no longer the one that was asked for.
    Changed,
    /// The server does not know how to do that.
    Unsupported,
    /// The server, or the way to it, failed this time.
    Transient,
    /// Other bytes arrived at the server than were sent.
    Garbled,
    /// The answer is not HTTP.
    Malformed,
    /// Nothing came for as long as is waited for.
    Silent,
    /// It will not go better the next time.
    Permanent,
    /// The disk takes no more.
    Disk,
    /// The file on disk is not what it should be, or cannot be read to its end.
    Damaged,
}

/// A failed request, as one line without secrets.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// What it means.
    pub kind: Kind,
    /// One line.
    pub message: String,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl StoreError {
    /// A failure of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// A failure that will stay one.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(Kind::Permanent, message)
    }

    /// A failure that may be none the next time.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Kind::Transient, message)
    }

    /// A file that is not what it should be.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(Kind::Damaged, message)
    }

    /// A failure of the disk beside the storage.
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

    /// Whether it may go well the next time.
    #[must_use]
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

    /// Whether every other request will fail in the same way.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.kind, Kind::NoBucket | Kind::Unreachable | Kind::Tls | Kind::Disk)
    }
}

/// A disk that cannot give a file's bytes, or a link in a file's place.
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

/// What a request gives.
pub type Answer<T> = Result<T, StoreError>;
