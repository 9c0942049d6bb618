//! The header of a block with codes of its own: the codes' lengths, themselves in a code (RFC 1951,
//! 3.2.7).

use super::bit_writer::BitWriter;
use super::codes::{codes, lengths};
use super::symbols::{DISTANCES, END, LITERALS};

/// Symbols of the lengths' code: the lengths up to 15, and three kinds of repetition.
const SYMBOLS: usize = 19;
const LIMIT: usize = 7;
/// The length before, 3 to 6 times.
const AGAIN: u8 = 16;
/// No code, 3 to 10 times, and 11 to 138 times.
const NONE: u8 = 17;
const LONG_NONE: u8 = 18;
/// In which the lengths of the lengths' code stand.
const ORDER: [usize; SYMBOLS] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

pub struct BlockHeader {
    /// How many lengths are written for literals, and for distances.
    literals: usize,
    distances: usize,
    /// The lengths as symbols, each with the bits that follow it.
    symbols: Vec<(u8, u8)>,
    /// The lengths of their code, and how many of these are written.
    lengths: [u8; SYMBOLS],
    written: usize,
}

impl BlockHeader {
    pub fn new(literals: &[u8; LITERALS], distances: &[u8; DISTANCES]) -> Self {
        let used = |lengths: &[u8]| lengths.iter().rposition(|n| *n > 0).map_or(0, |at| at + 1);
        let (literals, distances) = (&literals[..used(literals)], &distances[..used(distances)]);
        let symbols = repetitions(&[literals, distances].concat());
        let mut counts = [0; SYMBOLS];
        for (symbol, _) in &symbols {
            counts[usize::from(*symbol)] += 1;
        }
        let lengths = lengths(&counts, LIMIT);
        let written = used(&ORDER.map(|symbol| lengths[symbol])).max(4);
        let (literals, distances) = (literals.len(), distances.len());
        Self { literals, distances, symbols, lengths, written }
    }

    /// In bits.
    pub fn size(&self) -> usize {
        let size = |symbol: u8| self.lengths[usize::from(symbol)] + extra(symbol);
        let symbols = self.symbols.iter().map(|(symbol, _)| usize::from(size(*symbol)));
        5 + 5 + 4 + 3 * self.written + symbols.sum::<usize>()
    }

    pub fn write(&self, bits: &mut BitWriter) {
        bits.put((self.literals - END - 1) as u64, 5u32);
        bits.put((self.distances - 1) as u64, 5u32);
        bits.put((self.written - 4) as u64, 4u32);
        for symbol in &ORDER[..self.written] {
            bits.put(self.lengths[*symbol], 3u32);
        }
        let codes = codes(&self.lengths);
        for (symbol, value) in &self.symbols {
            let code = codes[usize::from(*symbol)];
            bits.put(code.bits, code.length);
            bits.put(*value, extra(*symbol));
        }
    }
}

/// How many bits follow a symbol.
fn extra(symbol: u8) -> u8 {
    match symbol {
        AGAIN => 2,
        NONE => 3,
        LONG_NONE => 7,
        _ => 0,
    }
}

fn repetitions(lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut symbols = Vec::with_capacity(lengths.len());
    for run in lengths.chunk_by(|a, b| a == b) {
        let length = run[0];
        let mut rest = run.len();
        if length > 0 {
            symbols.push((length, 0));
            rest -= 1;
        }
        while rest >= 3 {
            let (symbol, least, most) = match (length, rest) {
                (0, ..=10) => (NONE, 3, 10),
                (0, _) => (LONG_NONE, 11, 138),
                _ => (AGAIN, 3, 6),
            };
            let some = rest.min(most);
            symbols.push((symbol, (some - least) as u8));
            rest -= some;
        }
        symbols.extend(std::iter::repeat_n((length, 0), rest));
    }
    symbols
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_repeat_are_written_once() {
        let check = |lengths: &[u8], symbols: &[(u8, u8)]| {
            assert_eq!(repetitions(lengths), symbols, "{lengths:?}");
        };
        check(&[5, 4, 4, 4], &[(5, 0), (4, 0), (4, 0), (4, 0)]);
        check(&[5, 4, 4, 4, 4], &[(5, 0), (4, 0), (AGAIN, 0)]);
        check(&[9; 9], &[(9, 0), (AGAIN, 3), (9, 0), (9, 0)]);
        check(&[0; 10], &[(NONE, 7)]);
        check(&[0; 140], &[(LONG_NONE, 127), (0, 0), (0, 0)]);
        check(&[0; 150], &[(LONG_NONE, 127), (LONG_NONE, 1)]);
    }

    #[test]
    fn a_head_has_the_length_that_it_declares() {
        let mut literals = [0; LITERALS];
        literals[32..96].fill(7);
        literals[END] = 1;
        let mut distances = [0; DISTANCES];
        distances[..2].fill(1);
        let head = BlockHeader::new(&literals, &distances);
        let mut bits = BitWriter::new();
        head.write(&mut bits);
        assert_eq!(bits.finish().len(), head.size().div_ceil(8));
    }
}
