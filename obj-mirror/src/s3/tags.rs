//! The tags of an object.

use crate::object::attributes::Tags;
use crate::s3::document::Document;
use crate::s3::fault::Answer;
use crate::s3::store::{S3Request, Store, value};
use crate::s3::xml;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use md5::{Digest, Md5};

/// The root element of an object's tags.
const ROOT: &str = "Tagging";

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
        let document = self.document(request, ROOT).await?;
        Ok(read(&document)?.into_iter().collect())
    }

    /// Sets an object's tags; without any, removes those that it has.
    ///
    /// # Errors
    /// [`crate::s3::fault::Kind::Unsupported`] if the server does not support tags.
    pub async fn set_tags(&self, key: &str, tags: &Tags) -> Answer<()> {
        let query = [("tagging", "")];
        if tags.is_empty() {
            let request = S3Request {
                method: "DELETE",
                key: Some(key),
                query: &query,
                ..S3Request::default()
            };
            return self.done(request, &[200, 204]).await;
        }
        let mut body =
            "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>".to_owned();
        for (key, value) in tags {
            let (key, value) = (xml::escape(key), xml::escape(value));
            body += &format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
        }
        body += "</TagSet></Tagging>";
        let mut headers = HeaderMap::new();
        headers.insert("content-md5", value(&STANDARD.encode(Md5::digest(&body)))?);
        let request = S3Request {
            method: "PUT",
            key: Some(key),
            query: &query,
            headers,
            body: body.into(),
            ..S3Request::default()
        };
        self.done(request, &[200, 204]).await
    }
}

fn read(document: &Document) -> Answer<Vec<(String, String)>> {
    let (mut tags, mut key, mut value) = (Vec::new(), String::new(), String::new());
    document.read(|path, text| match path {
        [.., above, own] if above == "Tag" && own == "Key" => text.clone_into(&mut key),
        [.., above, own] if above == "Tag" && own == "Value" => text.clone_into(&mut value),
        [.., own] if own == "Tag" => {
            tags.push((std::mem::take(&mut key), std::mem::take(&mut value)));
        }
        _ => {}
    })?;
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::xml::escape;

    #[test]
    fn tags_are_read_as_they_were_written() {
        let tags_of = |text: &str| {
            let content = format!("\n <TagSet>\n{text}</TagSet>");
            read(&Document::sample(ROOT, content.as_bytes())).unwrap()
        };
        for (key, value) in [("a", " b "), ("<&>\"'", ""), ("ü", "x\r\ny"), ("k", "&amp;")] {
            let text =
                format!("<Tag><Key>{}</Key>\n<Value>{}</Value></Tag>", escape(key), escape(value));
            assert_eq!(tags_of(&text), [(key.to_owned(), value.to_owned())]);
        }
        assert_eq!(tags_of("<Tag><Key>k</Key><Value/></Tag>"), [("k".into(), String::new())]);
        assert!(tags_of("").is_empty());
    }
}
