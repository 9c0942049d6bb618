//! The sizes of the parts in which a large object is uploaded. The sender decides them, and whoever reads the object
//! can work out from its size where each part began, and so its checksums.

/// The smallest part, in bytes; every part but the last is at least this large. S3 requires 5 MiB.
pub const SMALLEST: u64 = 8 << 20;
/// The most parts that S3 accepts.
pub const MOST: u32 = 10_000;
/// After so many parts, the parts of a stream become twice as large.
const DOUBLED_AFTER: u32 = 1000;
const MIB: u64 = 1 << 20;

/// The size of a part of a stream whose length is not known, numbered from 1. All parts together can hold 8 TiB.
#[must_use]
pub fn of_stream(number: u32) -> u64 {
    SMALLEST << (number.saturating_sub(1) / DOUBLED_AFTER).min(MOST / DOUBLED_AFTER - 1)
}

/// The size of every part but the last of an object whose size is known.
#[must_use]
pub fn of_size(size: u64) -> u64 {
    size.div_ceil(u64::from(MOST)).div_ceil(MIB).saturating_mul(MIB).max(SMALLEST)
}

/// How an object is divided into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As a stream whose length was not known.
    Stream,
    /// In parts of this size, in bytes.
    Equal(u64),
}

impl Layout {
    /// The layout that gives an object of this size so many parts, if either does.
    #[must_use]
    pub fn of(size: u64, parts: u32) -> Option<Self> {
        let layouts = [Self::Equal(of_size(size)), Self::Stream];
        layouts.into_iter().find(|layout| layout.count(size) == parts)
    }

    /// The size of a full part, numbered from 1.
    #[must_use]
    pub fn part(self, number: u32) -> u64 {
        match self {
            Self::Stream => of_stream(number),
            Self::Equal(size) => size,
        }
    }

    fn count(self, size: u64) -> u32 {
        let (mut left, mut number) = (size, 0);
        while left > 0 && number <= MOST {
            number += 1;
            left = left.saturating_sub(self.part(number));
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_never_too_small_or_too_many() {
        for size in [1, 16 * MIB + 1, 80_000 * MIB, 80_001 * MIB, 5 * 1024 * 1024 * MIB] {
            let part = of_size(size);
            assert!(part >= SMALLEST && part.is_multiple_of(MIB));
            assert!(size.div_ceil(part) <= u64::from(MOST), "{size}");
        }
        // The largest object, and the largest part that S3 accepts.
        let all: u64 = (1..=MOST).map(of_stream).sum();
        assert!(all >= 5 << 40 && of_stream(MOST) <= 5 << 30);
        assert_eq!([1, 1000, 1001, 2001].map(of_stream), [8, 8, 16, 32].map(|n| n * MIB));
    }

    #[test]
    fn the_layout_follows_from_size_and_number() {
        assert_eq!(Layout::of(SMALLEST + 1, 2), Some(Layout::Equal(SMALLEST)));
        assert_eq!(Layout::of(SMALLEST, 1), Some(Layout::Equal(SMALLEST)));
        assert_eq!(Layout::of(SMALLEST, 2), None);
        let size = 1000 * SMALLEST + 1;
        assert_eq!(Layout::of(size, 1001), Some(Layout::Equal(SMALLEST)));
        let size = 1002 * SMALLEST + 1;
        assert_eq!(Layout::of(size, 1003), Some(Layout::Equal(SMALLEST)));
        assert_eq!(Layout::of(size, 1002), Some(Layout::Stream));
    }
}
