//! One gzip member: made from a block of text in one go, and read back so.
//!
//! A member of ours has its own length in its header (an extra field, RFC 1952), so that a reader
//! finds the next one without inflating, and several can be inflated at once. Others skip the field.
//! Nothing in a member depends on where it is or on what comes before it.

use super::fast::{self, FastCompressor};
use super::header::{self, Header};
use libdeflater::{CompressionLvl, Compressor, Crc, Decompressor};
use std::io;

/// Bytes of text in a member that is written, at most.
pub const MEMBER: usize = 1 << 21;
const _: () = assert!(MEMBER <= fast::LONGEST);
/// Bytes of a member, and of its text, that are read at once. What is larger, of whatever writer, is read
/// as a stream.
pub const AT_ONCE: usize = 2 * MEMBER;
const TRAILER: usize = 8;

/// How hard to compress. The doc comments are the text of `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// Fastest; smaller than gzip -1
    Fast,
    /// As small as gzip -6; as fast as the data allows
    Default,
    /// Smallest, in several times the time
    Small,
}

/// The places where a match is looked for at [`Level::Fast`].
const FAST_PLACES: usize = 1;
/// Those at [`Level::Default`].
const DEFAULT_PLACES: usize = 2;

pub struct Deflater(Method);

enum Method {
    Fast(Box<FastCompressor<FAST_PLACES>>),
    /// Where the first one is not suited, the second one.
    FastOrLibdeflate(Box<FastCompressor<DEFAULT_PLACES>>, Libdeflate),
    Libdeflate(Libdeflate),
}

impl Deflater {
    pub fn new(level: Level) -> Self {
        Self(match level {
            Level::Fast => Method::Fast(Box::new(FastCompressor::new())),
            Level::Default => {
                Method::FastOrLibdeflate(Box::new(FastCompressor::new()), Libdeflate::new(6))
            }
            Level::Small => Method::Libdeflate(Libdeflate::new(10)),
        })
    }

    /// The text as one member.
    pub fn member(&mut self, text: &[u8]) -> io::Result<Vec<u8>> {
        if text.len() > MEMBER {
            return Err(invalid("a block too long for a gzip member"));
        }
        let deflated = match &mut self.0 {
            Method::Fast(fast) => fast.deflate(text),
            Method::FastOrLibdeflate(fast, libdeflate) => match fast.deflate_if_suited(text) {
                Some(deflated) => deflated,
                None => libdeflate.deflate(text)?,
            },
            Method::Libdeflate(libdeflate) => libdeflate.deflate(text)?,
        };
        Ok(assemble(Header::Aligning, &[deflated], text))
    }
}

struct Libdeflate {
    compressor: Compressor,
    made: Vec<u8>,
}

impl Libdeflate {
    /// Of a level of libdeflate's.
    fn new(level: i32) -> Self {
        let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap_or_default());
        let made = vec![0; compressor.deflate_compress_bound(MEMBER)];
        Self { compressor, made }
    }

    fn deflate(&mut self, text: &[u8]) -> io::Result<&[u8]> {
        let length =
            self.compressor.deflate_compress(text, &mut self.made).map_err(io::Error::other)?;
        Ok(&self.made[..length])
    }
}

/// The text as a member that is not compressed, so that its length follows from the text's.
pub fn stored(text: &[u8]) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(text.len() + 5);
    let mut rest = text;
    loop {
        let (block, after) = rest.split_at(rest.len().min(usize::from(u16::MAX)));
        let [a, b] = (block.len() as u16).to_le_bytes();
        blocks.extend_from_slice(&[u8::from(after.is_empty()), a, b, !a, !b]);
        blocks.extend_from_slice(block);
        rest = after;
        if rest.is_empty() {
            return assemble(Header::Plain, &[&blocks], text);
        }
    }
}

