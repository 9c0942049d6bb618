//! A block of a DEFLATE stream, of the kind that takes the fewest bits.

use super::bit_writer::BitWriter;
use super::block_header::BlockHeader;
use super::codes::{Code, codes, lengths};
use super::sequences::Sequences;
use super::symbols::{self, DISTANCE_RANGES, DISTANCES, END, LENGTHS, LITERALS, SHORTEST};

/// Bits of a code, at most. The format allows for 15, but of these a word takes four literals.
const LIMIT: usize = 12;
/// Least share of the bits, for [`Block::is_mostly_short_literals`]. These limits were measured with tables of some
/// forty kinds: where they are met, the output is smaller than that of `gzip -6`.
const LITERAL_PERCENT: usize = 45;
/// Bits of a literal's code on average at most, in tenths: hexadecimal digits take 4, and separators some more.
const SHORT_CODE_TENTHS: usize = 44;
/// Least length of a match on average, for [`Block::is_mostly_long_matches`].
const LONG_MATCH: usize = 64;
/// Bytes in a block that is stored as it is, at most.
const STORED: usize = 65_535;
/// The kinds of blocks, as their two bits.
const AS_IT_IS: u8 = 0;
const FIXED: u8 = 1;
const OWN: u8 = 2;

pub struct Block<'a> {
    sequences: &'a Sequences,
    own: CodeLengths,
}

impl<'a> Block<'a> {
    pub fn new(sequences: &'a Sequences) -> Self {
        Self { sequences, own: CodeLengths::of(sequences) }
    }

    /// Whether a longer search for matches would save little. It saves most in text with short matches and
    /// with literals of many bits, as prose has.
    pub fn gains_little_from_longer_search(&self) -> bool {
        self.is_mostly_short_literals() || self.is_mostly_long_matches()
    }

    /// Whether about half of the bits are literals that take few bits each, as digits do: six of them take no
    /// more than a match.
    fn is_mostly_short_literals(&self) -> bool {
        let counts = self.sequences.literals();
        let bytes = counts[..END].iter().map(|count| *count as usize);
        let bits = bytes.clone().zip(self.own.literals).map(|(count, n)| count * usize::from(n));
        let (literals, bits) = (bytes.sum::<usize>(), bits.sum::<usize>());
        bits * 100 >= self.own.size(self.sequences) * LITERAL_PERCENT
            && bits * 10 <= literals * SHORT_CODE_TENTHS
    }

    /// Whether nearly all bytes are in long matches.
    fn is_mostly_long_matches(&self) -> bool {
        let counts = self.sequences.literals();
        let literals: usize = counts[..END].iter().map(|count| *count as usize).sum();
        let matches = self.sequences.all();
        let lengths = matches.iter().map(|found| usize::from(found.length) + SHORTEST);
        let matched = lengths.sum::<usize>();
        matched >= LONG_MATCH * matches.len() && literals * 10 <= matched
    }

    /// Writes it: this text has its sequences.
    pub fn write(&self, bits: &mut BitWriter, text: &[u8], is_last: bool) {
        let Self { sequences, own } = self;
        let head = BlockHeader::new(&own.literals, &own.distances);
        let fixed = CodeLengths::fixed();
        let (own_size, fixed_size) = (head.size() + own.size(sequences), fixed.size(sequences));
        let stored_size = 8 * text.len() + 40 * text.len().div_ceil(STORED).max(1);
        if stored_size < own_size.min(fixed_size) {
            store(bits, text, is_last);
        } else if fixed_size <= own_size {
            bits.put(u8::from(is_last) | FIXED << 1, 3u32);
            encode(bits, text, sequences, &fixed);
        } else {
            bits.put(u8::from(is_last) | OWN << 1, 3u32);
            head.write(bits);
            encode(bits, text, sequences, own);
        }
    }
}

fn store(bits: &mut BitWriter, text: &[u8], is_last: bool) {
    let mut parts = text.chunks(STORED).peekable();
    while let Some(part) = parts.next() {
        bits.put(u8::from(is_last && parts.peek().is_none()) | AS_IT_IS << 1, 3u32);
        bits.align();
        let length = part.len() as u16;
        bits.put(length, 16u32);
        bits.put(!length, 16u32);
        bits.put_bytes(part);
    }
}

