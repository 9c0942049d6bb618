//! Keys as text for people.

use std::fmt::Write;

/// A key as one line: characters that would break or hide the line are escaped.
pub fn printable(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for c in key.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // Bidirectional marks and line separators reorder or break a line, too.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printed_on_one_line() {
        assert_eq!(printable("a\nb\\c\u{7}\u{202e}ü"), "a\\nb\\\\c\\u{7}\\u{202e}ü");
    }
}
