//! Received bytes and their hashes.

use crate::mirror::index::Entry;
use crate::object::attributes::Tags;
use crate::object::key::printable;
use crate::pull::plan::PlanItem;
use crate::s3::fault::StoreError;
use crate::s3::headers::Head;
use crate::s3::listed::UNKNOWN_TIME;
use md5::Md5;
use pipe_kit::text::hex;
use pipe_kit::warning;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A received file and its hashes.
pub struct Received {
    pub file: File,
    pub size: u64,
    /// Hex.
    pub sha256: String,
    /// Hex, if requested.
    pub md5: Option<String>,
}

/// Hashes of bytes that arrive in order.
pub struct ContentHash {
    sha256: Sha256,
    md5: Option<Md5>,
    size: u64,
}

impl ContentHash {
    pub fn new(with_md5: bool) -> Self {
        Self { sha256: Sha256::new(), md5: with_md5.then(Md5::new), size: 0 }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.size += bytes.len() as u64;
    }

    /// Hashes a range of a file.
    pub fn update_from(&mut self, file: &File, start: u64, length: u64) -> io::Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        let (mut at, end) = (start, start + length);
        while at < end {
            let room = buffer.len().min((end - at) as usize);
            file.read_exact_at(&mut buffer[..room], at)?;
            self.update(&buffer[..room]);
            at += room as u64;
        }
        Ok(())
    }

    pub fn finish(self, file: File) -> Received {
        let md5 = self.md5.map(|md5| hex(&md5.finalize()));
        Received { file, size: self.size, sha256: hex(&self.sha256.finalize()), md5 }
    }
}

/// Checks that all announced bytes arrived.
///
/// # Errors
/// [`Kind::Transient`](crate::s3::fault::Kind::Transient) if not.
pub fn whole(announced: u64, came: u64) -> Result<(), StoreError> {
    match came == announced {
        true => Ok(()),
        false => Err(StoreError::transient(format!("received {came} of {announced} bytes"))),
    }
}

/// Builds the index entry of a received object, and warns of what the server could not send.
///
/// # Errors
/// [`Kind::Transient`](crate::s3::fault::Kind::Transient) if the bytes do not match the ETag.
pub fn entry_of(
    item: &PlanItem,
    head: Head,
    size: u64,
    sha256: String,
    tags: Tags,
    md5: Option<String>,
) -> Result<Entry, StoreError> {
    if md5.is_some_and(|md5| md5 != head.etag.to_ascii_lowercase()) {
        return Err(StoreError::transient("the received bytes do not match the ETag"));
    }
    if head.unsent_metadata > 0 {
        warning!(
            "{}: x-amz-missing-meta: the server cannot send {} of its user metadata values; the mirror \
             lacks them",
            printable(&item.object.key),
            head.unsent_metadata
        );
    }
    if head.lacks_headers {
        warning!(
            "{}: the response has a header that is not valid HTTP (it contains a control character); the mirror lacks it",
            printable(&item.object.key)
        );
    }
    let last_modified = head.written(&item.object);
    if last_modified == UNKNOWN_TIME {
        warning!(
            "{}: last-modified: the server gives no readable time; the mirror records 1970-01-01",
            printable(&item.object.key)
        );
    }
    Ok(Entry {
        key: item.object.key.clone(),
        path: item.path.clone(),
        size,
        last_modified,
        etag: head.etag,
        sha256,
        properties: head.properties,
        tags,
    })
}
