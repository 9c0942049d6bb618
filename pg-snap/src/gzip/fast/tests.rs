//! What is compressed reads back the same, by us and by others.

use super::symbols::{LONGEST as LONGEST_MATCH, SHORTEST};
use super::*;
use crate::gzip::{Deflater, Inflater, Level};
use proptest::prelude::*;
use std::io::Read;

/// The encoders with each number of places.
struct Encoders {
    one: FastCompressor<1>,
    two: FastCompressor<2>,
}

impl Encoders {
    fn new() -> Self {
        Self { one: FastCompressor::new(), two: FastCompressor::new() }
    }
}

/// Checks that everybody reads the text back, and gives how long it has become with one place.
fn round_trip(encoders: &mut Encoders, text: &[u8]) -> usize {
    reads_back(encoders.two.deflate(text), text);
    if let Some(deflated) = encoders.two.deflate_if_suited(text) {
        reads_back(deflated, text);
    }
    for level in [Level::Fast, Level::Default] {
        let member = Deflater::new(level).member(text).unwrap();
        assert!(Inflater::new().text(&member).unwrap() == text, "we read another text");
    }
    let deflated = encoders.one.deflate(text);
    reads_back(deflated, text);
    deflated.len()
}

fn reads_back(deflated: &[u8], text: &[u8]) {
    let mut read = vec![0; text.len()];
    let length = libdeflater::Decompressor::new().deflate_decompress(deflated, &mut read);
    assert_eq!(length, Ok(text.len()), "libdeflate");
    assert!(read == text, "libdeflate reads another text");
    let mut rest = deflated;
    read.clear();
    flate2::bufread::DeflateDecoder::new(&mut rest).read_to_end(&mut read).unwrap();
    assert!(rest.is_empty() && read == text, "zlib reads another text");
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand(seed);
    (0..length).map(|_| random()).collect()
}

/// The upper byte of a linear congruence.
fn fastrand(mut state: u64) -> impl FnMut() -> u8 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    }
}

/// Each byte value, in a ratio that makes the rarest codes as long as can be.
fn skewed() -> Vec<u8> {
    let (mut text, mut a, mut b) = (Vec::new(), 1, 1);
    for byte in 0..=255u8 {
        text.extend(std::iter::repeat_n(byte, a));
        if byte < 20 {
            (a, b) = (b, a + b);
        } else {
            a = 1;
        }
    }
    // Spread, so that the bytes are not matches of themselves.
    let mut random = fastrand(3);
    for at in (1..text.len()).rev() {
        let other = u32::from_le_bytes(std::array::from_fn(|_| random())) as usize % (at + 1);
        text.swap(at, other);
    }
    text
}

fn rows(n: usize) -> Vec<u8> {
    let mut random = fastrand(5);
    let mut rows = Vec::new();
    for id in 0..n {
        let hash: String = (0..16).map(|_| format!("{:02x}", random())).collect();
        let state = ["draft", "sent", "paid", "void"][usize::from(random() % 4)];
        let spaces = " ".repeat(84);
        rows.extend(
            format!("{id}\t{state}\t{hash}\t2024-01-{:02}\t{spaces}\n", id % 28).into_bytes(),
        );
    }
    rows
}

#[test]
fn texts_of_every_kind_read_back() {
    let mut encoders = Encoders::new();
    let mut texts = vec![
        Vec::new(),
        b"a".to_vec(),
        b"abcdefg".to_vec(),
        b"abcdefgh".repeat(2),
        (0..=255).collect(),
        skewed(),
        rows(3000),
        noise(1, 70_000),
        noise(2, LONGEST),
        vec![b' '; LONGEST],
        noise(3, 4000).repeat(40),
        [noise(4, 300_000), rows(1000), noise(5, 300_000), vec![0; 100_000]].concat(),
    ];
    // Around what is looked at in one go, and what shares its codes.
    for length in [FIRST_STRETCH, STRETCH, LONGEST_MATCH, 16, 8] {
        for length in length - 1..=length + 1 {
            texts.push(vec![b'x'; length]);
            texts.push(noise(6, length));
        }
    }
    for text in &texts {
        round_trip(&mut encoders, text);
    }
}

#[test]
fn a_block_that_has_all_its_sequences_ends_there() {
    // A new match every few bytes.
    let words: Vec<Vec<u8>> = (0..64).map(|seed| noise(seed, 6)).collect();
    let mut random = fastrand(9);
    let mut text = Vec::new();
    while text.len() < LONGEST - 6 {
        text.extend_from_slice(&words[usize::from(random() % 64)]);
    }
    round_trip(&mut Encoders::new(), &text);
}

#[test]
fn matches_reach_as_far_as_the_format_allows_and_no_further() {
    let mut encoders = Encoders::new();
    let mark = noise(7, 64);
    for (distance, is_found) in [(32_767, true), (32_768, true), (32_769, false)] {
        let filler = vec![b'a'; distance - mark.len()];
        let text = [&mark[..], &filler, &mark].concat();
        let other = [&mark[..], &filler, &noise(8, 64)].concat();
        let saved = round_trip(&mut encoders, &other) - round_trip(&mut encoders, &text);
        assert_eq!(saved > 32, is_found, "{saved} bytes saved at a distance of {distance}");
    }
}

