//! What a store keeps in a directory, so that it is there again after the server is.
//!
//! A directory a bucket, a file an object: a line of JSON with its key and its headers, then
//! its bytes. A file is named by a hash, for a key may be no path. Uploads that are not complete, locks
//! and SHA-256s are not kept.

use super::object::{Blob, Object, Properties, hex};
use anyhow::{Context, Result};
use bytes::Bytes;
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[derive(Serialize, Deserialize)]
struct Head {
    key: String,
    etag: String,
    /// Milliseconds since 1970, UTC.
    modified: u64,
    headers: [Option<String>; 7],
    metadata: HashMap<String, String>,
    tags: Vec<(String, String)>,
}

const EXPIRES: TimestampFormat = TimestampFormat::HttpDate;

fn head(key: &str, object: &Object) -> Head {
    let Properties { metadata, .. } = &object.properties;
    let p = object.properties.clone();
    let expires = p.expires.and_then(|time| {
        let mut text = Vec::new();
        time.format(EXPIRES, &mut text).ok()?;
        String::from_utf8(text).ok()
    });
    let since = object.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Head {
        key: key.to_owned(),
        etag: object.etag.clone(),
        modified: u64::try_from(since.as_millis()).unwrap_or_default(),
        headers: [
            p.content_type,
            p.content_encoding,
            p.content_disposition,
            p.content_language,
            p.cache_control,
            expires,
            p.redirect,
        ],
        metadata: metadata.clone(),
        tags: object.tags.clone(),
    }
}

fn object(head: Head, body: Bytes) -> (String, Object) {
    let [kind, encoding, disposition, language, cache, expires, redirect] = head.headers;
    let properties = Properties {
        content_type: kind,
        content_encoding: encoding,
        content_disposition: disposition,
        content_language: language,
        cache_control: cache,
        expires: expires.and_then(|text| Timestamp::parse(EXPIRES, &text).ok()),
        redirect,
        metadata: head.metadata,
        lock: None,
    };
    let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(head.modified);
    let blob = Blob::of(body);
    (
        head.key,
        Object { blob, etag: head.etag, modified, properties, tags: head.tags, sha256: None },
    )
}

fn place(bucket: &Path, key: &str) -> PathBuf {
    bucket.join(hex(&Sha256::digest(key)))
}

/// Writes an object into a bucket's directory; it is there whole or not at all.
pub(super) fn save(bucket: &Path, key: &str, object: &Object) -> S3Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(bucket)?;
        serde_json::to_writer(&mut file, &head(key, object))?;
        file.write_all(b"\n")?;
        for piece in object.blob.slice(0..object.blob.size) {
            file.write_all(&piece)?;
        }
        file.persist(place(bucket, key))?;
        Ok(())
    };
    write().map_err(|error| failed(&error))
}

/// Removes an object from a bucket's directory; it may be gone.
pub(super) fn remove(bucket: &Path, key: &str) -> S3Result<()> {
    match fs::remove_file(place(bucket, key)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&error)),
        _ => Ok(()),
    }
}

/// What an operation answers that the disk refuses.
pub(super) fn failed(error: &std::io::Error) -> S3Error {
    s3_error!(InternalError, "the storage's disk: {error}")
}

/// The objects of one bucket, by key.
pub(super) type Objects = BTreeMap<String, Arc<Object>>;

/// The buckets in a directory, each its own directory, with all that they hold.
///
/// # Errors
/// If something in it cannot be read, or is none of ours.
pub(super) fn load(root: &Path) -> Result<Vec<(PathBuf, Objects)>> {
    let mut buckets = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("reading {}", root.display()))? {
        let path = entry.context("a bucket")?.path();
        let mut objects = Objects::new();
        for entry in fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))? {
            let path = entry.context("an object")?.path();
            // Begun, and never persisted.
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
                continue;
            }
            let (key, object) = read(&path).with_context(|| format!("{}", path.display()))?;
            objects.insert(key, Arc::new(object));
        }
        buckets.push((path, objects));
    }
    Ok(buckets)
}

fn read(path: &Path) -> Result<(String, Object)> {
    let bytes = Bytes::from(fs::read(path)?);
    let end = bytes.iter().position(|byte| *byte == b'\n').context("it has no head")?;
    Ok(object(serde_json::from_slice(&bytes[..end]).context("its head")?, bytes.slice(end + 1..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::store::Store;

    #[test]
    fn what_was_stored_is_there_again_and_what_was_deleted_is_not() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let properties = Properties {
            content_type: Some("text/plain".into()),
            expires: Timestamp::parse(EXPIRES, "Wed, 21 Oct 2026 07:28:00 GMT").ok(),
            metadata: [("by".to_owned(), "Ü".to_owned())].into(),
            ..Properties::default()
        };
        let tags = vec![("kind".to_owned(), "x".to_owned())];
        let blob = Blob::of(Bytes::from_static(b"a\nb\0"));
        let stored = Arc::new(Object::new(blob, properties, tags));
        let store = Store::open(dir.path())?;
        store.create_bucket("documents").unwrap();
        for key in ["../a//b", "gone"] {
            store.with("documents", |bucket| bucket.put(key, stored.clone())).unwrap();
        }
        store.with("documents", |bucket| bucket.remove("gone")).unwrap();
        store.create_bucket("empty").unwrap();
        store.create_bucket("dropped").unwrap();
        store.remove_bucket("dropped").unwrap();

        let again = Store::open(dir.path())?;
        assert_eq!(again.buckets().keys().collect::<Vec<_>>(), ["documents", "empty"]);
        assert!(again.object("documents", "gone").is_err());
        let object = again.object("documents", "../a//b").unwrap();
        let report = |object: &Object| serde_json::to_string(&head("", object)).unwrap();
        assert_eq!(report(&object), report(&stored));
        assert_eq!(object.blob.slice(0..4).concat(), b"a\nb\0");
        assert_eq!(object.blob.md5(), stored.blob.md5());
        Ok(())
    }
}