/// Of the two codes.
struct CodeLengths {
    literals: [u8; LITERALS],
    distances: [u8; DISTANCES],
}

impl CodeLengths {
    fn of(sequences: &Sequences) -> Self {
        Self {
            literals: lengths(&sequences.literals(), LIMIT),
            distances: lengths(sequences.distances(), LIMIT),
        }
    }

    /// The fixed code, which needs no header (RFC 1951, 3.2.6).
    fn fixed() -> Self {
        let mut literals = [8; LITERALS];
        literals[144..END].fill(9);
        literals[END..280].fill(7);
        Self { literals, distances: [5; DISTANCES] }
    }

    /// Bits that the sequences take.
    fn size(&self, sequences: &Sequences) -> usize {
        let counts = sequences.literals();
        let literals = counts.iter().zip(self.literals).enumerate().map(|(symbol, (count, n))| {
            *count as usize * usize::from(n + symbols::extra_of_literal(symbol))
        });
        let distances = sequences.distances().iter().zip(self.distances).zip(DISTANCE_RANGES);
        let distances =
            distances.map(|((count, n), range)| *count as usize * usize::from(n + range.extra));
        literals.sum::<usize>() + distances.sum::<usize>()
    }
}

/// Bits, above a byte with their number.
type Packed = u32;

fn pack(bits: u32, count: u8) -> Packed {
    bits << 8 | u32::from(count)
}

#[inline(always)]
fn unpack(packed: Packed) -> (u64, u32) {
    (u64::from(packed >> 8), packed & 0xff)
}

fn encode(bits: &mut BitWriter, text: &[u8], sequences: &Sequences, lengths: &CodeLengths) {
    let literals = codes(&lengths.literals);
    let distances = codes(&lengths.distances);
    let bytes: [Packed; 256] =
        std::array::from_fn(|byte| pack(literals[byte].bits.into(), literals[byte].length));
    let lengths = LENGTHS.map(|length| {
        let code = literals[usize::from(length.symbol)];
        let followed = u32::from(code.bits) | u32::from(length.bits) << code.length;
        pack(followed, code.length + length.extra)
    });
    let mut rest = text;
    for sequence in sequences.all() {
        let (run, matched) = rest.split_at(sequence.literals as usize);
        rest = &matched[usize::from(sequence.length) + SHORTEST..];
        add_literals(bits, run, &bytes);
        let (length, count) = unpack(lengths[usize::from(sequence.length)]);
        bits.add(length, count);
        bits.flush();
        let symbol = symbols::of_distance(sequence.distance);
        let Code { bits: code, length } = distances[symbol];
        let range = DISTANCE_RANGES[symbol];
        let follows = u64::from(sequence.distance - range.first) << length;
        bits.add(u64::from(code) | follows, u32::from(length + range.extra));
        bits.flush();
    }
    add_literals(bits, rest, &bytes);
    bits.flush();
    bits.put(literals[END].bits, literals[END].length);
}

/// Adds literals, of which three, in up to 36 bits, may be left to flush.
#[inline(always)]
fn add_literals(bits: &mut BitWriter, literals: &[u8], codes: &[Packed; 256]) {
    let code = |byte: u8| unpack(codes[usize::from(byte)]);
    // Two and two first, as each shift waits for the one before.
    let two = |first: u8, second: u8| {
        let ((a, a_count), (b, b_count)) = (code(first), code(second));
        (a | b << a_count, a_count + b_count)
    };
    let mut fours = literals.chunks_exact(4);
    for four in &mut fours {
        let ((a, a_count), (b, b_count)) = (two(four[0], four[1]), two(four[2], four[3]));
        bits.add(a | b << a_count, a_count + b_count);
        bits.flush();
    }
    for byte in fours.remainder() {
        let (byte, count) = code(*byte);
        bits.add(byte, count);
    }
}