#[test]
fn what_repeats_takes_next_to_nothing_and_what_does_not_hardly_more_than_it_is() {
    let mut encoders = Encoders::new();
    let repeats = round_trip(&mut encoders, &vec![b' '; LONGEST]);
    assert!(repeats < LONGEST / LONGEST_MATCH / 2, "{repeats} bytes");
    for text in [noise(1, LONGEST), noise(1, 1000), noise(1, SHORTEST), Vec::new()] {
        let grown = round_trip(&mut encoders, &text).saturating_sub(text.len());
        assert!(grown <= 5 + text.len() / 4096, "{grown} bytes more than {}", text.len());
    }
}

#[test]
fn rows_take_no_more_than_libdeflates_level_1_makes_of_them() {
    let text = &rows(6000)[..];
    let level = libdeflater::CompressionLvl::new(1).unwrap();
    let theirs = libdeflater::Compressor::new(level)
        .deflate_compress(text, &mut vec![0; text.len()])
        .unwrap();
    let ours = round_trip(&mut Encoders::new(), text);
    assert!(ours <= theirs, "{ours} bytes, theirs {theirs}");
}

/// Words of a small vocabulary, as prose repeats them.
fn prose(length: usize) -> Vec<u8> {
    let mut random = fastrand(11);
    let words: Vec<Vec<u8>> =
        (0..200).map(|_| (0..2 + random() % 8).map(|_| b'a' + random() % 26).collect()).collect();
    let mut text = Vec::new();
    while text.len() < length {
        // Some words are more frequent than others.
        text.extend_from_slice(&words[usize::from(random().min(random()) % 200)]);
        text.push(if random() < 20 { b'\n' } else { b' ' });
    }
    text
}

#[test]
fn digits_and_long_repetitions_suit_the_encoder_and_prose_does_not() {
    let mut encoder = FastCompressor::<2>::new();
    let mut suited = |text: &[u8]| encoder.deflate_if_suited(text).map(<[u8]>::len);
    let digits = |n: usize| -> Vec<u8> {
        noise(12, n).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
    };
    assert!(suited(&digits(200_000)).is_some());
    assert!(suited(&b"the same row, again and again\n".repeat(5000)).is_some());
    assert_eq!(suited(&prose(100_000)), None);
    assert_eq!(suited(&noise(13, 100_000)), None, "literals of eight bits");
    // Wherever it is.
    assert_eq!(suited(&[digits(STRETCH), prose(STRETCH + FIRST_STRETCH)].concat()), None);
    assert_eq!(suited(&[prose(FIRST_STRETCH), digits(STRETCH)].concat()), None);
}

#[test]
fn the_default_level_is_no_larger_than_gzips() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let overhead = Deflater::new(Level::Default).member(b"").unwrap().len();
    for text in [rows(8000), prose(1_000_000), noise(14, 300_000)] {
        std::fs::write(file.path(), &text).unwrap();
        let gzip =
            std::process::Command::new("gzip").args(["-6", "-n", "-c"]).arg(file.path()).output();
        let theirs = gzip.unwrap().stdout.len();
        let ours = Deflater::new(Level::Default).member(&text).unwrap().len();
        assert!(theirs > 0 && ours <= theirs + overhead, "{ours} bytes, gzip's {theirs}");
    }
}

/// A piece of a text: what it is made of, and what was there before.
#[derive(Clone, Debug)]
enum TextPiece {
    Bytes(Vec<u8>),
    Noise(u64, usize),
    Run(u8, usize),
    Again { distance: usize, length: usize },
}

fn piece() -> impl Strategy<Value = TextPiece> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20).prop_map(TextPiece::Bytes),
        "[a-f0-9\t\n ]{0,40}".prop_map(|text: String| TextPiece::Bytes(text.into_bytes())),
        (any::<u64>(), 0..3000usize).prop_map(|(seed, length)| TextPiece::Noise(seed, length)),
        (any::<u8>(), 0..3000usize).prop_map(|(byte, length)| TextPiece::Run(byte, length)),
        (1..40_000usize, 1..600usize)
            .prop_map(|(distance, length)| TextPiece::Again { distance, length }),
        (1..9usize, 1..600usize)
            .prop_map(|(distance, length)| TextPiece::Again { distance, length }),
    ]
}

fn text(pieces: &[TextPiece]) -> Vec<u8> {
    let mut text = Vec::new();
    for piece in pieces {
        match piece {
            TextPiece::Bytes(bytes) => text.extend_from_slice(bytes),
            TextPiece::Noise(seed, length) => text.extend(noise(*seed, *length)),
            TextPiece::Run(byte, length) => text.extend(std::iter::repeat_n(*byte, *length)),
            TextPiece::Again { distance, length } => {
                if let Some(from) = text.len().checked_sub(*distance) {
                    (from..from + length).for_each(|at| text.push(text[at]));
                }
            }
        }
    }
    text
}

proptest! {
    #[test]
    fn any_text_reads_back_whatever_was_compressed_before(
        texts in prop::collection::vec(prop::collection::vec(piece(), 0..60), 1..4)
    ) {
        let mut encoders = Encoders::new();
        for pieces in texts {
            let text = text(&pieces);
            round_trip(&mut encoders, &text);
        }
    }
}
