//! Multipart uploads.

use super::lock::{Locks, check_asked};
use super::object::{Blob, Object, hex};
use super::properties::{check_md5, check_sha256, properties, tags_of};
use super::store::{Bucket, Store, Upload};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{S3Result, s3_error};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Every part but the last has at least this many bytes.
const SMALLEST_PART: u64 = 5 * 1024 * 1024;
const LAST_PART_NUMBER: i32 = 10_000;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn upload<'a>(bucket: &'a mut Bucket, id: &str, key: &str) -> S3Result<&'a mut Upload> {
    let upload = bucket.uploads.get_mut(id).filter(|u| u.key == key);
    upload.ok_or_else(|| s3_error!(NoSuchUpload, "The specified multipart upload does not exist"))
}

pub(super) fn create(
    store: &Store,
    input: &CreateMultipartUploadInput,
    locks: Locks,
) -> S3Result<CreateMultipartUploadOutput> {
    let id = format!("upload-{}", NEXT_ID.fetch_add(1, Ordering::Relaxed));
    let mut upload = Upload {
        key: input.key.clone(),
        begun: SystemTime::now(),
        properties: properties!(input),
        tags: tags_of(input.tagging.as_deref()),
        keeps_sha256: input.checksum_algorithm.as_ref().is_some_and(|a| a.as_str() == "SHA256"),
        parts: BTreeMap::new(),
    };
    // The parts have checksums of their own.
    check_asked(upload.properties.lock.as_ref(), locks, true)?;
    if locks == Locks::OfWholeUploads {
        upload.properties.lock = None;
    }
    store.with(&input.bucket, |bucket| {
        bucket.uploads.insert(id.clone(), upload);
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(id),
            ..Default::default()
        })
    })
}

pub(super) fn add(
    store: &Store,
    input: &UploadPartInput,
    blob: Blob,
) -> S3Result<UploadPartOutput> {
    check_md5(&blob, input.content_md5.as_deref())?;
    check_sha256(&blob, input.checksum_sha256.as_deref())?;
    if !(1..=LAST_PART_NUMBER).contains(&input.part_number) {
        return Err(s3_error!(InvalidArgument, "part numbers go from 1 to {LAST_PART_NUMBER}"));
    }
    let e_tag = Some(ETag::Strong(hex(&blob.md5())));
    store.with(&input.bucket, |bucket| {
        let upload = upload(bucket, &input.upload_id, &input.key)?;
        upload.parts.insert(input.part_number, (blob, SystemTime::now()));
        Ok(UploadPartOutput { e_tag, ..Default::default() })
    })
}

/// The parts that the client names, in its order, as S3 checks them.
fn chosen(upload: &Upload, named: &[CompletedPart]) -> S3Result<Vec<Blob>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "no parts are named"));
    }
    if !named.windows(2).all(|w| w[0].part_number < w[1].part_number) {
        return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order"));
    }
    let part = |part: &CompletedPart| {
        let there = part.part_number.and_then(|n| upload.parts.get(&n)).map(|(blob, _)| blob);
        let fits = |blob: &&Blob| {
            let sha256 = || STANDARD.encode(blob.sha256());
            part.e_tag.as_ref().is_none_or(|t| t.value() == hex(&blob.md5()))
                && (!upload.keeps_sha256 || part.checksum_sha256 == Some(sha256()))
        };
        there
            .filter(fits)
            .cloned()
            .ok_or_else(|| s3_error!(InvalidPart, "a part could not be found"))
    };
    let blobs = named.iter().map(part).collect::<S3Result<Vec<_>>>()?;
    if blobs[..blobs.len() - 1].iter().any(|b| b.size < SMALLEST_PART) {
        return Err(s3_error!(EntityTooSmall, "a part before the last is smaller than 5 MiB"));
    }
    Ok(blobs)
}

