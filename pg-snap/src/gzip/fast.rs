//! DEFLATE (RFC 1951) for speed rather than size: one lookup for a match at each place, growing steps
//! where nothing matches, and new codes for each stretch of the text.

mod bit_writer;
mod block;
mod block_header;
mod boxed;
mod codes;
mod match_finder;
mod sequences;
mod symbols;
#[cfg(test)]
mod tests;

use bit_writer::BitWriter;
pub use bit_writer::LONGEST;
use match_finder::MatchFinder;
use sequences::Sequences;

/// The approximate number of bytes that share their codes.
const STRETCH: usize = 256 << 10;

/// Compresses texts, each independently of the others.
pub struct FastCompressor {
    matches: MatchFinder,
    sequences: Sequences,
    bits: BitWriter,
}

impl FastCompressor {
    pub fn new() -> Self {
        Self { matches: MatchFinder::new(), sequences: Sequences::new(), bits: BitWriter::new() }
    }

    /// The text as a DEFLATE stream.
    ///
    /// # Panics
    /// If it is longer than [`LONGEST`].
    pub fn deflate(&mut self, text: &[u8]) -> &[u8] {
        assert!(text.len() <= LONGEST, "a text too long to be compressed at once");
        self.matches.forget();
        self.bits.clear();
        let mut begin = 0;
        loop {
            let wanted = text.len().min(begin + STRETCH);
            let end = self.matches.find(text, begin..wanted, &mut self.sequences);
            let is_last = end == text.len();
            block::write(&mut self.bits, &text[begin..end], &self.sequences, is_last);
            if is_last {
                return self.bits.finish();
            }
            begin = end;
        }
    }
}
