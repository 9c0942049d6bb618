//! Buckets, objects and unfinished uploads, in memory; and in a directory too, where there is one.

use super::disk;
use anyhow::Result;
use bytes::Bytes;
use futures::StreamExt;
use md5::{Digest, Md5};
use s3s::dto::{StreamingBlob, Timestamp};
use s3s::{S3Result, s3_error};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Everything the server holds.
#[derive(Debug, Default)]
pub struct Store {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    home: Option<PathBuf>,
}

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    /// When it was made.
    pub created: SystemTime,
    /// The objects by key.
    pub objects: BTreeMap<String, Arc<Object>>,
    /// Unfinished multipart uploads by id.
    pub uploads: HashMap<String, Upload>,
    home: Option<PathBuf>,
}

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its bytes.
    pub blob: Blob,
    /// Hex MD5, with `-N` after it where it was uploaded in N parts; without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: SystemTime,
    /// What was said of it.
    pub properties: Properties,
    /// Its tags, in the order given.
    pub tags: Vec<(String, String)>,
}

/// What a client says of an object, given back as it came.
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
}

/// A multipart upload that is under way.
#[derive(Debug)]
pub struct Upload {
    /// The key it is for.
    pub key: String,
    /// When it began.
    pub begun: SystemTime,
    /// What was said of the object.
    pub properties: Properties,
    /// Tags of the object to be.
    pub tags: Vec<(String, String)>,
    /// The parts by number.
    pub parts: BTreeMap<i32, (Blob, SystemTime)>,
}

/// Bytes as they came, in pieces.
#[derive(Clone, Debug)]
pub struct Blob {
    chunks: Vec<Bytes>,
    /// Bytes in all.
    pub size: u64,
    /// Their MD5.
    pub md5: [u8; 16],
}

impl Store {
    /// A store that keeps what it holds in a directory, with what is there already.
    ///
    /// # Errors
    /// If the directory cannot be read, or holds something else.
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self { buckets: Mutex::new(disk::load(dir)?), home: Some(dir.to_owned()) })
    }

    /// The buckets by name, locked.
    pub fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a bucket.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what `work` says.
    pub fn with<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Bucket) -> S3Result<T>,
    ) -> S3Result<T> {
        match self.buckets().get_mut(name) {
            Some(bucket) => work(bucket),
            None => Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")),
        }
    }

    /// An object as it is now.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    pub fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        self.with(bucket, |b| {
            let object = b.objects.get(key).cloned();
            object.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist"))
        })
    }

    /// Makes a bucket, or does nothing where it exists; whether it was made.
    ///
    /// # Errors
    /// If its directory cannot be made.
    pub fn create_bucket(&self, name: &str) -> S3Result<bool> {
        let mut buckets = self.buckets();
        if buckets.contains_key(name) {
            return Ok(false);
        }
        let bucket = match &self.home {
            None => Bucket::new(),
            Some(home) => {
                let dir = home.join(name);
                std::fs::create_dir(&dir).map_err(|error| disk::failed(&error))?;
                Bucket::kept_in(dir)
            }
        };
        buckets.insert(name.to_owned(), bucket);
        Ok(true)
    }

    /// Removes a bucket that is empty.
    ///
    /// # Errors
    /// `NoSuchBucket`, `BucketNotEmpty`, or if its directory cannot be removed.
    pub fn remove_bucket(&self, name: &str) -> S3Result<()> {
        let home = self.with(name, |bucket| match bucket.objects.is_empty() {
            true => Ok(bucket.home.clone()),
            false => Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty")),
        })?;
        if let Some(dir) = home {
            std::fs::remove_dir(dir).map_err(|error| disk::failed(&error))?;
        }
        self.buckets().remove(name);
        Ok(())
    }
}

impl Bucket {
    /// An empty one, in memory.
    #[must_use]
    pub fn new() -> Self {
        Self {
            created: SystemTime::now(),
            objects: BTreeMap::new(),
            uploads: HashMap::new(),
            home: None,
        }
    }

    /// An empty one that keeps what it is given in a directory of its own.
    #[must_use]
    pub fn kept_in(dir: PathBuf) -> Self {
        Self { home: Some(dir), ..Self::new() }
    }

    /// Stores an object.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&mut self, key: &str, object: Arc<Object>) -> S3Result<()> {
        if let Some(dir) = &self.home {
            disk::save(dir, key, &object)?;
        }
        self.objects.insert(key.to_owned(), object);
        Ok(())
    }

    /// Removes an object; it may be gone.
    ///
    /// # Errors
    /// If its file cannot be removed.
    pub fn remove(&mut self, key: &str) -> S3Result<()> {
        if let Some(dir) = &self.home {
            disk::remove(dir, key)?;
        }
        self.objects.remove(key);
        Ok(())
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// An object written now.
    #[must_use]
    pub fn new(blob: Blob, properties: Properties, tags: Vec<(String, String)>) -> Self {
        let etag = hex(&blob.md5);
        Self { blob, etag, modified: SystemTime::now(), properties, tags }
    }
}

impl Blob {
    /// Reads a request's body to its end.
    ///
    /// # Errors
    /// `IncompleteBody` if it breaks off or is not as long as announced; `BadDigest` if its signed
    /// hash does not fit.
    pub async fn read(body: Option<StreamingBlob>, announced: Option<i64>) -> S3Result<Self> {
        let mut blob = Self { chunks: Vec::new(), size: 0, md5: [0; 16] };
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
        blob.md5 = md5.finalize().into();
        Ok(blob)
    }

    /// Bytes that are there already.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        let md5 = Md5::digest(&bytes).into();
        Self { size: bytes.len() as u64, chunks: vec![bytes], md5 }
    }

    /// Several blobs as one.
    #[must_use]
    pub fn concat(parts: Vec<Self>) -> Self {
        let mut md5 = Md5::new();
        let mut whole = Self { chunks: Vec::new(), size: 0, md5: [0; 16] };
        for part in parts {
            part.chunks.iter().for_each(|c| md5.update(c));
            whole.size += part.size;
            whole.chunks.extend(part.chunks);
        }
        whole.md5 = md5.finalize().into();
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
        let blob = Blob { chunks, size: 6, md5: [0; 16] };
        let text = |range| String::from_utf8(blob.slice(range).concat()).unwrap();
        assert_eq!(text(0..6), "abcdef");
        assert_eq!(text(1..4), "bcd");
        assert_eq!(text(5..6), "f");
        assert_eq!(text(3..3), "");
    }
}
