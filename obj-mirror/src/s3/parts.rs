//! Multipart uploads.

use crate::s3::etag::bare;
use crate::s3::fault::Answer;
use crate::s3::fault::StoreError;
use crate::s3::headers::text;
use crate::s3::store::{
    CONTENT_MD5, ObjectAttributes, S3Request, Store, Sums, attribute_headers, value,
};
use crate::s3::xml;
use bytes::Bytes;
use http::HeaderMap;

/// A finished part of a multipart upload.
#[derive(Clone, Debug)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// As the server returned it, without quotes.
    pub etag: String,
}

impl Store {
    /// Starts an upload and returns its id.
    pub async fn begin_parts(&self, key: &str, attributes: ObjectAttributes<'_>) -> Answer<String> {
        let headers = attribute_headers(attributes)?;
        let query = [("uploads", "")];
        let request = S3Request {
            method: "POST",
            key: Some(key),
            query: &query,
            headers,
            ..S3Request::default()
        };
        let body = self.expect(request, &[200]).await?.bytes().await?;
        let none = || StoreError::transient("unreadable response: it has no upload ID");
        xml::find(&body, "UploadId").ok_or_else(none)
    }

    /// Uploads one part, numbered from 1, with its checksums.
    ///
    /// # Errors
    /// [`Kind::Garbled`](crate::s3::fault::Kind::Garbled) if the server received other bytes.
    pub async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        content: Bytes,
        sums: Sums<'_>,
    ) -> Answer<Part> {
        let digits = number.to_string();
        let query = [("partNumber", digits.as_str()), ("uploadId", upload)];
        let headers = HeaderMap::from_iter([(CONTENT_MD5, value(sums.md5)?)]);
        let request = S3Request {
            method: "PUT",
            key: Some(key),
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
        Ok(Part { number, etag: etag.ok_or_else(none)? })
    }

    /// Assembles the object from its parts.
    ///
    /// # Errors
    /// [`Kind::NoKey`](crate::s3::fault::Kind::NoKey) if the upload does not exist, or no longer.
    pub async fn finish_parts(&self, key: &str, upload: &str, parts: &[Part]) -> Answer<()> {
        let mut body =
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                .to_owned();
        for Part { number, etag } in parts {
            let etag = xml::escape(etag);
            body +=
                &format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>");
        }
        body += "</CompleteMultipartUpload>";
        let query = [("uploadId", upload)];
        // A server may copy gigabytes before it answers.
        let request = S3Request {
            method: "POST",
            key: Some(key),
            query: &query,
            body: body.into(),
            timeout_factor: 10,
            ..S3Request::default()
        };
        let mut response = self.expect(request, &[200]).await?;
        let body = response.bytes().await?;
        // A server may begin its response with 200, to keep the connection open, and fail afterwards.
        match xml::find(&body, "Code") {
            Some(_) => Err(crate::s3::error_response::answered(500, &response.headers, &body)),
            None => Ok(()),
        }
    }

    /// Aborts an upload and discards its parts.
    pub async fn abort_parts(&self, key: &str, upload: &str) -> Answer<()> {
        let query = [("uploadId", upload)];
        let request =
            S3Request { method: "DELETE", key: Some(key), query: &query, ..S3Request::default() };
        self.expect(request, &[200, 204]).await?.bytes().await.map(drop)
    }
}
