//! One object: its bytes and its properties.

use super::lock::Lock;
use bytes::Bytes;
use futures::StreamExt;
use md5::digest::Output;
use md5::{Digest, Md5};
use s3s::dto::{StreamingBlob, Timestamp};
use s3s::{S3Result, s3_error};
use sha2::Sha256;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::SystemTime;

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its bytes.
    pub blob: Blob,
    /// Hex MD5, with `-N` after it where it was uploaded in N parts; without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: SystemTime,
    /// Its headers.
    pub properties: Properties,
    /// Its tags, in the order given.
    pub tags: Vec<(String, String)>,
    /// The SHA-256 that it was stored with, base64, with `-N` after it where it was uploaded in N parts.
    pub sha256: Option<String>,
}

/// What a client sends with an object, given back as it came.
#[derive(Clone, Debug, Default)]
pub struct Properties {
    /// Content-Type
    pub content_type: Option<String>,
    /// Content-Encoding
    pub content_encoding: Option<String>,
    /// Content-Disposition
    pub content_disposition: Option<String>,
    /// Content-Language
    pub content_language: Option<String>,
    /// Cache-Control
    pub cache_control: Option<String>,
    /// Expires
    pub expires: Option<Timestamp>,
    /// x-amz-website-redirect-location
    pub redirect: Option<String>,
    /// x-amz-meta-*
    pub metadata: HashMap<String, String>,
    /// x-amz-object-lock-*
    pub lock: Option<Lock>,
}

/// Bytes as they came, in pieces.
#[derive(Clone, Debug)]
pub struct Blob {
    chunks: Vec<Bytes>,
    /// Bytes in all.
    pub size: u64,
    /// Computed when they are first needed: benchmarks measure clients against this server.
    md5: OnceLock<[u8; 16]>,
    sha256: OnceLock<[u8; 32]>,
}

impl Object {
    /// An object written now.
    #[must_use]
    pub fn new(blob: Blob, properties: Properties, tags: Vec<(String, String)>) -> Self {
        let etag = hex(&blob.md5());
        Self::with_etag(blob, etag, properties, tags)
    }

    /// An object written now, whose ETag is not the MD5 of its bytes.
    #[must_use]
    pub fn with_etag(
        blob: Blob,
        etag: String,
        properties: Properties,
        tags: Vec<(String, String)>,
    ) -> Self {
        Self { blob, etag, modified: SystemTime::now(), properties, tags, sha256: None }
    }
}

impl Blob {
    /// Reads a request's body to its end.
    ///
    /// # Errors
    /// `IncompleteBody` if it is truncated or not as long as announced; `BadDigest` if its signed
    /// hash does not fit.
    pub async fn read(body: Option<StreamingBlob>, announced: Option<i64>) -> S3Result<Self> {
        let mut blob = Self::from_chunks(Vec::new(), 0);
        let mut md5 = Md5::new();
        if let Some(mut body) = body {
            while let Some(chunk) = body.next().await {
                let chunk =
                    chunk.map_err(|e| s3_error!(IncompleteBody, "reading the body: {e}"))?;
                md5.update(&chunk);
                blob.size += chunk.len() as u64;
                // A copy: a chunk is a window on a connection's whole read buffer.
                blob.chunks.push(Bytes::copy_from_slice(&chunk));
            }
        }
        if announced.is_some_and(|n| u64::try_from(n) != Ok(blob.size)) {
            return Err(s3_error!(IncompleteBody, "the body is not as long as announced"));
        }
        blob.md5 = OnceLock::from(<[u8; 16]>::from(md5.finalize()));
        Ok(blob)
    }

    fn from_chunks(chunks: Vec<Bytes>, size: u64) -> Self {
        Self { chunks, size, md5: OnceLock::new(), sha256: OnceLock::new() }
    }

    /// Their MD5.
    #[must_use]
    pub fn md5(&self) -> [u8; 16] {
        *self.md5.get_or_init(|| self.digest::<Md5>().into())
    }

    /// Their SHA-256.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        *self.sha256.get_or_init(|| self.digest::<Sha256>().into())
    }

    fn digest<D: Digest>(&self) -> Output<D> {
        let mut digest = D::new();
        self.chunks.iter().for_each(|chunk| digest.update(chunk));
        digest.finalize()
    }

    /// Bytes that are there already.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        Self::from_chunks(vec![bytes], size)
    }

    /// Several blobs as one.
    #[must_use]
    pub fn concat(parts: Vec<Self>) -> Self {
        let mut whole = Self::from_chunks(Vec::new(), 0);
        for part in parts {
            whole.size += part.size;
            whole.chunks.extend(part.chunks);
        }
        whole
    }

    /// The bytes of a range, in pieces; nothing is copied.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Vec<Bytes> {
        let mut at = 0;
        let mut pieces = Vec::new();
        for chunk in &self.chunks {
            let len = chunk.len() as u64;
            let from = range.start.clamp(at, at + len) - at;
            let to = range.end.clamp(at, at + len) - at;
            if from < to {
                // Both are at most the length of a chunk in memory.
                pieces.push(chunk.slice(from as usize..to as usize));
            }
            at += len;
        }
        pieces
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_crosses_the_chunks_it_was_stored_in() {
        let chunks = ["ab", "", "cde", "f"].map(Bytes::from).to_vec();
        let blob = Blob::from_chunks(chunks, 6);
        let text = |range| String::from_utf8(blob.slice(range).concat()).unwrap();
        assert_eq!(text(0..6), "abcdef");
        assert_eq!(text(1..4), "bcd");
        assert_eq!(text(5..6), "f");
        assert_eq!(text(3..3), "");
        assert_eq!(blob.md5(), Blob::of(Bytes::from("abcdef")).md5());
        assert_eq!(blob.sha256(), Blob::of(Bytes::from("abcdef")).sha256());
    }
}
