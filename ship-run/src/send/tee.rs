//! Passes one stream to several sinks, with checksums that are computed once for all of them.

use crate::send::block::Block;
use crate::send::sink::{Piece, Sink};
use anyhow::{Context, Result};
use bundle_format::parts;
use md5::Md5;
use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::io::Read;

const BLOCK: u64 = 1 << 20;
/// The block of all hashes. Taking turns after each, a processor computes them side by side.
const HASH_BLOCK: usize = 64;

/// What went through.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub size: u64,
    /// Hex.
    pub sha256: String,
    /// The SHA-256 of each part, hex.
    pub parts: Vec<String>,
}

/// Reads to the end. A sink that fails is left out; an error if none is left, or the stream cannot be read.
pub fn run(mut from: impl Read, sinks: &mut [Sink]) -> Result<Passed> {
    let (mut whole, mut passed) = (Sha256::new(), Passed::default());
    loop {
        let number = u32::try_from(passed.parts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let (mut sha256, mut md5, mut length) = (Sha256::new(), Md5::new(), 0);
        let size = parts::of_stream(number);
        while length < size {
            let most = BLOCK.min(size - length) as usize;
            let block = Block::read(&mut from, most).context("reading the sealed bundle")?;
            let bytes = block.bytes();
            if bytes.is_empty() {
                break;
            }
            for block in bytes.chunks(HASH_BLOCK) {
                whole.update(block);
                sha256.update(block);
                md5.update(block);
            }
            length += bytes.len() as u64;
            give(sinks, &Piece::Data(block))?;
        }
        passed.size += length;
        if length > 0 {
            let sha256: [u8; 32] = sha256.finalize().into();
            passed.parts.push(hex(&sha256));
            give(sinks, &Piece::PartEnd { sha256, md5: md5.finalize().into() })?;
        }
        if length < size {
            passed.sha256 = hex(&whole.finalize());
            return Ok(passed);
        }
    }
}

fn give(sinks: &mut [Sink], piece: &Piece) -> Result<()> {
    let alive =
        sinks.iter_mut().map(|sink| sink.give(piece.clone())).filter(|alive| *alive).count();
    anyhow::ensure!(alive > 0, "every destination has failed");
    Ok(())
}
