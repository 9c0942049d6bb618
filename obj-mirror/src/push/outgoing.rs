//! The headers that are sent with an object.

use crate::object::attributes::Properties;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::headers::{METADATA, STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};

/// How many of an object's properties are sent. A server that refuses an object for one of its headers must
/// still get the bytes, so each extent leaves out more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    All,
    /// Values that are UTF-8.
    Utf8,
    /// Values that are ASCII.
    Ascii,
    /// Standard HTTP headers whose values are ASCII.
    Standard,
    Nothing,
}

/// The headers of an upload.
#[derive(Debug, Default)]
pub struct Outgoing {
    pub headers: HeaderMap,
    /// The names of the headers that are left out.
    pub left_out: Vec<String>,
}

impl Extent {
    const ORDER: [Self; 5] = [Self::All, Self::Utf8, Self::Ascii, Self::Standard, Self::Nothing];

    fn takes(self, name: &str, value: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Utf8 => std::str::from_utf8(value).is_ok(),
            Self::Ascii => value.is_ascii(),
            Self::Standard => value.is_ascii() && !name.starts_with(METADATA),
            Self::Nothing => false,
        }
    }

    /// The next extent to try after a server has refused an object: the first that leaves out anything
    /// more. None if the refusal cannot be about headers.
    ///
    /// Wrong keys are refused for ASCII headers, too. Only a signature can be refused for other bytes,
    /// by servers that read them as other text than was signed.
    pub fn after(self, refusal: &StoreError, properties: &Properties) -> Option<Self> {
        let last = match refusal.kind {
            Kind::Denied => Self::Ascii,
            Kind::Permanent | Kind::Unsupported => Self::Nothing,
            _ => return None,
        };
        let count = |extent| outgoing(properties, extent).headers.len();
        Self::ORDER.into_iter().find(|e| *e > self && *e <= last && count(*e) < count(self))
    }
}

/// The headers that an extent allows.
pub fn outgoing(properties: &Properties, extent: Extent) -> Outgoing {
    let mut outgoing = Outgoing::default();
    for (name, value) in pairs(properties) {
        let header = HeaderName::try_from(&name).ok().zip(header_value(value));
        match header.filter(|_| is_kept(&name) && extent.takes(&name, value)) {
            Some((name, value)) => drop(outgoing.headers.insert(name, value)),
            None => outgoing.left_out.push(name),
        }
    }
    outgoing
}

/// The index is untrusted input: it must not set any other header of a request.
fn is_kept(name: &str) -> bool {
    STANDARD.contains(&name) || name.starts_with(METADATA)
}

/// The full name and value of each header.
fn pairs(properties: &Properties) -> impl Iterator<Item = (String, &[u8])> {
    let standard = [
        ("content-type", &properties.content_type),
        ("content-encoding", &properties.content_encoding),
        ("content-disposition", &properties.content_disposition),
        ("content-language", &properties.content_language),
        ("cache-control", &properties.cache_control),
        ("expires", &properties.expires),
    ];
    let standard = standard.into_iter().filter_map(|(name, value)| {
        value.as_ref().map(|value| (name.to_owned(), value.as_bytes()))
    });
    let metadata = properties.metadata.iter();
    let metadata = metadata.map(|(name, value)| (format!("{METADATA}{name}"), value.as_bytes()));
    let raw = properties.raw_headers.iter().map(|(name, value)| (name.clone(), &value.0[..]));
    standard.chain(metadata).chain(raw)
}

