//! The listing of a bucket that is pushed to: read as a whole before anything changes, in bounded memory.

use crate::external_sort::{Record, Sorted, Sorter};
use crate::object::Failure;
use crate::s3::listed::Listed;
use crate::s3::remote::{Listing, Remote};
use anyhow::{Context, Result};
use chrono::DateTime;

/// The listing of a bucket.
#[derive(Default)]
pub struct BucketListing {
    objects: Sorter,
    /// Keys that no request can name.
    pub failures: Vec<Failure>,
}

impl BucketListing {
    /// Reads all pages, starting with one that was requested already.
    pub async fn read(remote: &Remote, first: (Listing, Option<String>)) -> Result<Self> {
        let mut all = Self::default();
        remote
            .pages(first, async |page| {
                all.failures.extend(page.failures);
                page.objects.iter().try_for_each(|object| all.add(object))
            })
            .await?;
        Ok(all)
    }

    fn add(&mut self, object: &Listed) -> Result<()> {
        let mut value = object.size.to_le_bytes().to_vec();
        value.extend_from_slice(&object.modified.timestamp_millis().to_le_bytes());
        value.extend_from_slice(object.etag.as_bytes());
        self.objects.push(object.key.as_bytes(), &value)
    }

    /// Whether it has no objects.
    pub fn is_empty(&self) -> bool {
        self.objects.len() == 0
    }

    /// The objects in byte order of their keys, whatever the server's order; each key once.
    pub fn into_objects(self) -> Result<Objects> {
        Ok(Objects { records: self.objects.finish()?, last: None })
    }
}

/// The objects of a listing.
pub struct Objects {
    records: Sorted,
    last: Option<String>,
}

impl Iterator for Objects {
    type Item = Result<Listed>;

    fn next(&mut self) -> Option<Result<Listed>> {
        loop {
            let object = self.records.next()?.and_then(|record| {
                listed(record).context("reading a temporary file: unexpected content")
            });
            let Ok(object) = object else { return Some(object) };
            // An object that is written while its bucket is listed can be on two pages.
            if self.last.as_ref() != Some(&object.key) {
                self.last = Some(object.key.clone());
                return Some(Ok(object));
            }
        }
    }
}

fn listed(Record { key, value }: Record) -> Option<Listed> {
    let (size, rest) = value.split_first_chunk()?;
    let (modified, etag) = rest.split_first_chunk()?;
    Some(Listed {
        key: String::from_utf8(key).ok()?,
        size: u64::from_le_bytes(*size),
        etag: String::from_utf8(etag.to_vec()).ok()?,
        modified: DateTime::from_timestamp_millis(i64::from_le_bytes(*modified))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::listed::UNKNOWN_TIME;

    #[test]
    fn a_listing_in_any_order_is_read_back_sorted_and_each_key_once() {
        let odd = Listed { etag: String::new(), modified: UNKNOWN_TIME, ..Listed::sample("\n") };
        let first = Listed { size: u64::MAX, ..Listed::sample("b") };
        let later = DateTime::from_timestamp_millis(1_234_567_890_123).unwrap();
        let last = Listed { modified: later, ..Listed::sample("\u{1f600}") };
        let second = Listed::sample("\u{ff5e}");
        let mut listing = BucketListing::default();
        assert!(listing.is_empty());
        for object in [&last, &first, &Listed::sample("b"), &second, &odd] {
            listing.add(object).unwrap();
        }
        let objects: Vec<_> = listing.into_objects().unwrap().map(Result::unwrap).collect();
        assert_eq!(objects, [odd, first, second, last]);
    }
}
