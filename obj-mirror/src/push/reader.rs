//! Reads files for uploads, with their checksums.

use crate::push::buffers::Buffers;
use crate::push::source::Source;
use crate::s3::etag::is_md5;
use crate::s3::fault::StoreError;
use crate::s3::store::Sums;
use crate::s3::tasks::on_disk;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use pipe_kit::text::hex;
use sha2::Sha256;
use std::fs::File;
use std::sync::Arc;

/// The body of one request.
#[derive(Clone)]
pub struct Piece {
    pub content: Bytes,
    /// Hex.
    pub sha256: String,
    /// Base64.
    pub md5: String,
}

impl Piece {
    /// Computes both checksums; not for the threads that requests run on.
    pub fn new(content: Bytes) -> Self {
        let sha256 = hex(&Sha256::digest(&content));
        let md5 = md5_of(&content);
        Self { content, sha256, md5 }
    }

    pub fn sums(&self) -> Sums<'_> {
        Sums { sha256: &self.sha256, md5: &self.md5 }
    }
}

pub fn md5_of(content: &[u8]) -> String {
    STANDARD.encode(Md5::digest(content))
}

/// The `Content-MD5` that follows from an ETag, if that is the MD5 of the bytes, as for most objects
/// that were uploaded in one request.
pub fn md5_by_etag(etag: &str) -> Option<String> {
    let digit = |at: usize| u8::from_str_radix(etag.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..16).map(|n| digit(n * 2)).collect();
    bytes.filter(|_| is_md5(etag)).map(|bytes| STANDARD.encode(bytes))
}

/// Reads a file once, front to back, and hashes it if its hash is known.
pub struct SourceReader {
    file: Arc<File>,
    at: u64,
    sha256: Option<Sha256>,
    buffers: Arc<Buffers>,
}

impl SourceReader {
    pub fn new(file: File, is_hashed: bool, buffers: Arc<Buffers>) -> Self {
        Self { file: Arc::new(file), at: 0, sha256: is_hashed.then(Sha256::new), buffers }
    }

    /// Reads the next bytes and passes them to `work`, on a blocking thread.
    pub async fn next<T: Send + 'static>(
        &mut self,
        length: u64,
        work: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (file, at, mut sha256) = (Arc::clone(&self.file), self.at, self.sha256.take());
        let buffers = Arc::clone(&self.buffers);
        let (made, sha256) = on_disk(move || {
            let content = buffers.read(&file, at, length as usize)?;
            if let Some(sha256) = &mut sha256 {
                sha256.update(&content);
            }
            Ok((work(content), sha256))
        })
        .await?;
        self.sha256 = sha256;
        self.at += length;
        Ok(made)
    }

    /// Checks that the whole file was read and matches the index.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::s3::fault::Kind::Damaged) if not.
    pub fn check(self, source: &Source) -> Result<(), StoreError> {
        let length = self.file.metadata().map_err(|e| StoreError::local(&e))?.len();
        let sha256 = self.sha256.map(|sha256| hex(&sha256.finalize()));
        check(source, self.at, length, &sha256.unwrap_or_default())
    }
}

/// Checks that the whole file was read and matches the index.
///
/// # Errors
/// [`Kind::Damaged`](crate::s3::fault::Kind::Damaged) if not.
pub fn check(source: &Source, read: u64, length: u64, sha256: &str) -> Result<(), StoreError> {
    if length != read {
        return Err(StoreError::damaged("it changed while it was read"));
    }
    let known = &source.sha256;
    if known.is_empty() || known.iter().any(|known| known.eq_ignore_ascii_case(sha256)) {
        return Ok(());
    }
    Err(StoreError::damaged("its content does not match the index"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_md5_of_an_etag_is_that_of_the_bytes_or_none() {
        let etag = hex(&Md5::digest(b"x"));
        assert_eq!(md5_by_etag(&etag), Some(md5_of(b"x")));
        assert_eq!(md5_by_etag(&etag.to_ascii_uppercase()), Some(md5_of(b"x")));
        for other in ["", "x", &format!("{etag}-2"), &"g".repeat(32), &"\u{e9}".repeat(16)] {
            assert_eq!(md5_by_etag(other), None, "{other}");
        }
    }
}
