//! A page of a listing.

use crate::object::whole_millis;
use crate::s3::document::Document;
use crate::s3::encode::url_decode;
use crate::s3::etag::bare;
use crate::s3::fault::StoreError;
use crate::s3::listed::{Listed, UNKNOWN_TIME};
use chrono::{DateTime, Utc};

/// The root element of a listing.
pub const ROOT: &str = "ListBucketResult";
const NOT_UTF8: &str = "its key is not UTF-8, which S3 requires";

/// A page of a listing.
#[derive(Debug, Default)]
pub struct Page {
    pub objects: Vec<Listed>,
    /// The keys, as the server wrote them, of objects that cannot be requested, and why.
    pub unreadable: Vec<(String, &'static str)>,
    /// The continuation token, if there is another page.
    pub next: Option<String>,
}

/// Parses a page. An entry that cannot be read costs no other object. A page that does not tell whether it is the
/// last one is none.
pub fn read(document: &Document) -> Result<Page, StoreError> {
    let (mut page, mut truncated, mut encoded) = (Page::default(), None, false);
    let (mut key, mut size, mut etag, mut modified) =
        (String::new(), None, String::new(), String::new());
    let mut raw = Vec::new();
    // A server that does not encode keys may have some that are not UTF-8.
    let has_replaced = document.read_replaced(|path, text| match path {
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
            raw.push((key, size.take(), etag, modified));
        }
        [_, name] => match name.as_str() {
            "IsTruncated" => truncated = is_true(text.trim()),
            "EncodingType" => encoded = text.trim() == "url",
            "NextContinuationToken" => page.next = Some(text.to_owned()),
            _ => {}
        },
        _ => {}
    })?;
    let truncated = truncated.ok_or_else(|| {
        StoreError::transient(
            "unreadable response: the listing does not show whether it is complete",
        )
    })?;
    if truncated && page.next.is_none() {
        return Err(StoreError::permanent(
            "the listing is truncated but has no continuation token",
        ));
    }
    page.next = page.next.filter(|_| truncated);
    for (key, size, etag, modified) in raw {
        if has_replaced && key.contains('\u{fffd}') {
            page.unreadable.push((key, NOT_UTF8));
            continue;
        }
        let Some(size) = size else {
            page.unreadable.push((key, "the listing does not give its size"));
            continue;
        };
        match if encoded { url_decode(&key).ok_or(key) } else { Ok(key) } {
            Ok(key) => page.objects.push(Listed { key, size, etag, modified }),
            Err(key) => page.unreadable.push((key, NOT_UTF8)),
        }
    }
    Ok(page)
}

fn is_true(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_to_its_last_object_or_not_at_all() {
        let object = "<Contents><Key>a+b%2Fc</Key><LastModified>2026-04-21T02:00:00.1239Z</LastModified>\
                      <ETag>&quot;e&quot;</ETag><Size>5</Size><Owner><ID>Key</ID></Owner></Contents>";
        let page =
            |inner: &str| read(&Document::sample(ROOT, format!("{inner}{object}").as_bytes()));
        let last = "<IsTruncated>false</IsTruncated>";
        let read =
            page("<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>").unwrap();
        assert_eq!((read.objects[0].key.as_str(), read.objects[0].size), ("a b/c", 5));
        assert_eq!(read.objects[0].etag, "e");
        assert_eq!(read.objects[0].modified.timestamp_subsec_millis(), 123);
        assert_eq!(page(last).unwrap().objects[0].key, "a+b%2Fc");
        assert!(page("<IsTruncated>true</IsTruncated>").is_err());
        for end in ["", "<IsTruncated/>", "<IsTruncated>maybe</IsTruncated>"] {
            assert!(page(end).unwrap_err().is_transient(), "{end}");
        }
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
            let last = "<IsTruncated>false</IsTruncated>";
            let mut text = format!("{last}{}", entries.concat()).into_bytes();
            // Stands for a byte that is not UTF-8.
            text.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xe9);
            super::read(&Document::sample(ROOT, &text)).unwrap()
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
