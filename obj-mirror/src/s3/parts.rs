//! Multipart uploads.

use crate::s3::content::Content;
use crate::s3::etag::bare;
use crate::s3::fault::{Answer, Kind, StoreError};
use crate::s3::headers::text;
use crate::s3::retry::retrying;
use crate::s3::store::{
    CONTENT_MD5, ObjectAttributes, S3Request, Store, Sums, attribute_headers, value,
};
use crate::s3::xml;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest, Md5};
use pipe_kit::text::hex;

/// The header, of an object or a part, that the server compares and keeps.
pub const CHECKSUM_SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
/// The header with which an upload keeps the SHA-256 of its parts.
pub const SHA256_KEPT: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-amz-checksum-algorithm"), HeaderValue::from_static("SHA256"));

/// A multipart upload that is not completed.
#[derive(Clone, Debug)]
pub struct Upload {
    pub key: String,
    pub id: String,
    /// Whether the server keeps the SHA-256 of each part.
    pub keeps_sha256: bool,
}

/// A finished part of a multipart upload.
#[derive(Clone, Debug)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// As the server returned it, without quotes.
    pub etag: String,
    /// Base64, if the upload keeps it.
    pub sha256: Option<String>,
}

impl Store {
    /// Starts an upload. With [`SHA256_KEPT`] among the headers, the server keeps each part's SHA-256.
    pub async fn begin_parts(&self, key: &str, attributes: ObjectAttributes<'_>) -> Answer<Upload> {
        let headers = attribute_headers(attributes)?;
        let keeps_sha256 = headers.contains_key(&SHA256_KEPT.0);
        let query = [("uploads", "")];
        let request = S3Request {
            method: "POST",
            key: Some(key),
            query: &query,
            headers,
            ..S3Request::default()
        };
        let begun = self.document(request, "InitiateMultipartUploadResult").await?;
        let none = || StoreError::transient("unreadable response: it has no upload ID");
        let id = begun.find("UploadId")?.ok_or_else(none)?;
        Ok(Upload { key: key.to_owned(), id, keeps_sha256 })
    }

    /// Uploads one part, numbered from 1, with its checksums.
    ///
    /// # Errors
    /// [`Kind::Garbled`] if the server received other bytes.
    pub async fn put_part(
        &self,
        upload: &Upload,
        number: u32,
        content: Content,
        sums: Sums<'_>,
    ) -> Answer<Part> {
        let digits = number.to_string();
        let query = [("partNumber", digits.as_str()), ("uploadId", &upload.id)];
        let mut headers = HeaderMap::from_iter([(CONTENT_MD5, value(sums.md5)?)]);
        let sha256 = upload.keeps_sha256.then(|| sha256_base64(sums.sha256));
        if let Some(sha256) = &sha256 {
            headers.insert(CHECKSUM_SHA256, value(sha256)?);
        }
        let request = S3Request {
            method: "PUT",
            key: Some(&upload.key),
            query: &query,
            headers,
            body: content,
            sha256: Some(sums.sha256),
            ..S3Request::default()
        };
        let mut response = self.expect(request, &[200]).await?;
        let etag = text(&response.headers, "etag").map(|etag| bare(&etag));
        response.bytes().await?;
        let none = || StoreError::transient("the server stored a part without returning its ETag");
        Ok(Part { number, etag: etag.ok_or_else(none)?, sha256 })
    }

    /// Assembles the object from its parts.
    ///
    /// # Errors
    /// [`Kind::NoKey`] if the upload does not exist, or no longer.
    async fn finish_parts(&self, upload: &Upload, parts: &[Part]) -> Answer<()> {
        let mut body =
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                .to_owned();
        for Part { number, etag, sha256 } in parts {
            let etag = xml::escape(etag);
            let sha256 = sha256
                .as_ref()
                .map(|sha256| format!("<ChecksumSHA256>{}</ChecksumSHA256>", xml::escape(sha256)));
            body += &format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag>{}</Part>",
                sha256.unwrap_or_default()
            );
        }
        body += "</CompleteMultipartUpload>";
        let query = [("uploadId", upload.id.as_str())];
        // A server may copy gigabytes before it answers.
        let request = S3Request {
            method: "POST",
            key: Some(&upload.key),
            query: &query,
            body: body.into(),
            timeout_factor: 10,
            ..S3Request::default()
        };
        self.document(request, "CompleteMultipartUploadResult").await?.read(|_, _| {})
    }

    /// Assembles the object from its parts, sorted by number, with retries. If the response to an earlier attempt was
    /// lost, the upload may be gone because it succeeded: then the object is checked.
    ///
    /// # Errors
    /// [`Kind::NoKey`] if the upload does not exist. A transient error leaves open whether the object was stored.
    pub async fn complete_parts(&self, upload: &Upload, parts: &[Part]) -> Answer<()> {
        retrying(|failures| async move {
            match self.finish_parts(upload, parts).await {
                Err(error) if error.kind == Kind::NoKey && failures > 0 => {
                    let head = self.head(&upload.key).await?;
                    let is_it = etag_of_parts(parts).is_some_and(|etag| etag == head.etag);
                    if is_it { Ok(()) } else { Err(error) }
                }
                result => result,
            }
        })
        .await
    }

    /// Aborts an upload and discards its parts.
    pub async fn abort_parts(&self, upload: &Upload) -> Answer<()> {
        let query = [("uploadId", upload.id.as_str())];
        let request = S3Request {
            method: "DELETE",
            key: Some(&upload.key),
            query: &query,
            ..S3Request::default()
        };
        self.done(request, &[200, 204]).await
    }
}

fn sha256_base64(hex: &str) -> String {
    let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16);
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).filter_map(|at| digit(at).ok()).collect();
    STANDARD.encode(bytes)
}

/// The ETag of an object with these parts, if theirs are MD5s.
pub fn etag_of_parts(parts: &[Part]) -> Option<String> {
    let mut sums = Md5::new();
    for part in parts.iter().map(|part| part.etag.as_bytes()) {
        if part.len() != 32 {
            return None;
        }
        for pair in part.chunks(2) {
            sums.update([u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?]);
        }
    }
    Some(format!("{}-{}", hex(&sums.finalize()), parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_etag_of_parts_is_known_only_from_md5s() {
        let part = |etag: &str| Part { number: 1, etag: etag.into(), sha256: None };
        let sum = "d41d8cd98f00b204e9800998ecf8427e";
        let of_one = etag_of_parts(&[part(sum)]).unwrap();
        assert_eq!(of_one, "59adb24ef3cdbe0297f05b395827453f-1");
        assert_eq!(etag_of_parts(&[part(sum), part("opaque")]), None);
    }

    #[test]
    fn a_checksum_is_sent_in_base64() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_base64(empty), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
