//! Objects that are written in parts.

use crate::s3::etag::bare;
use crate::s3::fault::Answer;
use crate::s3::fault::StoreError;
use crate::s3::headers::text;
use crate::s3::store::{Ask, CONTENT_MD5, Said, Store, Sums, said_headers, value};
use crate::s3::xml;
use bytes::Bytes;
use http::HeaderMap;

/// A finished part of a multipart upload.
#[derive(Clone, Debug)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// As the server told it, without quotes.
    pub etag: String,
}

impl Store {
    /// Starts writing an object in parts, and gives the upload's id.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn begin_parts(&self, key: &str, said: Said<'_>) -> Answer<String> {
        let headers = said_headers(said)?;
        let query = [("uploads", "")];
        let ask = Ask { method: "POST", key: Some(key), query: &query, headers, ..Ask::default() };
        let body = self.expect(ask, &[200]).await?.bytes().await?;
        let none = || StoreError::transient("unreadable response: it has no upload ID");
        xml::find(&body, "UploadId").ok_or_else(none)
    }

    /// Writes one part (numbered from 1). The request carries its checksums.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::Garbled`] if other bytes arrived; if it was not written.
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
        let ask = Ask {
            method: "PUT",
            key: Some(key),
            query: &query,
            headers,
            body: content,
            sha256: Some(sums.sha256),
            ..Ask::default()
        };
        let mut response = self.expect(ask, &[200]).await?;
        let etag = text(&response.headers, "etag").map(|etag| bare(&etag));
        response.bytes().await?;
        let none = || StoreError::transient("the server stored a part without returning its ETag");
        Ok(Part { number, etag: etag.ok_or_else(none)? })
    }

    /// Makes the object out of its parts.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::NoKey`] if the upload is not there (any more).
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
        // A server may put gigabytes together before it answers.
        let ask = Ask {
            method: "POST",
            key: Some(key),
            query: &query,
            body: body.into(),
            patience: 10,
            ..Ask::default()
        };
        let mut response = self.expect(ask, &[200]).await?;
        let body = response.bytes().await?;
        // It may begin its answer with 200, to keep the connection, and fail afterwards.
        match xml::find(&body, "Code") {
            Some(_) => Err(crate::s3::error_response::answered(500, &response.headers, &body)),
            None => Ok(()),
        }
    }

    /// Gives up an upload and what was sent of it.
    ///
    /// # Errors
    /// If the server does not say that it is gone.
    pub async fn abort_parts(&self, key: &str, upload: &str) -> Answer<()> {
        let query = [("uploadId", upload)];
        let ask = Ask { method: "DELETE", key: Some(key), query: &query, ..Ask::default() };
        self.expect(ask, &[200, 204]).await?.bytes().await.map(drop)
    }
}