fn assemble(header: Header, deflated: &[&[u8]], text: &[u8]) -> Vec<u8> {
    let length = header.length() + deflated.iter().map(|part| part.len()).sum::<usize>() + TRAILER;
    // Without spare capacity: many members may wait in memory.
    let mut member = Vec::with_capacity(length);
    header.write(low_32(length), &mut member);
    deflated.iter().for_each(|part| member.extend_from_slice(part));
    let mut crc = Crc::new();
    crc.update(text);
    member.extend_from_slice(&crc.sum().to_le_bytes());
    member.extend_from_slice(&low_32(text.len()).to_le_bytes());
    member
}

fn low_32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// How long the text of a complete member is, by its own trailer; a shorter input has none.
pub fn text_length(member: &[u8]) -> usize {
    member.last_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize)
}

pub struct Inflater(Decompressor);

impl Inflater {
    pub fn new() -> Self {
        Self(Decompressor::new())
    }

    /// The text of a complete member of ours.
    ///
    /// # Errors
    /// `InvalidData` if it is damaged, or its text is longer than [`AT_ONCE`].
    pub fn text(&mut self, member: &[u8]) -> io::Result<Vec<u8>> {
        let lengths = header::lengths(member).unwrap_or_default();
        let body = member.get(lengths.header..).filter(|_| lengths.member == member.len());
        let Some((body, trailer)) = body.and_then(|body| body.split_last_chunk::<TRAILER>()) else {
            return Err(invalid("a gzip member does not have the length in its header"));
        };
        if !header::is_intact(&member[..lengths.header]) {
            return Err(invalid("a gzip member has a damaged header"));
        }
        let [c0, c1, c2, c3, ..] = *trailer;
        let (crc, size) = (u32::from_le_bytes([c0, c1, c2, c3]), text_length(member));
        if size > AT_ONCE {
            return Err(invalid("a gzip member is longer than allowed"));
        }
        let mut text = vec![0; size];
        let length = self
            .0
            .deflate_decompress(body, &mut text)
            .map_err(|_| invalid("corrupt deflate stream"))?;
        let mut sum = Crc::new();
        sum.update(&text);
        if length != size || sum.sum() != crc {
            return Err(invalid("a gzip member's checksum does not match"));
        }
        Ok(text)
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn gunzip(member: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(member).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn a_member_reads_back_here_and_by_any_gunzip_whatever_the_text() {
        let texts =
            [Vec::new(), b"a".to_vec(), b"abc\n".repeat(9000), noise(MEMBER), noise(70_000)];
        for text in texts {
            for level in [Level::Fast, Level::Default, Level::Small] {
                let member = Deflater::new(level).member(&text).unwrap();
                assert!(member.capacity() < member.len() + 64);
                assert_eq!(header::lengths(&member).unwrap().member, member.len());
                assert!(Inflater::new().text(&member).unwrap() == text);
                assert!(gunzip(&member) == text);
            }
        }
        assert!(Deflater::new(Level::Fast).member(&noise(MEMBER + 1)).is_err());
    }

    #[test]
    fn a_stored_members_length_follows_from_its_texts() {
        let long = noise(200_000);
        for (text, blocks) in
            [(&b""[..], 1), (b"here", 1), (b"thee", 1), (&long[..65_535], 1), (&long, 4)]
        {
            let member = stored(text);
            assert_eq!(member.len(), Header::Plain.length() + 5 * blocks + text.len() + TRAILER);
            assert!(gunzip(&member) == text);
            assert!(Inflater::new().text(&member).unwrap() == text);
        }
    }

    #[test]
    fn a_damaged_member_is_an_error() {
        let member =
            Deflater::new(Level::Default).member(&b"some text, some more\n".repeat(50)).unwrap();
        for at in 0..member.len() {
            let mut damaged = member.clone();
            damaged[at] ^= 0x21;
            assert!(Inflater::new().text(&damaged).is_err(), "byte {at}");
        }
        assert!(Inflater::new().text(&member[..member.len() - 1]).is_err());
        assert!(Inflater::new().text(&[]).is_err());
    }
}
