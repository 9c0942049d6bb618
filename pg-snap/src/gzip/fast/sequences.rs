//! A text as literals and matches, and how often each symbol occurs in it.

use super::boxed::boxed;
use super::symbols::{self, DISTANCES, END, LENGTHS, LITERALS, LONGEST, SHORTEST};

/// Of one block, at most.
const SEQUENCES: usize = 1 << 15;

/// Bytes that stand for themselves, and the match that follows them.
#[derive(Clone, Copy, Default)]
pub struct LzSequence {
    /// How many.
    pub literals: u32,
    /// Less [`SHORTEST`].
    pub length: u8,
    /// Less one.
    pub distance: u16,
}

pub struct Sequences {
    all: Box<[LzSequence; SEQUENCES]>,
    used: usize,
    /// Four counts of each byte, so that equal bytes in a row do not wait for each other.
    bytes: [[u32; 256]; 4],
    lengths: [u32; LITERALS],
    distances: [u32; DISTANCES],
}

impl Sequences {
    pub fn new() -> Self {
        Self {
            all: boxed(LzSequence::default()),
            used: 0,
            bytes: [[0; 256]; 4],
            lengths: [0; LITERALS],
            distances: [0; DISTANCES],
        }
    }

    pub fn clear(&mut self) {
        self.used = 0;
        self.bytes = [[0; 256]; 4];
        self.lengths = [0; LITERALS];
        self.distances = [0; DISTANCES];
    }

    pub fn is_full(&self) -> bool {
        self.used == SEQUENCES
    }

    /// Adds literals and a match that is as long as `length`, if there is room, but for what is left
    /// when it is longer than a match can be; gives how long the match is.
    #[inline(always)]
    pub fn add(&mut self, literals: &[u8], length: usize, distance: usize) -> usize {
        self.count(literals);
        let mut run = literals.len() as u32;
        let mut rest = length;
        while rest >= SHORTEST && !self.is_full() {
            let some = rest.min(LONGEST);
            let (length, distance) = ((some - SHORTEST) as u8, (distance - 1) as u16);
            self.all[self.used] = LzSequence { literals: run, length, distance };
            self.used += 1;
            self.lengths[usize::from(LENGTHS[usize::from(length)].symbol)] += 1;
            self.distances[symbols::of_distance(distance)] += 1;
            run = 0;
            rest -= some;
        }
        length - rest
    }

    /// Counts literals that no match follows.
    #[inline(always)]
    pub fn count(&mut self, literals: &[u8]) {
        let [a, b, c, d] = &mut self.bytes;
        let mut fours = literals.chunks_exact(4);
        for four in &mut fours {
            a[usize::from(four[0])] += 1;
            b[usize::from(four[1])] += 1;
            c[usize::from(four[2])] += 1;
            d[usize::from(four[3])] += 1;
        }
        for byte in fours.remainder() {
            a[usize::from(*byte)] += 1;
        }
    }

    pub fn all(&self) -> &[LzSequence] {
        &self.all[..self.used]
    }

    /// How often each byte and each length's symbol occurs, and the end, which does once.
    pub fn literals(&self) -> [u32; LITERALS] {
        let mut counts = self.lengths;
        for (byte, count) in counts[..END].iter_mut().enumerate() {
            *count = self.bytes.iter().map(|counts| counts[byte]).sum();
        }
        counts[END] = 1;
        counts
    }

    /// How often each distance's symbol occurs.
    pub fn distances(&self) -> &[u32; DISTANCES] {
        &self.distances
    }
}
