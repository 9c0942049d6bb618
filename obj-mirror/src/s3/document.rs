//! The body of a response with status 200, read as XML. There is no other way from such a body to its elements, so
//! that no operation takes an error, or the page of a proxy, for an empty answer.

use crate::object::key::printable;
use crate::s3::error_response::answered_late;
use crate::s3::fault::{Answer, StoreError};
use crate::s3::xml;
use http::HeaderMap;

/// The most characters of an unexpected root element that are shown.
const LONGEST_NAME: usize = 60;

/// A document whose root element is the one that the operation answers with.
pub struct Document {
    text: String,
    /// Whether bytes that are not UTF-8 were replaced.
    is_replaced: bool,
}

impl Document {
    /// The document in a body, if its root element has this name, in any namespace.
    ///
    /// # Errors
    /// If it is another one. An error is what it would be with status 500: a server may begin its response with 200,
    /// to keep the connection open, and fail afterwards. Anything else is a transient error.
    pub fn of(headers: &HeaderMap, body: Vec<u8>, root: &str) -> Answer<Self> {
        let (text, is_replaced) = match String::from_utf8(body) {
            Ok(text) => (text, false),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
        };
        match xml::root(&text).as_deref() {
            Some(found) if found == root => Ok(Self { text, is_replaced }),
            Some("Error" | "ErrorResponse") => Err(answered_late(headers, text.as_bytes())),
            Some(found) => {
                let found: String = found.chars().take(LONGEST_NAME).collect();
                Err(unexpected(&format!("a document <{}>", printable(&found)), root))
            }
            None if text.trim().is_empty() => Err(unexpected("an empty body", root)),
            None => Err(unexpected("a body that is not XML", root)),
        }
    }

    /// Visits each element as it ends: the path of names from the root to it, and its text. A document that is cut
    /// short, or is not UTF-8, is a transient error.
    pub fn read(&self, visit: impl FnMut(&[String], &str)) -> Answer<()> {
        if self.is_replaced {
            return Err(xml::unreadable("it is not UTF-8"));
        }
        xml::read(&self.text, visit)
    }

    /// The same of a document that may have bytes that are not UTF-8, each replaced by U+FFFD. Returns whether there
    /// were any.
    pub fn read_replaced(&self, visit: impl FnMut(&[String], &str)) -> Answer<bool> {
        xml::read(&self.text, visit).map(|()| self.is_replaced)
    }

    /// The text of the last element of a name, at any depth.
    pub fn find(&self, name: &str) -> Answer<Option<String>> {
        let mut found = None;
        self.read(|path, text| {
            if path.last().is_some_and(|last| last == name) {
                found = Some(text.to_owned());
            }
        })?;
        Ok(found)
    }

    #[cfg(test)]
    pub fn sample(root: &str, content: &[u8]) -> Self {
        let (start, end) = (format!("<{root}>"), format!("</{root}>"));
        let body = [start.as_bytes(), content, end.as_bytes()].concat();
        Self::of(&HeaderMap::new(), body, root).unwrap()
    }
}

/// Refuses the body of an operation that answers with none, if it is an error.
pub fn require_no_error(headers: &HeaderMap, body: &[u8]) -> Answer<()> {
    match xml::root(&String::from_utf8_lossy(body)).as_deref() {
        Some("Error" | "ErrorResponse") => Err(answered_late(headers, body)),
        _ => Ok(()),
    }
}

fn unexpected(what: &str, root: &str) -> StoreError {
    StoreError::transient(format!("the server answered 200 with {what} instead of <{root}>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::fault::Kind;

    fn of(body: &str) -> Answer<Document> {
        Document::of(&HeaderMap::new(), body.into(), "ListBucketResult")
    }

    #[test]
    fn a_document_is_known_by_its_root_element() {
        let accepted = [
            "<ListBucketResult/>",
            "\u{feff}<ListBucketResult></ListBucketResult>",
            " \n<?xml version=\"1.0\"?>\n<!-- x -->\n<ListBucketResult xmlns=\"x\"/>\n",
            "<s3:ListBucketResult xmlns:s3=\"y\"></s3:ListBucketResult>",
        ];
        for body in accepted {
            assert!(of(body).unwrap().read(|_, _| {}).is_ok(), "{body}");
        }
        let refused = [
            ("", "an empty body"),
            (" \n", "an empty body"),
            ("<?xml version=\"1.0\"?>\n", "a body that is not XML"),
            ("Welcome", "a body that is not XML"),
            ("Welcome <ListBucketResult/>", "a body that is not XML"),
            ("{\"ListBucketResult\": 1}", "a body that is not XML"),
            ("<!DOCTYPE html><html><body><br></body></html>", "a document <html>"),
            ("<R><ListBucketResult/></R>", "a document <R>"),
            ("<listbucketresult/>", "a document <listbucketresult>"),
        ];
        for (body, what) in refused {
            let error = of(body).err().unwrap();
            let expected =
                format!("the server answered 200 with {what} instead of <ListBucketResult>");
            assert_eq!((error.kind, error.message), (Kind::Transient, expected), "{body}");
        }
    }

    #[test]
    fn an_error_with_status_200_is_the_error_that_it_is_with_500() {
        let error = |code: &str| {
            let text = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
            assert!(require_no_error(&HeaderMap::new(), text.as_bytes()).is_err());
            of(&text).err().unwrap()
        };
        assert_eq!(error("InternalError").message, "the server answered 200 InternalError m");
        assert_eq!(error("InternalError").kind, Kind::Transient);
        assert_eq!(error("AccessDenied").kind, Kind::Transient);
        assert_eq!(error("SlowDown").kind, Kind::Busy);
        assert_eq!(error("NoSuchBucket").kind, Kind::NoBucket);
        for fine in ["", "<CreateBucketResponse/>", "x"] {
            assert!(require_no_error(&HeaderMap::new(), fine.as_bytes()).is_ok(), "{fine}");
        }
    }

    #[test]
    fn a_document_with_anything_after_its_root_is_not_read() {
        for more in ["<Error/>", "<ListBucketResult></ListBucketResult>", "x", "&lt;"] {
            let body = format!("<ListBucketResult></ListBucketResult>{more}");
            assert!(of(&body).unwrap().read(|_, _| {}).is_err(), "{more}");
        }
    }
}
