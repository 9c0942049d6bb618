//! Percent-encoding of keys and parameters in URLs, and decoding of listed keys.

use crate::object::attributes::Tags;
use crate::object::hash::hex_digit;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Signature Version 4 escapes everything but the unreserved characters of RFC 3986. The server decodes
/// exactly these bytes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The slashes of a key stay.
const PATH: &AsciiSet = &COMPONENT.remove(b'/');

/// Encodes a key.
pub fn path(key: &str) -> String {
    utf8_percent_encode(key, PATH).to_string()
}

fn component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// Builds a query string, sorted as the signature requires.
pub fn query(parameters: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> =
        parameters.iter().map(|(name, value)| (component(name), component(value))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Encodes tags for the header `x-amz-tagging`.
pub fn tag_header(tags: &Tags) -> String {
    let pairs: Vec<_> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    query(&pairs)
}

/// Decodes `encoding-type=url`: percent escapes, and `+` for a space. None if an escape is broken or the
/// result is not UTF-8.
pub fn url_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_key_is_sent_as_it_is() {
        assert_eq!(path("a/../b//c ü+%2F~"), "a/../b//c%20%C3%BC%2B%252F~");
        assert_eq!(component("a/b"), "a%2Fb");
        assert_eq!(query(&[("uploadId", "1"), ("partNumber", "2")]), "partNumber=2&uploadId=1");
    }

    /// The vectors of AWS's test suite for Signature Version 4 and of its documentation for S3.
    #[test]
    fn keys_and_parameters_are_encoded_as_the_specification_does() {
        let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let vectors = [
            (unreserved, unreserved),
            ("\u{1234}", "%E1%88%B4"),
            ("example space/", "example%20space/"),
            ("test$file.text", "test%24file.text"),
            ("*", "%2A"),
        ];
        for (text, encoded) in vectors {
            assert_eq!(path(text), encoded);
        }
        assert_eq!(
            query(&[("Param2", "value2"), ("Param1", "a=b+c")]),
            "Param1=a%3Db%2Bc&Param2=value2"
        );
        for byte in (0..128).map(char::from).filter(|c| !unreserved.contains(*c)) {
            assert_eq!(component(&byte.to_string()), format!("%{:02X}", u32::from(byte)));
        }
    }

    #[test]
    fn a_listed_key_is_decoded() {
        assert_eq!(url_decode("a+b/%C3%BC%2B%01").as_deref(), Some("a b/ü+\u{1}"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(url_decode(broken), None, "{broken}");
        }
    }
}
