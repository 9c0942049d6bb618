//! What makes a parser's deeper parts reachable: archives whose outer marks are right, whatever bytes
//! they are made of.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const BLOCK: usize = 512;

/// The bytes as a tar: whole blocks, an end mark, and the checksum of every header right, going from
/// header to header as far as their sizes lead.
pub fn tar(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    tar.resize(bytes.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    let mut at = 0_usize;
    while let Some(block) = tar.get_mut(at..at.saturating_add(BLOCK)) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        if block.iter().any(|byte| *byte != 0) {
            block.copy_from_slice(header.as_bytes());
        }
        let size = usize::try_from(header.entry_size().unwrap_or(0)).unwrap_or(usize::MAX);
        let content = size.checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX);
        at = at.saturating_add(BLOCK).saturating_add(content);
    }
    tar
}

/// The bytes as gzip, as they are.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("memory takes it")
}
