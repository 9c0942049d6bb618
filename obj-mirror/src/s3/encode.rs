//! Keys and parameters as a request's URL and a listing carry them.

use crate::object::attributes::Tags;
use crate::object::hash::hex_digit;

/// Percent-encodes everything but unreserved characters. Nothing is tidied up: the server decodes to
/// just these bytes.
#[must_use]
pub fn component(text: &str) -> String {
    encoded(text, false)
}

/// The same for a key, whose slashes stay.
#[must_use]
pub fn path(key: &str) -> String {
    encoded(key, true)
}

/// A query from names and values, sorted as its signature wants it.
#[must_use]
pub fn query(parameters: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> =
        parameters.iter().map(|(name, value)| (component(name), component(value))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn encoded(text: &str, keep_slashes: bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if keep_slashes => encoded.push('/'),
            _ => {
                encoded.push('%');
                encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
                encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    encoded
}

/// Tags as the header that stores them along with an object.
#[must_use]
pub fn tag_header(tags: &Tags) -> String {
    let pairs: Vec<_> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    query(&pairs)
}

/// Undoes `encoding-type=url`: percent escapes, and `+` for a space. Nothing if the result is not UTF-8
/// or an escape is broken.
#[must_use]
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

    #[test]
    fn a_listed_key_is_decoded() {
        assert_eq!(url_decode("a+b/%C3%BC%2B%01").as_deref(), Some("a b/ü+\u{1}"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(url_decode(broken), None, "{broken}");
        }
    }
}
