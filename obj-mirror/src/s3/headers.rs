//! What a response's headers contain about an object.

use crate::object::attributes::Properties;
use crate::object::octets::Octets;
use crate::s3::etag::bare;
use crate::s3::etag::is_md5;
use crate::s3::listed::Listed;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue};

/// The prefix of user metadata headers.
pub const METADATA: &str = "x-amz-meta-";
/// The headers that a mirror keeps beside user metadata.
pub const STANDARD: [&str; 6] = [
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
];

/// An object as described by the headers of a response.
#[derive(Clone, Debug)]
pub struct Head {
    pub size: Option<u64>,
    /// Without quotes; empty if the server sends none.
    pub etag: String,
    /// The ETag as a value for `If-Match`; none for a weak ETag, which matches nothing.
    pub condition: Option<HeaderValue>,
    /// UTC, whole seconds.
    pub modified: Option<DateTime<Utc>>,
    pub properties: Properties,
    /// Whether an ETag of 32 hex digits is the MD5 of the bytes; with some encryptions it is not.
    pub etag_is_md5: bool,
    /// The number of tags, if the server counts them.
    pub tag_count: Option<u32>,
    /// The number of metadata values that the server has but HTTP cannot carry.
    pub unsent_metadata: u32,
    /// Whether invalid headers were dropped from the response.
    pub lacks_headers: bool,
}

impl Head {
    /// Reads the headers of a response. No value, whatever its bytes are, hides the others.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        let opaque = text(headers, "x-amz-server-side-encryption")
            .is_some_and(|s| s.starts_with("aws:kms"))
            || headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
        let unsent = text(headers, "x-amz-missing-meta");
        Self {
            size: text(headers, "content-length").and_then(|n| n.parse().ok()),
            etag: text(headers, "etag").map(|etag| bare(&etag)).unwrap_or_default(),
            condition: headers.get("etag").and_then(condition),
            modified: text(headers, "last-modified").and_then(|t| http_time(&t)),
            properties: properties(headers),
            etag_is_md5: !opaque,
            tag_count: text(headers, "x-amz-tagging-count").and_then(|n| n.trim().parse().ok()),
            // A count that cannot be read is at least one.
            unsent_metadata: unsent.map_or(0, |n| n.trim().parse().unwrap_or(1)),
            lacks_headers: false,
        }
    }

    /// When the object was written. The listing's time is finer, but counts only if it describes the same
    /// state of the object.
    pub fn written(&self, listed: &Listed) -> DateTime<Utc> {
        let is_other = self.etag != listed.etag && !self.etag.is_empty() && !listed.etag.is_empty();
        match self.modified {
            Some(time) if is_other => time,
            Some(time) if (time - listed.modified).num_seconds().abs() > 1 => time,
            _ => listed.modified,
        }
    }

    /// Whether both responses describe the same state of the object: by ETag, or, if the server sends
    /// none, by time.
    pub fn is_of_one_state(&self, other: &Self) -> bool {
        self.etag == other.etag && (!self.etag.is_empty() || self.modified == other.modified)
    }

    /// Whether the ETag must be the MD5 of the bytes.
    pub fn may_be_md5(&self) -> bool {
        self.etag_is_md5 && is_md5(&self.etag)
    }
}

/// A header's value as text. Bytes that are not UTF-8 are replaced: only for words and numbers, never for
/// values that are sent back.
pub fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = joined(headers, name)?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// A header that is sent twice equals one with a comma (RFC 9110, section 5.3).
fn joined(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let all: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    (!all.is_empty()).then(|| all.join(&b","[..]))
}

fn properties(headers: &HeaderMap) -> Properties {
    let mut properties = Properties::default();
    for name in headers.keys().map(http::HeaderName::as_str) {
        let metadata = name.strip_prefix(METADATA);
        if metadata.is_none() && !STANDARD.contains(&name) {
            continue;
        }
        let value = match String::from_utf8(joined(headers, name).unwrap_or_default()) {
            Ok(value) => value,
            Err(error) => {
                let value = Octets(error.into_bytes());
                properties.raw_headers.insert(name.to_owned(), value);
                continue;
            }
        };
        match (metadata, standard(&mut properties, name)) {
            (Some(name), _) => drop(properties.metadata.insert(name.to_owned(), value)),
            (None, Some(member)) => *member = Some(value),
            (None, None) => {}
        }
    }
    properties
}

/// The field for one of the headers of [`STANDARD`].
fn standard<'a>(properties: &'a mut Properties, name: &str) -> Option<&'a mut Option<String>> {
    Some(match name {
        "content-type" => &mut properties.content_type,
        "content-encoding" => &mut properties.content_encoding,
        "content-disposition" => &mut properties.content_disposition,
        "content-language" => &mut properties.content_language,
        "cache-control" => &mut properties.cache_control,
        "expires" => &mut properties.expires,
        _ => return None,
    })
}

fn condition(etag: &HeaderValue) -> Option<HeaderValue> {
    match etag.as_bytes() {
        [] | [b'"', b'"'] | [b'W', b'/', ..] => None,
        // Servers accept no other ETag in a request, whatever they send.
        bytes if !bytes.is_ascii() => None,
        [b'"', ..] => Some(etag.clone()),
        bytes => HeaderValue::from_bytes(&[b"\"", bytes, b"\""].concat()).ok(),
    }
}

