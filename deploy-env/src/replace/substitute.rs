//! Secrets in a text, in place of which others are put.

use std::collections::BTreeMap;
use std::ops::Range;

/// A shorter secret may be part of any word: it is replaced only where it stands as one.
const DISTINCTIVE: usize = 8;

/// Each secret, with what is put in its place.
#[derive(Debug, Default)]
pub struct Replacements {
    /// The secrets themselves.
    exact: BTreeMap<String, String>,
    /// Every way in which a distinctive one may be written in a text, the longest first.
    written: Vec<(String, String)>,
}

impl Replacements {
    pub fn new(exact: BTreeMap<String, String>) -> Self {
        let mut written: Vec<(String, String)> = Vec::new();
        for (secret, other) in exact.iter().filter(|(secret, _)| secret.len() >= DISTINCTIVE) {
            let upper = encoded(secret);
            let lower = lower_digits(&upper);
            for form in [secret.clone(), upper, lower] {
                if !written.iter().any(|(known, _)| *known == form) {
                    written.push((form, other.clone()));
                }
            }
        }
        written.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        Self { exact, written }
    }

    /// What is put in place of a secret, however it is encoded.
    pub fn of(&self, secret: &str) -> Option<&str> {
        let found = self.exact.get(secret).or_else(|| self.exact.get(&decoded(secret)));
        found.map(String::as_str)
    }

    /// A text with everything replaced: all of it, where it is a secret; the parts that are known to be secret;
    /// and distinctive secrets anywhere.
    pub fn apply(&self, text: &str, parts: &[Range<usize>]) -> String {
        if let Some(other) = self.exact.get(text) {
            return other.clone();
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for part in parts {
            out += &self.anywhere(&text[from..part.start]);
            match self.of(&text[part.clone()]) {
                Some(other) => out += other,
                None => out += &self.anywhere(&text[part.clone()]),
            }
            from = part.end;
        }
        out + &self.anywhere(&text[from..])
    }

    /// A text in which only the parts are replaced.
    pub fn apply_to_parts(&self, text: &str, parts: &[Range<usize>]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for part in parts {
            let secret = &text[part.clone()];
            out += &text[from..part.start];
            out += self.of(secret).unwrap_or(secret);
            from = part.end;
        }
        out + &text[from..]
    }

    fn anywhere(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            match self.written.iter().find(|(form, _)| rest.starts_with(form)) {
                Some((form, other)) => {
                    out += other;
                    rest = &rest[form.len()..];
                }
                None => {
                    out.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        out
    }
}

/// Percent-encoded, as a part of a URL.
pub fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = text.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    each.collect()
}

fn lower_digits(encoded: &str) -> String {
    let mut out = String::new();
    let mut digits = 0;
    for c in encoded.chars() {
        out.push(if digits > 0 { c.to_ascii_lowercase() } else { c });
        digits = if c == '%' { 2 } else { i32::max(digits - 1, 0) };
    }
    out
}

/// Without percent-encoding; as it is, where that makes no text.
pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacements(pairs: &[(&str, &str)]) -> Replacements {
        Replacements::new(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
    }

    #[test]
    fn a_secret_is_replaced_however_it_is_written() {
        let all = replacements(&[("p@ss/word", "X1"), ("p@ss/word-longer", "X2"), ("abc", "X3")]);
        for (text, expected) in [
            ("p@ss/word", "X1"),
            ("a p@ss/word-longer b", "a X2 b"),
            ("p%40ss%2Fword", "X1"),
            ("x=p%40ss%2fword;", "x=X1;"),
            ("abc", "X3"),
            ("abcd abc", "abcd abc"),
            ("", ""),
        ] {
            assert_eq!(all.apply(text, &[]), expected, "{text}");
        }
        let part = |range: Range<usize>| std::iter::once(range).collect::<Vec<_>>();
        assert_eq!(all.apply("redis://:abc@abc:1", &part(9..12)), "redis://:X3@abc:1");
        assert_eq!(all.apply("u:p%40ss/word@p@ss/word", &part(2..13)), "u:X1@X1");
        assert_eq!(all.apply_to_parts("u:abc@p@ss/word", &part(2..5)), "u:X3@p@ss/word");
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert_eq!(decoded(&encoded("ö %")), "ö %");
    }
}
