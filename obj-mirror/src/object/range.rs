//! Ranges of an object.

use std::ops::Range;

/// A range of bytes, as it is written in HTTP: both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: Option<u64>,
}

impl ByteRange {
    /// Parses `FIRST-LAST` or `FIRST-`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "expected FIRST-LAST or FIRST-, such as 0-1023".to_owned();
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        let first = number(first)?;
        if last.is_some_and(|last| last < first) {
            return Err(wrong());
        }
        Ok(Self { first, last })
    }

    /// Without the byte at its end. An open end is beyond every object.
    pub fn half_open(self) -> Range<u64> {
        self.first..self.last.map_or(1 << 62, |last| last.saturating_add(1))
    }

    /// The part of it that an object of this size has.
    pub fn within(self, size: u64) -> Option<Range<u64>> {
        let Range { start, end } = self.half_open();
        let end = end.min(size);
        (start < end).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_both_ends_and_nothing_beyond_the_object() {
        let within = |text: &str, size| ByteRange::parse(text).unwrap().within(size);
        assert_eq!(within("0-3", 10), Some(0..4));
        assert_eq!(within("4-", 10), Some(4..10));
        assert_eq!(within("9-99", 10), Some(9..10));
        assert_eq!(within("10-", 10), None);
        for wrong in ["", "-", "-5", "5", "3-2", "a-b", "0-1-2"] {
            assert!(ByteRange::parse(wrong).is_err(), "{wrong}");
        }
    }
}
