//! Finds where a text repeats itself.

use super::boxed::boxed;
use super::sequences::Sequences;
use std::ops::Range;

/// Bytes that are looked up, and so the length of the shortest match that is found. Shorter ones seldom
/// take fewer bits than their literals do.
const LOOKED_UP: usize = 6;
const WORD: usize = 8;
/// The buckets' logarithm: with one place each, they fit into a processor's second cache several times.
const BUCKETS: u32 = 14;
/// Bytes that a match may lie behind.
const WINDOW: usize = 1 << 15;
/// The step's unit: it grows by one place after so many that do not match.
const UNIT: usize = 16;
/// A match of this length is taken without a look at the next place.
const LONG_ENOUGH: usize = 32;
/// Places that are remembered at each end of a match. Those between them are like those of the text that
/// it repeats.
const REMEMBERED: usize = 4;

/// It remembers the last `PLACES` places of bytes that fall into the same bucket.
pub struct MatchFinder<const PLACES: usize> {
    /// The latest place first.
    buckets: Box<[[u32; PLACES]; 1 << BUCKETS]>,
}

/// Bytes that were there before: so many of them, so far behind.
#[derive(Clone, Copy)]
struct Match {
    begin: usize,
    length: usize,
    distance: usize,
}

impl<const PLACES: usize> MatchFinder<PLACES> {
    pub fn new() -> Self {
        Self { buckets: boxed([0; PLACES]) }
    }

    /// Starts a new text.
    pub fn forget(&mut self) {
        self.buckets.fill([0; PLACES]);
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
            let Some(first) = self.look_up(text, at, LOOKED_UP) else {
                at += step / UNIT;
                step += 1;
                continue;
            };
            step = UNIT;
            let (best, looked_up) = self.longest_near(text, first, last);
            let before = equal_before(&text[done..best.begin], &text[..best.begin - best.distance]);
            let begin = best.begin - before;
            let length = before + best.length;
            at = begin + found.add(&text[done..begin], length, best.distance);
            done = at;
            if found.is_full() {
                return done;
            }
            self.remember(text, looked_up..at.min(last));
        }
        let end = stretch.end.max(done);
        found.count(&text[done..end]);
        end
    }

    /// The longest of the matches that begin at the next places (lazy matching), and the place up to which
    /// they were looked up: for as long as the next one is longer.
    #[inline(always)]
    fn longest_near(&mut self, text: &[u8], first: Match, last: usize) -> (Match, usize) {
        let mut best = first;
        let mut next = first.begin + 1;
        while best.length < LONG_ENOUGH && next < last {
            let found = self.look_up(text, next, best.length + 1);
            next += 1;
            match found {
                Some(longer) if saves_more(longer, best) => best = longer,
                _ => break,
            }
        }
        (best, next)
    }

    /// The longest match at this place, if one has this length at least; from now on, the bytes were seen
    /// here.
    #[inline(always)]
    fn look_up(&mut self, text: &[u8], at: usize, shortest: usize) -> Option<Match> {
        let word = word(text, at);
        let (bucket, fingerprint) = fingerprint(word, at);
        let mut best = None;
        let mut wanted = shortest;
        for before in self.push(bucket, fingerprint) {
            // Other bytes mostly differ in their fingerprint, and need not be fetched.
            if (before ^ fingerprint) > PLACE {
                continue;
            }
            let distance = (fingerprint.wrapping_sub(before) & PLACE) as usize;
            if !(1..=WINDOW).contains(&distance) {
                continue;
            }
            let length = match word ^ self::word(text, at - distance) {
                0 => WORD + equal(&text[at + WORD..], &text[at + WORD - distance..]),
                differ => (differ.trailing_zeros() / 8) as usize,
            };
            if length >= wanted {
                best = Some(Match { begin: at, length, distance });
                wanted = length + 1;
            }
        }
        best
    }

    /// Puts a place at the front of its bucket, and gives those that were in it.
    #[inline(always)]
    fn push(&mut self, bucket: usize, fingerprint: u32) -> [u32; PLACES] {
        let before = self.buckets[bucket];
        let mut after = before;
        after.copy_within(..PLACES - 1, 1);
        after[0] = fingerprint;
        self.buckets[bucket] = after;
        before
    }

    /// Remembers the places at the ends of a match.
    #[inline(always)]
    fn remember(&mut self, text: &[u8], places: Range<usize>) {
        let Range { start, end } = places;
        let first = start..end.min(start + REMEMBERED);
        let second = first.end.max(end.saturating_sub(REMEMBERED))..end;
        for at in first.chain(second) {
            let (bucket, fingerprint) = fingerprint(word(text, at), at);
            self.push(bucket, fingerprint);
        }
    }
}

/// Whether a match at the next place, which is longer, saves more although it may be further behind: a byte
/// takes about as many bits as a distance that is sixteen times longer.
#[inline(always)]
fn saves_more(next: Match, than: Match) -> bool {
    let bits = |found: Match| found.distance.ilog2() as usize;
    4 * (next.length - than.length) + bits(than) > bits(next)
}

/// The bits of a fingerprint that are the low ones of its place.
const PLACE: u32 = 0xffff;

/// The bucket of these bytes, and what is put into it for them: a hash, and the place.
#[inline(always)]
fn fingerprint(word: u64, at: usize) -> (usize, u32) {
    let hash = (word << (64 - 8 * LOOKED_UP)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bucket = (hash >> (64 - BUCKETS)) as usize;
    (bucket, (hash >> (32 - BUCKETS)) as u32 & !PLACE | at as u32 & PLACE)
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
