//! Bytes that are not UTF-8, written as ASCII.

use crate::object::hash::hex_digit;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// A header's value as bytes. In the index it is ASCII: a byte from 0x20 to 0x7e, except `%`, stands for
/// itself; every other byte is `%` and two hex digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octets(pub Vec<u8>);

impl Octets {
    fn to_ascii(&self) -> String {
        percent_encode(&self.0, ESCAPED).to_string()
    }

    /// None if an escape is broken or a byte is not ASCII.
    fn from_ascii(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
                byte if byte.is_ascii() => byte,
                _ => return None,
            });
        }
        Some(Self(bytes))
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_ascii())
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_ascii(&text).ok_or_else(|| serde::de::Error::custom("not percent-encoded ASCII"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn printable_ascii_stays_readable_and_the_rest_is_escaped() {
        let cases: [(&[u8], &str); 4] = [
            (b"caf\xe9", "caf%E9"),
            (b"100% \"a\"+b", "100%25 \"a\"+b"),
            (b"\t\x7f\x00\xff", "%09%7F%00%FF"),
            (b"", ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(Octets(bytes.to_vec()).to_ascii(), text);
            assert_eq!(Octets::from_ascii(text), Some(Octets(bytes.to_vec())));
        }
        for broken in ["%", "%4", "%zz", "caf\u{e9}"] {
            assert_eq!(Octets::from_ascii(broken), None, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let text = Octets(bytes.clone()).to_ascii();
            prop_assert!(text.is_ascii() && !text.contains(|c: char| c.is_ascii_control()));
            prop_assert_eq!(Octets::from_ascii(&text), Some(Octets(bytes)));
        }
    }
}
