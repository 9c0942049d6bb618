//! Keys as text for people, and as a listing writes them.

use std::fmt::Write;

/// A key as one line: what would break the line, or hide, is escaped.
#[must_use]
pub fn printable(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for c in key.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // Bidirectional and line separators reorder or break a line just as control bytes do.
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
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

/// The value of a hex digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printed_on_one_line() {
        assert_eq!(printable("a\nb\\c\u{7}\u{202e}ü"), "a\\nb\\\\c\\u{7}\\u{202e}ü");
    }

    #[test]
    fn a_listed_key_is_decoded() {
        assert_eq!(url_decode("a+b/%C3%BC%2B%01").as_deref(), Some("a b/ü+\u{1}"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(url_decode(broken), None, "{broken}");
        }
    }
}