/// Accepts only values that arrive unchanged: HTTP trims blanks at both ends and forbids control characters
/// other than the tab.
fn header_value(value: &[u8]) -> Option<HeaderValue> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let arrives = !is_blank(value.first()) && !is_blank(value.last());
    HeaderValue::from_bytes(value).ok().filter(|_| arrives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::octets::Octets;
    use crate::s3::headers::Head;

    fn with(metadata: &[(&str, &str)], raw: &[(&str, &[u8])]) -> Properties {
        let text = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        let bytes = |(n, v): &(&str, &[u8])| ((*n).to_owned(), Octets(v.to_vec()));
        Properties {
            content_type: Some("text/plain".into()),
            metadata: metadata.iter().map(text).collect(),
            raw_headers: raw.iter().map(bytes).collect(),
            ..Properties::default()
        }
    }

    #[test]
    fn a_value_that_would_not_arrive_as_it_is_is_left_out_alone() {
        for value in ["a b", "\u{fc}", "a  b", "a;\"b\"", "a\tb", ""] {
            assert!(
                outgoing(&with(&[("k", value)], &[]), Extent::All).left_out.is_empty(),
                "{value:?}"
            );
        }
        for value in [" a", "a ", "\ta", "a\n", "a\u{1}", "a\u{7f}"] {
            let sent = outgoing(&with(&[("k", value), ("l", "x")], &[]), Extent::All);
            assert_eq!(sent.left_out, ["x-amz-meta-k"], "{value:?}");
            assert_eq!(sent.headers.len(), 2, "{value:?}");
        }
        let bad_name = outgoing(&with(&[("a b", "x")], &[]), Extent::All);
        assert_eq!(bad_name.left_out, ["x-amz-meta-a b"]);
    }

    #[test]
    fn an_index_sets_no_header_but_those_that_a_mirror_keeps() {
        for name in ["x-amz-acl", "authorization", "host", "content-length", "x-amz-tagging"] {
            let sent = outgoing(&with(&[], &[(name, b"x")]), Extent::All);
            assert_eq!((sent.headers.len(), sent.left_out), (1, vec![name.to_owned()]));
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_sent_as_they_were_read() {
        let bytes: [(&str, &[u8]); 4] = [
            ("content-disposition", b"attachment; filename=\"caf\xe9\""),
            ("x-amz-meta-title", b"caf\xe9\t\xff"),
            ("x-amz-meta-who", "J\u{fc}rgen".as_bytes()),
            ("expires", b"nie, \xe4"),
        ];
        let headers: HeaderMap = bytes
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_bytes(v).unwrap()))
            .collect();
        let sent = outgoing(&Head::of_headers(&headers).properties, Extent::All);
        assert_eq!(sent.headers, headers);
        assert_eq!(sent.left_out, [""; 0]);
    }

    #[test]
    fn a_refused_object_is_tried_with_less_as_long_as_less_is_left_out() {
        let denied = StoreError::new(Kind::Denied, "");
        let refused = StoreError::permanent("");
        let plain = with(&[("a", "x")], &[]);
        let utf8 = with(&[("a", "\u{fc}")], &[]);
        let raw = with(&[("a", "\u{fc}")], &[("x-amz-meta-b", b"\xe9")]);
        let bare = Properties::default();
        use Extent::{All, Ascii, Nothing, Standard, Utf8};
        let cases = [
            (&raw, All, &refused, Some(Utf8)),
            (&raw, Utf8, &refused, Some(Ascii)),
            (&raw, Ascii, &refused, Some(Nothing)),
            (&raw, All, &denied, Some(Utf8)),
            (&raw, Ascii, &denied, None),
            (&utf8, All, &denied, Some(Ascii)),
            (&plain, All, &denied, None),
            (&plain, All, &refused, Some(Standard)),
            (&plain, Standard, &refused, Some(Nothing)),
            (&plain, Nothing, &refused, None),
            (&bare, All, &refused, None),
        ];
        for (properties, extent, refusal, next) in cases {
            assert_eq!(extent.after(refusal, properties), next, "{extent:?} {properties:?}");
        }
        for kind in [Kind::Busy, Kind::Unreachable, Kind::Damaged, Kind::NoBucket, Kind::Garbled] {
            assert_eq!(All.after(&StoreError::new(kind, ""), &raw), None, "{kind:?}");
        }
    }
}
