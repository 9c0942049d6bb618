//! Which symbol stands for a length or a distance, and which bits follow it (RFC 1951, 3.2.5).

/// Lengths of matches.
pub const SHORTEST: usize = 3;
pub const LONGEST: usize = 258;
/// The symbol that ends a block, above those of the bytes and below those of lengths.
pub const END: usize = 256;
/// How many symbols there are of bytes, the end and lengths; the last two stand for nothing, and only
/// have a place in the fixed code.
pub const LITERALS: usize = 288;
/// How many there are of distances.
pub const DISTANCES: usize = 30;

/// The first of the lengths or distances that have a symbol, and how many bits select one of them.
#[derive(Clone, Copy)]
pub struct SymbolRange {
    pub first: u16,
    pub extra: u8,
}

const LENGTH_RANGES: [SymbolRange; 29] = {
    let mut ranges = ranges(SHORTEST as u16, 4);
    // The longest has a symbol of its own.
    ranges[ranges.len() - 1] = SymbolRange { first: LONGEST as u16, extra: 0 };
    ranges
};

/// Of distances less one.
pub const DISTANCE_RANGES: [SymbolRange; DISTANCES] = ranges(0, 2);

/// Ranges that begin at `first`. After every `same` ranges they are twice as long, but for the first.
const fn ranges<const N: usize>(mut first: u16, same: usize) -> [SymbolRange; N] {
    let mut ranges = [SymbolRange { first: 0, extra: 0 }; N];
    let mut at = 0;
    while at < N {
        let extra = (at / same).saturating_sub(1) as u8;
        ranges[at] = SymbolRange { first, extra };
        first = first.wrapping_add(1 << extra);
        at += 1;
    }
    ranges
}

/// A length's symbol, and the bits that follow it.
#[derive(Clone, Copy)]
pub struct Length {
    pub symbol: u16,
    pub bits: u8,
    pub extra: u8,
}

/// Of lengths less [`SHORTEST`].
pub const LENGTHS: [Length; LONGEST - SHORTEST + 1] = {
    let mut lengths = [Length { symbol: 0, bits: 0, extra: 0 }; LONGEST - SHORTEST + 1];
    let (mut range, mut at) = (0, 0);
    while at < lengths.len() {
        let length = at + SHORTEST;
        let next = range + 1;
        if next < LENGTH_RANGES.len() && LENGTH_RANGES[next].first as usize == length {
            range = next;
        }
        let SymbolRange { first, extra } = LENGTH_RANGES[range];
        let bits = (length - first as usize) as u8;
        lengths[at] = Length { symbol: (END + 1 + range) as u16, bits, extra };
        at += 1;
    }
    lengths
};

/// How many bits follow a symbol of bytes, the end and lengths.
pub fn extra_of_literal(symbol: usize) -> u8 {
    symbol
        .checked_sub(END + 1)
        .and_then(|range| LENGTH_RANGES.get(range))
        .map_or(0, |range| range.extra)
}

/// The symbol of a distance less one.
#[inline(always)]
pub fn of_distance(less_one: u16) -> usize {
    if less_one < 4 {
        return less_one.into();
    }
    // Two symbols for each power of two.
    let power = less_one.ilog2();
    (2 * power + u32::from(less_one >> (power - 1) & 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_symbols_of_the_standard() {
        let of = |length: usize| {
            let Length { symbol, bits, extra } = LENGTHS[length - SHORTEST];
            (symbol, bits, extra)
        };
        let cases = [
            (3, (257, 0, 0)),
            (10, (264, 0, 0)),
            (11, (265, 0, 1)),
            (18, (268, 1, 1)),
            (19, (269, 0, 2)),
            (115, (280, 0, 4)),
            (131, (281, 0, 5)),
            (257, (284, 30, 5)),
            (258, (285, 0, 0)),
        ];
        for (length, expected) in cases {
            assert_eq!(of(length), expected, "length {length}");
        }
        assert_eq!([256, 257, 265, 284, 285].map(extra_of_literal), [0, 0, 1, 5, 0]);
    }

    #[test]
    fn distances_have_the_symbols_of_the_standard() {
        let cases =
            [(1, 0, 0), (4, 3, 0), (5, 4, 1), (7, 5, 1), (24, 8, 3), (25, 9, 3), (257, 16, 7)];
        for (distance, symbol, extra) in cases {
            assert_eq!(of_distance(distance - 1), symbol, "distance {distance}");
            assert_eq!(DISTANCE_RANGES[symbol].extra, extra, "distance {distance}");
        }
        for less_one in 0..1u16 << 15 {
            let SymbolRange { first, extra } = DISTANCE_RANGES[of_distance(less_one)];
            assert!(less_one >= first && less_one - first < 1 << extra, "{less_one}");
        }
    }
}
