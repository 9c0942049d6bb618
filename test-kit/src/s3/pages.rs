//! The answers to both ways of asking for a listing.

use super::listing::{self, PAGE, Query};
use super::object::Object;
use super::properties::signed;
use super::store::Store;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, ObjectStorageClass,
};
use s3s::{S3Result, s3_error};
use std::sync::Arc;

fn entries(
    objects: &[(&str, &Arc<Object>)],
    name: &dyn Fn(&str) -> String,
) -> Vec<s3s::dto::Object> {
    let entry = |(key, object): &(&str, &Arc<Object>)| s3s::dto::Object {
        key: Some(name(key)),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(object.modified.into()),
        size: Some(signed(object.blob.size)),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Default::default()
    };
    objects.iter().map(entry).collect()
}

fn folded(prefixes: &[&str], name: &dyn Fn(&str) -> String) -> Vec<CommonPrefix> {
    prefixes.iter().map(|p| CommonPrefix { prefix: Some(name(p)) }).collect()
}

/// How names are written in an answer: as they are, or as `encoding-type=url` asks.
fn naming(encoding: Option<&EncodingType>) -> fn(&str) -> String {
    if encoding.is_some_and(|e| e.as_str() == EncodingType::URL) {
        listing::url_encode
    } else {
        str::to_owned
    }
}

fn wanted(max_keys: Option<i32>) -> S3Result<usize> {
    let max = max_keys.map_or(Ok(PAGE), usize::try_from);
    max.map_err(|_| s3_error!(InvalidArgument, "max-keys is negative"))
}

fn decode_token(token: &str) -> S3Result<String> {
    let bytes = STANDARD.decode(token).ok();
    bytes
        .and_then(|b| String::from_utf8(b).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

/// The answer to `ListObjects`.
pub(super) fn v1(store: &Store, input: &ListObjectsInput) -> S3Result<ListObjectsOutput> {
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: input.marker.as_deref().unwrap_or_default(),
        max: wanted(input.max_keys)?,
    };
    let name = naming(input.encoding_type.as_ref());
    store.with(&input.bucket, |bucket| {
        let page = listing::page(&bucket.objects, query);
        Ok(ListObjectsOutput {
            name: Some(input.bucket.clone()),
            prefix: Some(name(query.prefix)),
            delimiter: input.delimiter.as_deref().map(name),
            marker: Some(name(query.after)),
            max_keys: i32::try_from(query.max).ok(),
            is_truncated: Some(page.next.is_some()),
            // S3 gives it only with a delimiter; without one the last key is the marker.
            next_marker: page.next.filter(|_| !query.delimiter.is_empty()).map(name),
            contents: Some(entries(&page.objects, &name)),
            common_prefixes: Some(folded(&page.prefixes, &name)),
            encoding_type: input.encoding_type.clone(),
            ..Default::default()
        })
    })
}

/// The answer to `ListObjectsV2`.
pub(super) fn v2(store: &Store, input: &ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let token = input.continuation_token.as_deref().map(decode_token).transpose()?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: token.as_deref().or(input.start_after.as_deref()).unwrap_or_default(),
        max: wanted(input.max_keys)?,
    };
    let name = naming(input.encoding_type.as_ref());
    store.with(&input.bucket, |bucket| {
        let page = listing::page(&bucket.objects, query);
        Ok(ListObjectsV2Output {
            name: Some(input.bucket.clone()),
            prefix: Some(name(query.prefix)),
            delimiter: input.delimiter.as_deref().map(name),
            start_after: input.start_after.as_deref().map(name),
            max_keys: i32::try_from(query.max.min(PAGE)).ok(),
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            continuation_token: input.continuation_token.clone(),
            next_continuation_token: page.next.map(|key| STANDARD.encode(key)),
            contents: Some(entries(&page.objects, &name)),
            common_prefixes: Some(folded(&page.prefixes, &name)),
            encoding_type: input.encoding_type.clone(),
            ..Default::default()
        })
    })
}
