//! The tags of an object.

use crate::object::attributes::Tags;
use crate::s3::fault::Answer;
use crate::s3::store::{S3Request, Store, value};
use crate::s3::xml;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use md5::{Digest, Md5};

impl Store {
    /// Returns an object's tags.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::Unsupported`] if the server does not support tags; [`crate::s3::fault::Kind::NoKey`] if the object does
    /// not exist.
    pub async fn tags(&self, key: &str) -> Answer<Tags> {
        let query = [("tagging", "")];
        let request =
            S3Request { method: "GET", key: Some(key), query: &query, ..S3Request::default() };
        let body = self.expect(request, &[200]).await?.bytes().await?;
        Ok(xml::tags(&body)?.into_iter().collect())
    }

    /// Sets an object's tags.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::Unsupported`] if the server does not support tags.
    pub async fn set_tags(&self, key: &str, tags: &Tags) -> Answer<()> {
        let mut body =
            "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>".to_owned();
        for (key, value) in tags {
            let (key, value) = (xml::escape(key), xml::escape(value));
            body += &format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
        }
        body += "</TagSet></Tagging>";
        let mut headers = HeaderMap::new();
        headers.insert("content-md5", value(&STANDARD.encode(Md5::digest(&body)))?);
        let query = [("tagging", "")];
        let request = S3Request {
            method: "PUT",
            key: Some(key),
            query: &query,
            headers,
            body: body.into(),
            ..S3Request::default()
        };
        self.expect(request, &[200, 204]).await?.bytes().await.map(drop)
    }
}
