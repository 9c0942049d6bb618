//! What a failed request means, and how it is told.

use crate::store::xml;
use chrono::{DateTime, Utc};
use http::HeaderMap;
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

/// What an answer with an error status means.
#[must_use]
pub fn answered(status: u16, headers: &HeaderMap, body: &[u8]) -> StoreError {
    let element = |name: &str| xml::find(body, name).unwrap_or_default();
    let (code, text) = (element("Code"), element("Message"));
    let mut message = format!("the server answered {status}");
    for part in [code.trim(), text.trim()].into_iter().filter(|part| !part.is_empty()) {
        message.push(' ');
        message.push_str(&crate::key::printable(part));
    }
    let header = |name: &str| crate::headers::text(headers, name);
    if let (300..=400, Some(region)) = (status, header("x-amz-bucket-region")) {
        let region = crate::key::printable(&region);
        message.push_str(&format!("; the bucket is in region {region}: set AWS_REGION"));
    }
    let retry_after = header("retry-after").and_then(|text| pause(text.trim(), Utc::now()));
    StoreError { kind: meaning(status, code.trim()), message, retry_after }
}

/// What `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a moment.
fn pause(asked: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(asked).ok()?;
    until.signed_duration_since(now).to_std().ok()
}

fn meaning(status: u16, code: &str) -> Kind {
    match (status, code) {
        (_, "NoSuchBucket") => Kind::NoBucket,
        (_, "BucketAlreadyOwnedByYou") => Kind::BucketThere,
        (_, "SlowDown" | "ServiceUnavailable" | "Throttling" | "RequestLimitExceeded") => {
            Kind::Busy
        }
        (_, "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch") => {
            Kind::Garbled
        }
        (_, "InternalError" | "RequestTimeout" | "OperationAborted" | "IncompleteBody") => {
            Kind::Transient
        }
        (_, "NotImplemented") | (501, _) => Kind::Unsupported,
        (404, _) => Kind::NoKey,
        // The range may have been one of the object that was there.
        (412 | 416, _) => Kind::Changed,
        (401 | 403, _) => Kind::Denied,
        (429 | 503, _) => Kind::Busy,
        (408 | 500.., _) => Kind::Transient,
        _ => Kind::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_well_the_next_time_is_told_from_what_will_not() {
        let answer = |status, code: &str| {
            let body = format!("<Error><Code>{code}</Code></Error>");
            answered(status, &HeaderMap::new(), body.as_bytes())
        };
        let kind = |status, code: &str| answer(status, code).kind;
        assert_eq!(kind(404, "NoSuchBucket"), Kind::NoBucket);
        assert_eq!(kind(404, "NoSuchKey"), Kind::NoKey);
        assert_eq!(kind(403, "SignatureDoesNotMatch"), Kind::Denied);
        assert_eq!(kind(400, "InvalidArgument"), Kind::Permanent);
        assert_eq!(kind(501, "NotImplemented"), Kind::Unsupported);
        assert_eq!(kind(412, "PreconditionFailed"), Kind::Changed);
        for code in ["BadDigest", "XAmzContentSHA256Mismatch"] {
            assert_eq!(kind(400, code), Kind::Garbled);
            assert!(answer(400, code).is_transient());
        }
        for status in [429, 500, 502, 503, 504] {
            assert!(answer(status, "").is_transient());
        }
    }

    #[test]
    fn a_server_says_how_long_it_wants_to_be_left_alone() {
        let headers = HeaderMap::from_iter([(
            http::header::RETRY_AFTER,
            http::HeaderValue::from_static("7"),
        )]);
        let busy = answered(503, &headers, b"no XML");
        assert_eq!((busy.kind, busy.retry_after), (Kind::Busy, Some(Duration::from_secs(7))));
        let now = "2026-04-21T02:00:00Z".parse().unwrap();
        let at = |asked| pause(asked, now);
        assert_eq!(at("Tue, 21 Apr 2026 02:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(at("Tue, 21 Apr 2026 01:59:59 GMT"), None);
        assert_eq!(at("soon"), None);
    }
}