pub(super) fn complete(
    store: &Store,
    input: &CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let named = input.multipart_upload.clone().and_then(|m| m.parts).unwrap_or_default();
    store.with(&input.bucket, |bucket| {
        let blobs = chosen(upload(bucket, &input.upload_id, &input.key)?, &named)?;
        let mut of_parts = Md5::new();
        blobs.iter().for_each(|b| of_parts.update(b.md5()));
        let etag = format!("{}-{}", hex(&of_parts.finalize()), blobs.len());
        let Some(done) = bucket.uploads.remove(&input.upload_id) else {
            return Err(s3_error!(NoSuchUpload));
        };
        let sha256 = done.keeps_sha256.then(|| {
            let mut sha256 = Sha256::new();
            blobs.iter().for_each(|b| sha256.update(b.sha256()));
            format!("{}-{}", STANDARD.encode(sha256.finalize()), blobs.len())
        });
        let (whole, etag_of) = (Blob::concat(blobs), etag.clone());
        let object = Object::with_etag(whole, etag_of, done.properties, done.tags);
        bucket.put(&done.key, Arc::new(Object { sha256, ..object }))?;
        Ok(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            e_tag: Some(ETag::Strong(etag)),
            ..Default::default()
        })
    })
}

pub(super) fn abort(
    store: &Store,
    input: &AbortMultipartUploadInput,
) -> S3Result<AbortMultipartUploadOutput> {
    store.with(&input.bucket, |bucket| {
        upload(bucket, &input.upload_id, &input.key)?;
        bucket.uploads.remove(&input.upload_id);
        Ok(AbortMultipartUploadOutput::default())
    })
}

pub(super) fn parts(store: &Store, input: &ListPartsInput) -> S3Result<ListPartsOutput> {
    let after = input.part_number_marker.unwrap_or(0);
    let max = input.max_parts.and_then(|n| usize::try_from(n).ok()).unwrap_or(1000).min(1000);
    store.with(&input.bucket, |bucket| {
        let upload = upload(bucket, &input.upload_id, &input.key)?;
        let part = |(number, (blob, modified)): (&i32, &(Blob, SystemTime))| Part {
            part_number: Some(*number),
            e_tag: Some(ETag::Strong(hex(&blob.md5()))),
            size: i64::try_from(blob.size).ok(),
            last_modified: Some((*modified).into()),
            ..Default::default()
        };
        let rest = || upload.parts.range(after + 1..);
        let parts: Vec<Part> = rest().take(max).map(part).collect();
        let is_truncated = rest().count() > parts.len();
        Ok(ListPartsOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(input.upload_id.clone()),
            part_number_marker: Some(after),
            next_part_number_marker: parts
                .last()
                .and_then(|p| p.part_number)
                .filter(|_| is_truncated),
            max_parts: i32::try_from(max).ok(),
            is_truncated: Some(is_truncated),
            checksum_algorithm: upload
                .keeps_sha256
                .then(|| ChecksumAlgorithm::from_static(ChecksumAlgorithm::SHA256)),
            parts: Some(parts),
            ..Default::default()
        })
    })
}

/// All unfinished uploads of a bucket on one page: there are never many here.
pub(super) fn uploads(
    store: &Store,
    input: &ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let prefix = input.prefix.as_deref().unwrap_or_default();
    store.with(&input.bucket, |bucket| {
        let mut uploads: Vec<MultipartUpload> = bucket
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(prefix))
            .map(|(id, upload)| MultipartUpload {
                key: Some(upload.key.clone()),
                upload_id: Some(id.clone()),
                initiated: Some(upload.begun.into()),
                ..Default::default()
            })
            .collect();
        uploads.sort_by(|a, b| (&a.key, &a.upload_id).cmp(&(&b.key, &b.upload_id)));
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket.clone()),
            prefix: Some(prefix.to_owned()),
            is_truncated: Some(false),
            uploads: Some(uploads),
            ..Default::default()
        })
    })
}
