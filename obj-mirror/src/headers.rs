//! What an answer's headers say of an object, and what headers say it back.

use crate::fault::StoreError;
use crate::index::{Properties, Tags};
use crate::plan::is_md5;
use crate::store::Listed;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;

const METADATA: &str = "x-amz-meta-";

type Answer<T> = Result<T, StoreError>;

/// An object as its own answer tells it.
#[derive(Clone, Debug)]
pub struct Head {
    /// Bytes.
    pub size: Option<u64>,
    /// Without quotes.
    pub etag: String,
    /// UTC, whole seconds.
    pub modified: Option<DateTime<Utc>>,
    /// What else it says of the object.
    pub properties: Properties,
    /// Whether an ETag of 32 hex digits is the MD5 of the bytes; with some encryptions it is not.
    pub etag_is_md5: bool,
    /// How many tags it has, where the server counts them.
    pub tag_count: Option<u32>,
}

impl Head {
    /// # Errors
    /// If a header's value is not UTF-8: an index could not hold it.
    pub fn of_headers(headers: &HeaderMap) -> Answer<Self> {
        let text = |name: &str| {
            // One that is sent twice is one with a comma, as HTTP has it.
            let all: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            match String::from_utf8(all.join(&b","[..])) {
                Ok(text) => Ok(Some(text).filter(|_| !all.is_empty())),
                Err(_) => Err(StoreError::permanent(format!("its {name} is not UTF-8"))),
            }
        };
        let mut metadata = BTreeMap::new();
        for name in headers.keys().filter_map(|n| n.as_str().strip_prefix(METADATA)) {
            let value = text(&format!("{METADATA}{name}"))?;
            metadata.insert(name.to_owned(), value.unwrap_or_default());
        }
        if text("x-amz-missing-meta")?.is_some_and(|n| n != "0") {
            return Err(StoreError::permanent("it has metadata that the server cannot send"));
        }
        let opaque = text("x-amz-server-side-encryption")?
            .is_some_and(|s| s.starts_with("aws:kms"))
            || headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
        Ok(Self {
            size: text("content-length")?.and_then(|n| n.parse().ok()),
            etag: bare(&text("etag")?.unwrap_or_default()),
            modified: text("last-modified")?.and_then(|t| http_time(&t)),
            properties: Properties {
                content_type: text("content-type")?,
                content_encoding: text("content-encoding")?,
                content_disposition: text("content-disposition")?,
                content_language: text("content-language")?,
                cache_control: text("cache-control")?,
                expires: text("expires")?,
                metadata,
            },
            etag_is_md5: !opaque,
            tag_count: text("x-amz-tagging-count")?.and_then(|n| n.trim().parse().ok()),
        })
    }

    /// When the object was written: the listing's time is finer, but counts only if it is of the same
    /// state.
    #[must_use]
    pub fn written(&self, listed: &Listed) -> DateTime<Utc> {
        match self.modified {
            Some(time) if self.etag != listed.etag => time,
            Some(time) if (time - listed.modified).num_seconds().abs() > 1 => time,
            _ => listed.modified,
        }
    }

    /// Whether its ETag must be the MD5 of the bytes.
    #[must_use]
    pub fn may_be_md5(&self) -> bool {
        self.etag_is_md5 && is_md5(&self.etag)
    }
}

/// An ETag without its quotes.
#[must_use]
pub fn bare(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// The time of a `Last-Modified`.
#[must_use]
pub fn http_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|t| t.with_timezone(&Utc))
}

/// The headers that say it back.
///
/// # Errors
/// If a value could not be sent unchanged.
pub fn headers(properties: &Properties) -> Answer<HeaderMap> {
    let mut headers = HeaderMap::new();
    let plain = [
        ("content-type", &properties.content_type),
        ("content-encoding", &properties.content_encoding),
        ("content-disposition", &properties.content_disposition),
        ("content-language", &properties.content_language),
        ("cache-control", &properties.cache_control),
        ("expires", &properties.expires),
    ];
    for (name, value) in plain {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), header_value(name, value)?);
        }
    }
    for (name, value) in &properties.metadata {
        let full = format!("{METADATA}{name}");
        let name = HeaderName::try_from(full.as_str()).map_err(|_| {
            StoreError::permanent(format!("the name of its metadata {name:?} cannot be sent"))
        })?;
        headers.insert(name, header_value(&full, value)?);
    }
    Ok(headers)
}

/// Only what arrives as it was: HTTP trims blanks and knows no control characters.
fn header_value(name: &str, value: &str) -> Answer<HeaderValue> {
    let sendable =
        !value.bytes().any(|b| b < 0x20 || b == 0x7f) && value.trim_matches(' ') == value;
    HeaderValue::from_bytes(value.as_bytes()).ok().filter(|_| sendable).ok_or_else(|| {
        StoreError::permanent(format!("the value of its {name} cannot be sent unchanged"))
    })
}

/// Tags as the header that stores them along with an object.
#[must_use]
pub fn tag_header(tags: &Tags) -> String {
    let pairs: Vec<_> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    crate::store::query(&pairs)
}

/// Whether a bucket's object is said to be what the index says. Of what the index says no type of, a
/// server gives out its own.
#[must_use]
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

    #[test]
    fn a_property_that_cannot_be_sent_unchanged_is_refused() {
        let with = |value: &str| {
            let metadata = BTreeMap::from([("k".to_owned(), value.to_owned())]);
            headers(&Properties { metadata, ..Properties::default() })
        };
        for value in ["a b", "ü", "a  b", "a;\"b\""] {
            assert!(with(value).is_ok(), "{value:?}");
        }
        for value in [" a", "a ", "a\n", "a\u{1}"] {
            assert!(with(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn what_is_sent_is_what_is_read_back() {
        let headers_of = |pairs: &[(&str, &str)]| {
            let header = |(n, v): &(&str, &str)| {
                (HeaderName::try_from(*n).unwrap(), HeaderValue::from_bytes(v.as_bytes()).unwrap())
            };
            HeaderMap::from_iter(pairs.iter().map(header))
        };
        let sent = headers_of(&[
            ("content-type", "text/plain; charset=utf-8"),
            ("expires", "never"),
            ("x-amz-meta-who", "Jürgen  Ü"),
            ("x-amz-meta-empty", ""),
        ]);
        let read = Head::of_headers(&sent).unwrap();
        assert_eq!(headers(&read.properties).unwrap(), sent);
        assert_eq!(
            Head::of_headers(&headers_of(&[("x-amz-tagging-count", "2")])).unwrap().tag_count,
            Some(2)
        );
        let mut twice = headers_of(&[("x-amz-meta-a", "1")]);
        twice.append("x-amz-meta-a", HeaderValue::from_static("2"));
        assert_eq!(Head::of_headers(&twice).unwrap().properties.metadata["a"], "1,2");
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