pub fn http_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|t| t.with_timezone(&Utc))
}

/// Whether a bucket's object has the properties of the index. If the index has no content type, the server
/// reports a default one.
pub fn same(indexed: &Properties, there: &Properties) -> bool {
    const UNTYPED: [&str; 2] = ["application/octet-stream", "binary/octet-stream"];
    let mut there = there.clone();
    if indexed.content_type.is_none() {
        there.content_type = there.content_type.filter(|t| !UNTYPED.contains(&t.as_str()));
    }
    *indexed == there
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let header = |(n, v): &(&str, &[u8])| {
            (http::HeaderName::try_from(*n).unwrap(), HeaderValue::from_bytes(v).unwrap())
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn what_is_not_utf8_is_kept_as_bytes_and_changes_nothing_else() {
        let head = Head::of_headers(&headers_of(&[
            ("content-type", b"text/\xe9"),
            ("content-language", b"de"),
            ("x-amz-meta-title", b"caf\xe9"),
            ("x-amz-meta-who", b"me"),
            ("x-amz-tagging-count", b"2"),
            ("server", b"\xff"),
        ]));
        let properties = head.properties;
        assert_eq!(properties.content_type, None);
        assert_eq!(properties.content_language.as_deref(), Some("de"));
        assert_eq!(properties.metadata.len(), 1);
        let raw: Vec<_> = properties.raw_headers.into_iter().collect();
        let bytes = |name: &str, value: &[u8]| (name.to_owned(), Octets(value.to_vec()));
        assert_eq!(
            raw,
            [bytes("content-type", b"text/\xe9"), bytes("x-amz-meta-title", b"caf\xe9")]
        );
        assert_eq!(head.tag_count, Some(2));
    }

    #[test]
    fn a_header_that_comes_twice_is_one_with_a_comma() {
        let mut twice = headers_of(&[("x-amz-meta-a", b"1")]);
        twice.append("x-amz-meta-a", HeaderValue::from_static("2"));
        assert_eq!(Head::of_headers(&twice).properties.metadata["a"], "1,2");
    }

    #[test]
    fn headers_without_a_usable_value_count_as_missing() {
        let head = Head::of_headers(&headers_of(&[
            ("content-length", b"many"),
            ("last-modified", b"yesterday"),
            ("x-amz-tagging-count", b"\xe9"),
            ("x-amz-missing-meta", b"some"),
        ]));
        assert_eq!((head.size, head.modified, head.tag_count), (None, None, None));
        assert_eq!((head.etag.as_str(), head.condition), ("", None));
        assert_eq!(head.unsent_metadata, 1);
        assert_eq!(Head::of_headers(&HeaderMap::new()).unsent_metadata, 0);
        assert_eq!(
            Head::of_headers(&headers_of(&[("x-amz-missing-meta", b"0")])).unsent_metadata,
            0
        );
    }

    #[test]
    fn only_a_strong_etag_is_a_condition() {
        let quoted = Some(&b"\"a\""[..]);
        let cases = [
            (&b"\"a\""[..], "a", quoted),
            (b"a", "a", quoted),
            (b"W/\"a\"", "a", None),
            (b"\"\"", "", None),
            (b"\"\xe9\"", "\u{fffd}", None),
        ];
        for (sent, etag, condition) in cases {
            let head = Head::of_headers(&headers_of(&[("etag", sent)]));
            assert_eq!(head.etag, etag);
            assert_eq!(head.condition.as_ref().map(HeaderValue::as_bytes), condition, "{etag}");
        }
    }

    #[test]
    fn the_listings_time_counts_where_it_is_of_the_same_state() {
        let listed = |etag: &str| Listed { etag: etag.into(), ..Listed::sample("a") };
        let head = |etag: &'static str, time: &'static str| {
            let headers = [("etag", etag.as_bytes()), ("last-modified", time.as_bytes())];
            Head::of_headers(&headers_of(&headers))
        };
        let (near, far) = ("Thu, 01 Jan 1970 00:00:01 GMT", "Thu, 01 Jan 1970 00:01:00 GMT");
        let cases = [
            ("a", near, "a", 1),
            ("a", far, "a", 60),
            ("a", near, "b", 1),
            ("", near, "a", 1),
            ("a", "never", "b", 1),
        ];
        for (etag, time, of_listing, seconds) in cases {
            assert_eq!(head(etag, time).written(&listed(of_listing)).timestamp(), seconds);
        }
    }

    #[test]
    fn an_object_without_a_type_is_the_same_under_the_servers_own() {
        let typed = |t: Option<&str>| Properties {
            content_type: t.map(str::to_owned),
            ..Properties::default()
        };
        let cases = [
            (None, Some("binary/octet-stream"), true),
            (None, None, true),
            (None, Some("text/plain"), false),
            (Some("application/octet-stream"), Some("binary/octet-stream"), false),
            (Some("text/plain"), Some("text/plain"), true),
        ];
        for (indexed, there, expected) in cases {
            assert_eq!(same(&typed(indexed), &typed(there)), expected, "{indexed:?} {there:?}");
        }
    }
}
