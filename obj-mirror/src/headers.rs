//! What an answer's headers say of an object, and what headers say it back.

use crate::fault::StoreError;
use crate::index::Properties;
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
}

impl Head {
    /// # Errors
    /// If a header's value is not UTF-8: an index could not hold it.
    pub fn of_headers(headers: &HeaderMap) -> Answer<Self> {
        let text = |name: &str| match headers.get(name) {
            None => Ok(None),
            Some(value) => match std::str::from_utf8(value.as_bytes()) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(StoreError::permanent(format!("its {name} is not UTF-8"))),
            },
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
        })
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

/// The client always sends a type; this one is what no type means.
#[must_use]
pub fn content_type(properties: &Properties) -> &str {
    properties.content_type.as_deref().unwrap_or("application/octet-stream")
}

/// What the client would send of the properties, beside the content type.
///
/// # Errors
/// If a value could not be sent unchanged.
pub fn headers(properties: &Properties) -> Answer<HeaderMap> {
    let mut headers = HeaderMap::new();
    let plain = [
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
    header_value("content-type", content_type(properties))?;
    Ok(headers)
}

/// Only what arrives as it was: the client empties values outside ASCII, and HTTP trims blanks.
fn header_value(name: &str, value: &str) -> Answer<HeaderValue> {
    let sendable = value.bytes().all(|b| (0x20..0x7f).contains(&b)) && value.trim() == value;
    HeaderValue::from_str(value).ok().filter(|_| sendable).ok_or_else(|| {
        StoreError::permanent(format!("the value of its {name} cannot be sent unchanged"))
    })
}

/// Whether two objects are said to be the same thing. No type and the type that means none are one.
#[must_use]
pub fn same(a: &Properties, b: &Properties) -> bool {
    let typed =
        |p: &Properties| Properties { content_type: Some(content_type(p).to_owned()), ..p.clone() };
    typed(a) == typed(b)
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
        assert!(with("a b").is_ok());
        for value in ["ü", " a", "a\n", "a\u{1}"] {
            assert!(with(value).is_err(), "{value:?}");
        }
        let content_type = Some("text/ü".to_owned());
        assert!(headers(&Properties { content_type, ..Properties::default() }).is_err());
    }
}
