//! DEFLATE (RFC 1951) for speed rather than size: a few places are looked at for a match, growing steps
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
use block::Block;
use match_finder::MatchFinder;
use sequences::Sequences;

/// The approximate number of bytes that share their codes.
const STRETCH: usize = 256 << 10;
/// That of the first ones of a text, which decide whether it is [left out](FastCompressor::deflate_if_suited).
const FIRST_STRETCH: usize = 64 << 10;

/// Compresses texts, each independently of the others. It looks for matches at the last `PLACES` places of
/// what has the same hash: more of them make the output smaller.
pub struct FastCompressor<const PLACES: usize> {
    matches: MatchFinder<PLACES>,
    sequences: Sequences,
    bits: BitWriter,
}

impl<const PLACES: usize> FastCompressor<PLACES> {
    pub fn new() -> Self {
        Self { matches: MatchFinder::new(), sequences: Sequences::new(), bits: BitWriter::new() }
    }

    /// The text as a DEFLATE stream.
    ///
    /// # Panics
    /// If it is longer than [`LONGEST`].
    pub fn deflate(&mut self, text: &[u8]) -> &[u8] {
        self.deflate_while(text, |_| true).unwrap_or_default()
    }

    /// The text as a DEFLATE stream, unless a part of it is better left to an encoder that looks longer for
    /// matches. The decision depends on the text alone.
    ///
    /// # Panics
    /// If it is longer than [`LONGEST`].
    pub fn deflate_if_suited(&mut self, text: &[u8]) -> Option<&[u8]> {
        self.deflate_while(text, |block| block.gains_little_from_longer_search())
    }

    fn deflate_while(
        &mut self,
        text: &[u8],
        goes_on: impl Fn(&Block<'_>) -> bool,
    ) -> Option<&[u8]> {
        assert!(text.len() <= LONGEST, "a text too long to be compressed at once");
        self.matches.forget();
        self.bits.clear();
        let mut begin = 0;
        let mut stretch = FIRST_STRETCH;
        loop {
            let wanted = text.len().min(begin + stretch);
            let end = self.matches.find(text, begin..wanted, &mut self.sequences);
            let block = Block::new(&self.sequences);
            if !goes_on(&block) {
                return None;
            }
            let is_last = end == text.len();
            block.write(&mut self.bits, &text[begin..end], is_last);
            if is_last {
                return Some(self.bits.finish());
            }
            begin = end;
            stretch = STRETCH;
        }
    }
}
