//! Deleting objects.

use crate::s3::error_response::answered;
use crate::s3::fault::Answer;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::store::{S3Request, Store, value};
use crate::s3::xml;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use md5::{Digest, Md5};

/// The most keys that one request can delete.
pub const DELETED_AT_ONCE: usize = 1000;
impl Store {
    /// Deletes an object. A missing object counts as deleted.
    pub async fn delete(&self, key: &str) -> Answer<()> {
        let request = S3Request { method: "DELETE", key: Some(key), ..S3Request::default() };
        match self.done(request, &[200, 204]).await {
            Err(error) if error.kind == Kind::NoKey => Ok(()),
            done => done,
        }
    }

    /// Deletes up to [`DELETED_AT_ONCE`] objects whose keys XML can carry. Returns the keys that were not
    /// deleted, with the server's reason for each.
    pub async fn delete_many(&self, keys: &[String]) -> Answer<Vec<(String, StoreError)>> {
        let mut body =
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"
                .to_owned();
        for key in keys {
            body += &format!("<Object><Key>{}</Key></Object>", xml::escape(key));
        }
        body += "</Delete>";
        let mut headers = HeaderMap::new();
        headers.insert("content-md5", value(&STANDARD.encode(Md5::digest(&body)))?);
        headers.insert("content-type", HeaderValue::from_static("application/xml"));
        let query = [("delete", "")];
        let request = S3Request {
            method: "POST",
            query: &query,
            headers,
            body: body.into(),
            timeout_factor: 5,
            ..S3Request::default()
        };
        let answer = self.document(request, "DeleteResult").await?;
        let none = HeaderMap::new();
        let mut failed = Vec::new();
        let (mut key, mut code, mut message) = Default::default();
        answer.read(|path, text| match path {
            [_, error, name] if error == "Error" => match name.as_str() {
                "Key" => key = text.to_owned(),
                "Code" => code = text.to_owned(),
                "Message" => message = text.to_owned(),
                _ => {}
            },
            [_, error] if error == "Error" => {
                let body = format!(
                    "<Error><Code>{}</Code><Message>{}</Message></Error>",
                    xml::escape(&std::mem::take(&mut code)),
                    xml::escape(&std::mem::take(&mut message))
                );
                let error = answered(200, &none, body.as_bytes());
                failed.push((std::mem::take(&mut key), error));
            }
            _ => {}
        })?;
        Ok(failed)
    }
}
