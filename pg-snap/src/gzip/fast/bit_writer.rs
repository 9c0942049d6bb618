//! Gathers bits into bytes, the first bit lowest.

use super::boxed::boxed;

/// Bytes of the longest text.
pub const LONGEST: usize = 1 << 21;

/// Bytes of room: more than the longest text takes, compressed or stored. A power of two, so that a
/// masked place is known to be inside.
const ROOM: usize = 2 * LONGEST;
const WORD: usize = 8;

pub struct BitWriter {
    bytes: Box<[u8; ROOM + WORD]>,
    at: usize,
    /// Bits not yet written, and their number.
    pending: u64,
    count: u32,
}

impl BitWriter {
    pub fn new() -> Self {
        Self { bytes: boxed(0), at: 0, pending: 0, count: 0 }
    }

    pub fn clear(&mut self) {
        (self.at, self.pending, self.count) = (0, 0, 0);
    }

    /// Adds bits, of which no more than 56 may be added until the next [`BitWriter::flush`].
    #[inline(always)]
    pub fn add(&mut self, bits: u64, count: u32) {
        self.pending |= bits << (self.count & 63);
        self.count += count;
    }

    /// Writes whole bytes, which leaves fewer than 8 bits.
    #[inline(always)]
    pub fn flush(&mut self) {
        let at = self.at & (ROOM - 1);
        self.bytes[at..at + WORD].copy_from_slice(&self.pending.to_le_bytes());
        self.at += (self.count >> 3) as usize;
        self.pending >>= self.count & 56;
        self.count &= 7;
    }

    /// Adds bits and writes them.
    pub fn put(&mut self, bits: impl Into<u64>, count: impl Into<u32>) {
        self.add(bits.into(), count.into());
        self.flush();
    }

    /// Fills the last byte up with zeros.
    pub fn align(&mut self) {
        self.put(0u64, self.count.wrapping_neg() & 7);
    }

    /// Adds bytes at a byte boundary.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// All that was added, as whole bytes.
    pub fn finish(&mut self) -> &[u8] {
        self.align();
        &self.bytes[..self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stand_lowest_first_and_bytes_behind_whole_bytes() {
        let mut bits = BitWriter::new();
        bits.put(0b101u64, 3u32);
        bits.add(0x1_2345_6789, 33);
        bits.put(1u64, 1u32);
        bits.align();
        bits.put_bytes(b"ab");
        bits.put(1u64, 1u32);
        let packed: u64 = 0b101 | 0x1_2345_6789 << 3 | 1 << 36;
        let expected = [&packed.to_le_bytes()[..5], b"ab\x01"].concat();
        assert_eq!(bits.finish(), expected);
        bits.clear();
        assert!(bits.finish().is_empty());
    }
}
