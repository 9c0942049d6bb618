//! What a response with an error status means.

use crate::object::key::printable;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::headers::text;
use crate::s3::xml;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use std::time::Duration;

/// Classifies a response with an error status.
pub fn answered(status: u16, headers: &HeaderMap, body: &[u8]) -> StoreError {
    described(status, status, headers, body)
}

/// Classifies an error in a response with status 200 as if its status were 500.
pub fn answered_late(headers: &HeaderMap, body: &[u8]) -> StoreError {
    described(200, 500, headers, body)
}

/// What a response means that stands for one with the status `meant`.
fn described(status: u16, meant: u16, headers: &HeaderMap, body: &[u8]) -> StoreError {
    let element = |name: &str| xml::find(body, name).unwrap_or_default();
    let (code, detail) = (element("Code"), element("Message"));
    let mut message = format!("the server answered {status}");
    for part in [code.trim(), detail.trim()].into_iter().filter(|part| !part.is_empty()) {
        message.push(' ');
        message.push_str(&printable(part));
    }
    let header = |name: &str| text(headers, name);
    if let (300..=400, Some(region)) = (status, header("x-amz-bucket-region")) {
        let region = printable(&region);
        message.push_str(&format!("; the bucket is in region {region}: set AWS_REGION"));
    }
    let retry_after = header("retry-after").and_then(|text| pause(text.trim(), Utc::now()));
    let kind = match code.trim() {
        // The page of a proxy does not prove that there is no object. A response to HEAD has no body.
        "" if meant == 404 && !body.is_empty() => Kind::Transient,
        code => meaning(meant, code),
    };
    StoreError { kind, message, retry_after }
}

/// The delay that `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date.
fn pause(asked: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(asked).ok()?;
    until.signed_duration_since(now).to_std().ok()
}

fn meaning(status: u16, code: &str) -> Kind {
    match (status, code) {
        (_, "RequestTimeTooSkewed") => Kind::Skewed,
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
        // The object may have become smaller than the requested range.
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
    fn transient_errors_are_distinguished_from_permanent_ones() {
        let answer = |status, code: &str| {
            let body = format!("<Error><Code>{code}</Code></Error>");
            answered(status, &HeaderMap::new(), body.as_bytes())
        };
        let kind = |status, code: &str| answer(status, code).kind;
        assert_eq!(kind(404, "NoSuchBucket"), Kind::NoBucket);
        assert_eq!(kind(404, "NoSuchKey"), Kind::NoKey);
        assert_eq!(kind(403, "SignatureDoesNotMatch"), Kind::Denied);
        assert_eq!(kind(403, "RequestTimeTooSkewed"), Kind::Skewed);
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
    fn only_the_storage_itself_says_that_there_is_no_object() {
        for (body, kind) in [
            ("", Kind::NoKey),
            ("<Error><Code>NoSuchKey</Code></Error>", Kind::NoKey),
            ("<Error><Code>NoSuchUpload</Code></Error>", Kind::NoKey),
            ("<html><body>404 page not found</body></html>", Kind::Transient),
            ("404 page not found", Kind::Transient),
        ] {
            assert_eq!(answered(404, &HeaderMap::new(), body.as_bytes()).kind, kind, "{body}");
        }
    }

    #[test]
    fn the_delay_that_a_server_asks_for_is_read() {
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
