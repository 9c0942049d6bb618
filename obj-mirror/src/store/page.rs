//! A page of a listing.

use super::xml;
use crate::fault::StoreError;
use crate::headers::bare;
use crate::key::url_decode;
use crate::tree::whole_millis;
use chrono::{DateTime, Utc};

/// An object as a listing tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// UTC, milliseconds.
    pub modified: DateTime<Utc>,
}

#[cfg(test)]
impl Listed {
    /// For tests: of one byte.
    pub fn sample(key: &str) -> Self {
        let modified = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1);
        Self { key: key.into(), size: 1, etag: "0".repeat(32), modified }
    }
}

/// A page of a listing.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects on it.
    pub objects: Vec<Listed>,
    /// Keys that are no UTF-8, as the server wrote them.
    pub unreadable: Vec<String>,
    /// What asks for the next page, if there is one.
    pub next: Option<String>,
}

/// Reads a page.
///
/// # Errors
/// If it is not whole, or an object on it has no size or time.
pub fn read(body: &[u8]) -> Result<Page, StoreError> {
    let (mut page, mut truncated, mut encoded) = (Page::default(), false, false);
    let (mut key, mut size, mut etag, mut modified) =
        (String::new(), None, String::new(), String::new());
    let mut raw = Vec::new();
    let mut wrong = None;
    xml::read(body, |path, text| match path {
        [_, contents, name] if contents == "Contents" => match name.as_str() {
            "Key" => text.clone_into(&mut key),
            "Size" => size = text.trim().parse::<u64>().ok(),
            "ETag" => etag = bare(text),
            "LastModified" => text.clone_into(&mut modified),
            _ => {}
        },
        [_, contents] if contents == "Contents" => {
            let key = std::mem::take(&mut key);
            match (size.take(), modified.parse::<DateTime<Utc>>()) {
                (Some(size), Ok(time)) => {
                    let (etag, modified) = (std::mem::take(&mut etag), whole_millis(time));
                    raw.push(Listed { key, size, etag, modified });
                }
                _ => wrong = Some(key),
            }
        }
        [_, name] => match name.as_str() {
            "IsTruncated" => truncated = text.trim() == "true",
            "EncodingType" => encoded = text.trim() == "url",
            "NextContinuationToken" => page.next = Some(text.to_owned()),
            _ => {}
        },
        _ => {}
    })?;
    if let Some(key) = wrong {
        let key = crate::key::printable(&key);
        return Err(StoreError::permanent(format!("the listing has no size or time of {key}")));
    }
    if truncated && page.next.is_none() {
        return Err(StoreError::permanent("a page of the listing does not say how to go on"));
    }
    page.next = page.next.filter(|_| truncated);
    for mut object in raw {
        if !encoded {
            page.objects.push(object);
            continue;
        }
        match url_decode(&object.key) {
            Some(key) => {
                object.key = key;
                page.objects.push(object);
            }
            None => page.unreadable.push(object.key),
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_to_its_last_object_or_not_at_all() {
        let object = "<Contents><Key>a+b%2Fc</Key><LastModified>2026-04-21T02:00:00.1239Z</LastModified>\
                      <ETag>&quot;e&quot;</ETag><Size>5</Size><Owner><ID>Key</ID></Owner></Contents>";
        let page =
            |inner: &str| read(format!("<?xml version=\"1.0\"?><R>{inner}{object}</R>").as_bytes());
        let read =
            page("<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>").unwrap();
        assert_eq!((read.objects[0].key.as_str(), read.objects[0].size), ("a b/c", 5));
        assert_eq!(read.objects[0].etag, "e");
        assert_eq!(read.objects[0].modified.timestamp_subsec_millis(), 123);
        assert_eq!(page("").unwrap().objects[0].key, "a+b%2Fc");
        assert!(page("<IsTruncated>true</IsTruncated>").is_err());
        let more =
            "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
        assert_eq!(page(more).unwrap().next.as_deref(), Some("t"));
        assert!(page("<Contents><Key>b</Key></Contents>").is_err());
    }
}
