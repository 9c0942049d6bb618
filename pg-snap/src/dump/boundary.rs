//! Where a gzip member ends: a pure decision by the text alone, so that unchanged rows are the same
//! members in the next dump, whatever changed before them.

use crate::gzip::MEMBER;

/// Bytes of text in a member, at least, unless the text ends or a row does not fit.
pub const SHORTEST: usize = 3 << 18;
const _: () = assert!(SHORTEST < MEMBER);

/// The length of the member that begins `text`: to the end of that line among those that end between
/// [`SHORTEST`] and [`MEMBER`] whose hash is lowest. In the next dump the same line has the same hash, and
/// most likely it is the lowest again, even if other lines before it have come or gone.
///
/// Text that fits is one member. A line that does not fit is cut, but begins a member, so that what came
/// before it does not move its pieces.
pub fn first_member(text: &[u8]) -> usize {
    first_between(text, SHORTEST, MEMBER)
}

fn first_between(text: &[u8], shortest: usize, longest: usize) -> usize {
    let Some(window) = text.get(..longest) else { return text.len() };
    let ends = memchr::memchr_iter(b'\n', &window[shortest - 1..]).map(|at| shortest + at);
    let mut begin = memchr::memrchr(b'\n', &window[..shortest - 1]).map_or(0, |at| at + 1);
    let mut best = None;
    for end in ends {
        let hash = line_hash(&window[begin..end]);
        if best.is_none_or(|(lowest, _)| hash < lowest) {
            best = Some((hash, end));
        }
        begin = end;
    }
    match best {
        Some((_, end)) => end,
        None if begin > 0 => begin,
        None => longest,
    }
}

const KEYS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

/// The same in every release: another hash moves the end of every member once.
fn line_hash(line: &[u8]) -> u64 {
    let (words, rest) = line.as_chunks::<16>();
    let mut hash = line.len() as u64;
    for word in words {
        hash = mix(hash, word);
    }
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    mix(mix(hash, &last), &[0; 16])
}

/// Both halves of the product depend on all bits of both factors.
fn mix(hash: u64, word: &[u8; 16]) -> u64 {
    let word = u128::from_le_bytes(*word);
    let (low, high) = (word as u64, (word >> 64) as u64);
    let product = u128::from(low ^ KEYS[0] ^ hash) * u128::from(high ^ KEYS[1]);
    (product as u64) ^ (product >> 64) as u64 ^ hash.rotate_left(29)
}

#[cfg(test)]
mod tests;
