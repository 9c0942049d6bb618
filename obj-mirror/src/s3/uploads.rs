//! Multipart uploads that an earlier run has left, and their parts.

use crate::s3::document::Document;
use crate::s3::etag::bare;
use crate::s3::fault::{Answer, StoreError};
use crate::s3::parts::Upload;
use crate::s3::store::{S3Request, Store};
use std::collections::BTreeMap;

/// The most pages that are read of a listing: 10,000 parts are on ten.
const MOST_PAGES: usize = 32;

/// The root element of a listing of uploads.
const UPLOADS: &str = "ListMultipartUploadsResult";
/// The root element of a listing of parts.
const PARTS: &str = "ListPartsResult";

/// A part that the server has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPart {
    pub size: u64,
    /// Without quotes.
    pub etag: String,
}

/// An upload that the server has, and when it began, as the server wrote it.
#[derive(Debug, Default, PartialEq, Eq)]
struct ListedUpload {
    key: String,
    id: String,
    initiated: String,
}

impl Store {
    /// The uploads of exactly this key that are not completed, the newest first.
    pub async fn unfinished(&self, key: &str) -> Answer<Vec<Upload>> {
        let mut found = Vec::new();
        let (mut key_marker, mut id_marker) = (String::new(), String::new());
        for _ in 0..MOST_PAGES {
            let mut query = vec![("uploads", ""), ("prefix", key)];
            if !key_marker.is_empty() {
                query.push(("key-marker", &key_marker));
                query.push(("upload-id-marker", &id_marker));
            }
            let request = S3Request { method: "GET", query: &query, ..S3Request::default() };
            let page = self.document(request, UPLOADS).await?;
            found.extend(read_uploads(&page)?.into_iter().filter(|upload| upload.key == key));
            let next_key = next(&page, "NextKeyMarker")?;
            (key_marker, id_marker) = match next_key.zip(next(&page, "NextUploadIdMarker")?) {
                // Keys that only begin with this one come after it.
                Some((next_key, next_id)) if next_key == key => (next_key, next_id),
                _ => break,
            };
        }
        found.sort_by(|a, b| b.initiated.cmp(&a.initiated));
        let upload =
            |upload: ListedUpload| Upload { key: upload.key, id: upload.id, keeps_sha256: false };
        Ok(found.into_iter().map(upload).collect())
    }

    /// The parts of an upload by number. Notes in `upload` whether it keeps their SHA-256.
    pub async fn parts_of(&self, upload: &mut Upload) -> Answer<BTreeMap<u32, ListedPart>> {
        let mut parts = BTreeMap::new();
        let mut marker = String::new();
        for _ in 0..MOST_PAGES {
            let mut query = vec![("uploadId", upload.id.as_str())];
            if !marker.is_empty() {
                query.push(("part-number-marker", &marker));
            }
            let key = Some(upload.key.as_str());
            let request = S3Request { method: "GET", key, query: &query, ..S3Request::default() };
            let page = self.document(request, PARTS).await?;
            let algorithm = page.find("ChecksumAlgorithm")?;
            upload.keeps_sha256 |= algorithm.is_some_and(|name| name == "SHA256");
            parts.extend(read_parts(&page)?);
            match next(&page, "NextPartNumberMarker")? {
                Some(next) if next != marker => marker = next,
                _ => break,
            }
        }
        Ok(parts)
    }
}

/// Where the next page begins, if there is one. An answer that does not tell is the last page: what is not found is
/// only uploaded again.
fn next(page: &Document, marker: &str) -> Answer<Option<String>> {
    let is_truncated = page.find("IsTruncated")?.is_some_and(|text| text.trim() == "true");
    Ok(page.find(marker)?.filter(|_| is_truncated))
}

fn read_uploads(page: &Document) -> Answer<Vec<ListedUpload>> {
    let (mut uploads, mut one) = (Vec::new(), ListedUpload::default());
    page.read(|path, text| match path {
        [_, upload, name] if upload == "Upload" => match name.as_str() {
            "Key" => one.key = text.to_owned(),
            "UploadId" => one.id = text.to_owned(),
            "Initiated" => one.initiated = text.to_owned(),
            _ => {}
        },
        [_, upload] if upload == "Upload" => uploads.push(std::mem::take(&mut one)),
        _ => {}
    })?;
    Ok(uploads)
}

fn read_parts(page: &Document) -> Answer<Vec<(u32, ListedPart)>> {
    let (mut parts, mut number, mut one) = (Vec::new(), None, ListedPart::default());
    page.read(|path, text| match path {
        [_, part, name] if part == "Part" => match name.as_str() {
            "PartNumber" => number = text.trim().parse().ok(),
            "Size" => one.size = text.trim().parse().unwrap_or_default(),
            "ETag" => one.etag = bare(text.trim()),
            _ => {}
        },
        [_, part] if part == "Part" => parts.push((number.take(), std::mem::take(&mut one))),
        _ => {}
    })?;
    let numbered = |(number, part): (Option<u32>, ListedPart)| Some((number?, part));
    let unnumbered = || StoreError::transient("unreadable response: a part has no number");
    parts.into_iter().map(|part| numbered(part).ok_or_else(unnumbered)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_and_parts_are_read_from_their_listings() {
        let uploads = b"<IsTruncated>false</IsTruncated><Upload><Key>a&amp;b</Key>\
            <UploadId>1</UploadId><Owner><ID>x</ID></Owner><Initiated>2026</Initiated></Upload>";
        let expected = ListedUpload { key: "a&b".into(), id: "1".into(), initiated: "2026".into() };
        assert_eq!(read_uploads(&Document::sample(UPLOADS, uploads)).unwrap(), [expected]);
        let parts = b"<Part><PartNumber>2</PartNumber><ETag>\"ab\"</ETag><Size>5</Size></Part>\
            <Part><ETag>cd</ETag><PartNumber>3</PartNumber><Size>6</Size></Part>";
        let part = |size, etag: &str| ListedPart { size, etag: etag.into() };
        let read = |parts: &[u8]| read_parts(&Document::sample(PARTS, parts));
        assert_eq!(read(parts).unwrap(), [(2, part(5, "ab")), (3, part(6, "cd"))]);
        assert!(read(b"<Part><ETag>cd</ETag></Part>").is_err());
        assert!(read(b"<Part>").is_err());
    }
}
