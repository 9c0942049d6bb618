//! Finds where a text repeats itself.

use super::boxed::boxed;
use super::sequences::Sequences;
use std::ops::Range;

/// Bytes that are looked up, and so the length of the shortest match that is found. Shorter ones seldom
/// take fewer bits than their literals do.
const LOOKED_UP: usize = 6;
const WORD: usize = 8;
/// The slots' logarithm: they fit into a processor's nearest cache.
const SLOTS: u32 = 13;
/// Bytes that a match may lie behind.
const WINDOW: usize = 1 << 15;
/// The step's unit: it grows by one place after so many that do not match.
const UNIT: usize = 16;

pub struct MatchFinder {
    /// Where bytes that fall into a slot were last seen.
    slots: Box<[u32; 1 << SLOTS]>,
}

impl MatchFinder {
    pub fn new() -> Self {
        Self { slots: boxed() }
    }

    /// Starts a new text.
    pub fn forget(&mut self) {
        self.slots.fill(0);
    }

    /// Finds the sequences of this stretch of the text, behind those that were looked through before;
    /// gives where they end: further if the last match is longer, less far if there are too many.
    pub fn find(&mut self, text: &[u8], stretch: Range<usize>, found: &mut Sequences) -> usize {
        found.clear();
        let last = stretch.end.min(text.len().saturating_sub(WORD));
        // All before is in a sequence.
        let mut done = stretch.start;
        let mut at = stretch.start;
        let mut step = UNIT;
        while at < last {
            let Some(distance) = self.look_up(text, at) else {
                at += step / UNIT;
                step += 1;
                continue;
            };
            step = UNIT;
            let begin = at - equal_before(&text[done..at], &text[..at - distance]);
            let known = at + LOOKED_UP;
            let end = known + equal(&text[known..], &text[known - distance..]);
            at = begin + found.add(&text[done..begin], end - begin, distance);
            done = at;
            if found.is_full() {
                return done;
            }
            if at < last {
                let (slot, fingerprint) = fingerprint(word(text, at - 2), at - 2);
                self.slots[slot] = fingerprint;
            }
        }
        let end = stretch.end.max(done);
        found.count(&text[done..end]);
        end
    }

    /// How far behind the same bytes were seen, if they were; from now on, they were seen here.
    #[inline(always)]
    fn look_up(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let word = word(text, at);
        let (slot, fingerprint) = fingerprint(word, at);
        let before = std::mem::replace(&mut self.slots[slot], fingerprint);
        // Other bytes mostly differ in their fingerprint, and need not be fetched.
        if (before ^ fingerprint) > PLACE {
            return None;
        }
        let distance = (fingerprint.wrapping_sub(before) & PLACE) as usize;
        let is_near = (1..=WINDOW).contains(&distance);
        (is_near && same(word, self::word(text, at - distance))).then_some(distance)
    }
}

/// The bits of a fingerprint that are the low ones of its place.
const PLACE: u32 = 0xffff;

/// The slot of these bytes, and what stands in it for them: a hash, and the place.
#[inline(always)]
fn fingerprint(word: u64, at: usize) -> (usize, u32) {
    let hash = (word << (64 - 8 * LOOKED_UP)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let slot = (hash >> (64 - SLOTS)) as usize;
    (slot, (hash >> (32 - SLOTS)) as u32 & !PLACE | at as u32 & PLACE)
}

#[inline(always)]
fn same(a: u64, b: u64) -> bool {
    (a ^ b) << (64 - 8 * LOOKED_UP) == 0
}

#[inline(always)]
fn word(text: &[u8], at: usize) -> u64 {
    text[at..at + WORD].try_into().map_or(0, u64::from_le_bytes)
}

/// How many bytes two texts have in common at their beginning; `b` is not shorter.
#[inline(always)]
fn equal(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    while at + WORD <= a.len() {
        let differ = word(a, at) ^ word(b, at);
        if differ != 0 {
            return at + (differ.trailing_zeros() / 8) as usize;
        }
        at += WORD;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

/// How many bytes two texts have in common at their end.
#[inline(always)]
fn equal_before(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}
