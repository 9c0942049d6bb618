//! What an earlier run of `put` for the same key has sent already.

use crate::put::source::SourcePart;
use crate::s3::content::Digests;
use crate::s3::fault::Answer;
use crate::s3::parts::{Part, Upload};
use crate::s3::retry::retrying;
use crate::s3::store::Store;
use crate::s3::tasks::on_disk;
use crate::s3::uploads::ListedPart;
use pipe_kit::info;
use pipe_kit::text::hex;
use std::collections::BTreeMap;

/// An unfinished upload, and its parts by number.
pub struct Earlier {
    pub upload: Upload,
    parts: BTreeMap<u32, ListedPart>,
}

impl Earlier {
    /// The newest unfinished upload of a key that has `first` as its first part: it is of the same content. None if the
    /// keys may not list uploads.
    pub async fn find(store: &Store, key: &str, first: &SourcePart) -> Answer<Option<Self>> {
        let Ok(uploads) = retrying(|_| store.unfinished(key)).await else { return Ok(None) };
        let Some(newest) = uploads.into_iter().next() else { return Ok(None) };
        let listed = retrying(|_| async {
            let mut upload = newest.clone();
            store.parts_of(&mut upload).await.map(|parts| Self { upload, parts })
        });
        let Ok(earlier) = listed.await else { return Ok(None) };
        let content = first.content.clone();
        let digests = on_disk(move || Ok(content.digests()?)).await?;
        if earlier.has(first.number, first.content.len(), &digests).is_some() {
            return Ok(Some(earlier));
        }
        info!(
            "an unfinished upload of other content is left alone; --discard-unfinished aborts it"
        );
        Ok(None)
    }

    /// The part, if the server has it with these bytes.
    pub fn has(&self, number: u32, size: u64, digests: &Digests) -> Option<Part> {
        let listed = self.parts.get(&number)?;
        let is_same = listed.size == size && listed.etag.eq_ignore_ascii_case(&hex(&digests.md5));
        let sha256 = self.upload.keeps_sha256.then(|| digests.sha256_base64());
        is_same.then(|| Part { number, etag: listed.etag.clone(), sha256 })
    }
}

/// Aborts the unfinished uploads of a key.
pub async fn discard_unfinished(store: &Store, key: &str) -> Answer<usize> {
    let uploads = retrying(|_| store.unfinished(key)).await?;
    for upload in &uploads {
        retrying(|_| store.abort_parts(upload)).await?;
    }
    Ok(uploads.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::content::Content;

    #[test]
    fn a_part_is_there_only_with_the_same_bytes() {
        let digests = Content::from("abc".to_owned()).digests().unwrap();
        let listed = ListedPart { size: 3, etag: hex(&digests.md5) };
        let parts = BTreeMap::from([(2, listed)]);
        let upload = Upload { key: "k".into(), id: "1".into(), keeps_sha256: true };
        let earlier = Earlier { upload, parts };
        let part = earlier.has(2, 3, &digests).unwrap();
        assert_eq!((part.number, part.sha256), (2, Some(digests.sha256_base64())));
        let other = Content::from("abd".to_owned()).digests().unwrap();
        assert!(earlier.has(1, 3, &digests).is_none() && earlier.has(2, 4, &digests).is_none());
        assert!(earlier.has(2, 3, &other).is_none());
    }
}
