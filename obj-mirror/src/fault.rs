//! What a failed request means, and how it is told.

use std::io;

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
    /// The server, or the way to it, failed this time.
    Transient,
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
}

impl StoreError {
    /// A failure that will stay one.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { kind: Kind::Permanent, message: message.into() }
    }

    /// A failure that may be none the next time.
    pub fn transient(message: impl Into<String>) -> Self {
        Self { kind: Kind::Transient, message: message.into() }
    }

    /// A file that is not what it should be.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self { kind: Kind::Damaged, message: message.into() }
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
        Self { kind, message: error.to_string() }
    }

    /// Whether it may go well the next time.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Transient | Kind::Silent | Kind::Unreachable)
    }

    /// Whether every other request will fail in the same way.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.kind, Kind::NoBucket | Kind::Unreachable | Kind::Disk)
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

/// What an answer with an error status means.
#[must_use]
pub fn answered(status: u16, body: &str) -> StoreError {
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.trim())
    };
    let code = element("Code").unwrap_or_default();
    let kind = match (status, code) {
        (_, "NoSuchBucket") => Kind::NoBucket,
        (_, "BucketAlreadyOwnedByYou") => Kind::BucketThere,
        (_, "SlowDown" | "InternalError" | "RequestTimeout" | "ServiceUnavailable") => {
            Kind::Transient
        }
        (404, _) => Kind::NoKey,
        (401 | 403, _) => Kind::Denied,
        (408 | 429, _) => Kind::Transient,
        (501, _) => Kind::Permanent,
        (500.., _) => Kind::Transient,
        _ => Kind::Permanent,
    };
    let text = element("Message").unwrap_or_default();
    let mut message = format!("the server answered {status}");
    for part in [code, text].into_iter().filter(|part| !part.is_empty()) {
        message.push(' ');
        message.push_str(&crate::key::printable(part));
    }
    StoreError { kind, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_well_the_next_time_is_told_from_what_will_not() {
        let kind = |status, code: &str| answered(status, &format!("<Code>{code}</Code>")).kind;
        assert_eq!(kind(404, "NoSuchBucket"), Kind::NoBucket);
        assert_eq!(kind(404, "NoSuchKey"), Kind::NoKey);
        assert_eq!(kind(403, "SignatureDoesNotMatch"), Kind::Denied);
        assert_eq!(kind(400, "InvalidArgument"), Kind::Permanent);
        for status in [429, 500, 502, 503, 504] {
            assert_eq!(kind(status, ""), Kind::Transient);
        }
    }
}
