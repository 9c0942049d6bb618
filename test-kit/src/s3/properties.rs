//! The properties of objects in requests and in answers.

use super::object::{Blob, Object};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};
use std::sync::Arc;

/// S3 leaves the type of an object stored without one at this.
pub(super) const UNTYPED: &str = "binary/octet-stream";

/// The properties that three of S3's requests carry in fields of the same names.
macro_rules! properties {
    ($input:expr) => {
        $crate::s3::object::Properties {
            content_type: $input.content_type.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_language: $input.content_language.clone(),
            cache_control: $input.cache_control.clone(),
            expires: $input.expires.clone(),
            redirect: $input.website_redirect_location.clone(),
            metadata: $input.metadata.clone().unwrap_or_default(),
            lock: $crate::s3::lock::Lock::asked(
                $input.object_lock_mode.as_ref().map(|mode| mode.as_str()),
                $input.object_lock_retain_until_date.as_ref(),
            ),
        }
    };
}

/// Fills the fields in which two of S3's answers describe an object.
macro_rules! describe {
    ($answer:ident, $object:expr) => {{
        let $crate::s3::object::Object { etag, modified, properties, .. } = $object;
        $answer {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: properties.cache_control.clone(),
            content_disposition: properties.content_disposition.clone(),
            content_encoding: properties.content_encoding.clone(),
            content_language: properties.content_language.clone(),
            content_type: Some(
                properties
                    .content_type
                    .clone()
                    .unwrap_or($crate::s3::properties::UNTYPED.to_owned()),
            ),
            e_tag: Some(ETag::Strong(etag.clone())),
            expires: properties.expires.clone(),
            last_modified: Some((*modified).into()),
            metadata: Some(properties.metadata.clone()),
            object_lock_mode: properties.lock.as_ref().map(|lock| lock.mode.clone().into()),
            object_lock_retain_until_date: properties.lock.as_ref().map(|lock| lock.until.clone()),
            website_redirect_location: properties.redirect.clone(),
            ..Default::default()
        }
    }};
}

pub(super) use {describe, properties};

/// S3 counts bytes in signed numbers.
pub(super) fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The tags of an `x-amz-tagging` header.
pub(super) fn tags_of(header: Option<&str>) -> Vec<(String, String)> {
    url::form_urlencoded::parse(header.unwrap_or_default().as_bytes())
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect()
}

pub(super) fn check_md5(blob: &Blob, expected: Option<&str>) -> S3Result<()> {
    match expected {
        Some(md5) if md5 != STANDARD.encode(blob.md5()) => Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received"
        )),
        _ => Ok(()),
    }
}

/// Compares the SHA-256 of the header, base64.
pub(super) fn check_sha256(blob: &Blob, expected: Option<&str>) -> S3Result<()> {
    match expected {
        Some(sha256) if sha256 != STANDARD.encode(blob.sha256()) => Err(s3_error!(
            BadDigest,
            "The SHA256 you specified did not match the calculated checksum"
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_conditions(
    there: Option<&Arc<Object>>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let fits = |condition: &ETagCondition| match (condition, there) {
        (ETagCondition::Any, there) => there.is_some(),
        (ETagCondition::ETag(tag), Some(there)) => tag.value() == there.etag,
        (ETagCondition::ETag(_), None) => false,
    };
    if if_match.is_some_and(|c| !fits(c)) || if_none_match.is_some_and(fits) {
        return Err(s3_error!(PreconditionFailed, "At least one precondition did not hold"));
    }
    Ok(())
}
