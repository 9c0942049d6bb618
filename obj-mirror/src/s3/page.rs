//! A page of a listing.

use crate::object::whole_millis;
use crate::s3::encode::url_decode;
use crate::s3::etag::bare;
use crate::s3::fault::StoreError;
use crate::s3::xml;
use chrono::{DateTime, Utc};
use std::borrow::Cow;

const NOT_UTF8: &str = "its key is not UTF-8, which S3 requires";

/// Stands for a time that the server does not give, or not in a readable form.
pub const UNKNOWN_TIME: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// An object as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub size: u64,
    /// Without quotes; empty if the server lists none.
    pub etag: String,
    /// UTC, milliseconds; or [`UNKNOWN_TIME`].
    pub modified: DateTime<Utc>,
}

#[cfg(test)]
impl Listed {
    pub fn sample(key: &str) -> Self {
        let modified = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1);
        Self { key: key.into(), size: 1, etag: "0".repeat(32), modified }
    }
}

/// A page of a listing.
#[derive(Debug, Default)]
pub struct Page {
    pub objects: Vec<Listed>,
    /// The keys, as the server wrote them, of objects that cannot be requested, and why.
    pub unreadable: Vec<(String, &'static str)>,
    /// The continuation token, if there is another page.
    pub next: Option<String>,
}

/// Parses a page. An entry that cannot be read costs no other object.
pub fn read(body: &[u8]) -> Result<Page, StoreError> {
    // A server that does not encode keys may have some that are not UTF-8.
    let text = String::from_utf8_lossy(body);
    let is_replaced = |key: &str| matches!(text, Cow::Owned(_)) && key.contains('\u{fffd}');
    let (mut page, mut truncated, mut encoded) = (Page::default(), false, false);
    let (mut key, mut size, mut etag, mut modified) =
        (String::new(), None, String::new(), String::new());
    let mut raw = Vec::new();
    xml::read(text.as_bytes(), |path, text| match path {
        [_, contents, name] if contents == "Contents" => match name.as_str() {
            "Key" => text.clone_into(&mut key),
            "Size" => size = text.trim().parse::<u64>().ok(),
            "ETag" => etag = bare(text),
            "LastModified" => text.clone_into(&mut modified),
            _ => {}
        },
        [_, contents] if contents == "Contents" => {
            let key = std::mem::take(&mut key);
            let time = std::mem::take(&mut modified).trim().parse::<DateTime<Utc>>();
            let modified = time.map_or(UNKNOWN_TIME, whole_millis);
            let etag = std::mem::take(&mut etag);
            match size.take() {
                _ if is_replaced(&key) => page.unreadable.push((key, NOT_UTF8)),
                Some(size) => raw.push(Listed { key, size, etag, modified }),
                None => page.unreadable.push((key, "the listing does not give its size")),
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
    if truncated && page.next.is_none() {
        return Err(StoreError::permanent(
            "the listing is truncated but has no continuation token",
        ));
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
            None => page.unreadable.push((object.key, NOT_UTF8)),
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
    }

    #[test]
    fn an_odd_entry_costs_no_other_object() {
        let entry = |key: &str, rest: &str| format!("<Contents><Key>{key}</Key>{rest}</Contents>");
        let (time, size) = ("<LastModified>2026-04-21T02:00:00Z</LastModified>", "<Size>1</Size>");
        let whole = format!("{time}{size}");
        let read = |entries: &[String]| {
            let mut text = format!("<R>{}</R>", entries.concat()).into_bytes();
            // Stands for a byte that is not UTF-8.
            text.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xe9);
            super::read(&text).unwrap()
        };
        let odd = ["", time, "<Size>many</Size>"];
        for rest in odd {
            let page = read(&[entry("odd", rest), entry("fine", &whole)]);
            assert_eq!(page.unreadable, [("odd".to_owned(), "the listing does not give its size")]);
            assert_eq!(page.objects.len(), 1, "{rest}");
        }
        let page = read(&[entry("caf~", &whole), entry("fine", &whole)]);
        assert_eq!(page.unreadable, [("caf\u{fffd}".to_owned(), NOT_UTF8)]);
        assert_eq!((page.objects.len(), page.objects[0].key.as_str()), (1, "fine"));
        let never = format!("<LastModified>never</LastModified>{size}");
        let page = read(&[entry("odd", &never), entry("none", size), entry("fine", &whole)]);
        let times: Vec<_> = page.objects.iter().map(|o| o.modified == UNKNOWN_TIME).collect();
        assert_eq!(times, [true, true, false]);
        assert!(page.objects.iter().all(|o| o.etag.is_empty()));
    }
}
