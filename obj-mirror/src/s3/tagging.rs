//! Object tags, which not every server supports.

use crate::object::attributes::Tags;
use crate::s3::encode::query;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::retry::retrying;
use crate::s3::store::Store;
use pipe_kit::warning;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The longest tag header, bytes; servers limit all headers of a request to 8 KiB.
const LONGEST_HEADER: usize = 2048;
/// The number of objects without a tag count whose tags are requested all the same: only an object with
/// tags shows whether the server counts them.
const PROBES: u32 = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TagPolicy {
    /// For objects whose response reports a number of tags; for all objects if the server turns
    /// out to report none. Into a bucket: for objects that have tags in the index
    #[default]
    Auto,
    /// For all objects, unchanged ones too: tags can change while time and ETag stay the same
    Always,
    /// For no object
    Never,
}

/// What the run has learned about the server's tags.
#[derive(Debug, Default)]
pub struct Tagging {
    wanted: TagPolicy,
    unsupported: AtomicBool,
    /// Whether the server stores tags that are sent with an object, once this is known.
    kept: Mutex<Option<bool>>,
    counted: AtomicBool,
    uncounted: AtomicBool,
    probed: AtomicU32,
}

impl Tagging {
    pub fn new(wanted: TagPolicy) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Records that the server does not support tags, with one warning.
    pub fn note_unsupported(&self, error: &StoreError) {
        if !self.unsupported.swap(true, Ordering::Relaxed) {
            warning!(
                "the server does not support object tags ({error}); objects are mirrored without them"
            );
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<bool>> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether the tags can be sent in the object's own request.
    pub fn fits_header(&self, tags: &Tags) -> bool {
        let pairs: Vec<_> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        !self.unsupported.load(Ordering::Relaxed)
            && *self.known() != Some(false)
            && query(&pairs).len() <= LONGEST_HEADER
    }

    /// Ensures that an uploaded object has its tags. `in_header`: whether they were in its request: the
    /// first time, the stored tags are read back.
    pub async fn ensure(
        &self,
        store: &Store,
        key: &str,
        tags: &Tags,
        in_header: bool,
    ) -> Result<(), StoreError> {
        if self.unsupported.load(Ordering::Relaxed) {
            return Ok(());
        }
        if in_header {
            let known = *self.known();
            let kept = match known {
                Some(kept) => kept,
                None => match retrying(|_| store.tags(key)).await {
                    Ok(there) => *self.known().insert(there == *tags),
                    Err(error) if error.kind == Kind::Unsupported => {
                        self.note_unsupported(&error);
                        return Ok(());
                    }
                    // The keys may set tags and not read them.
                    Err(error) if error.kind == Kind::Denied => *self.known().insert(true),
                    Err(error) => return Err(error),
                },
            };
            if kept {
                return Ok(());
            }
        }
        match retrying(|_| store.set_tags(key, tags)).await {
            Err(error) if error.kind == Kind::Unsupported => {
                self.note_unsupported(&error);
                Ok(())
            }
            other => other,
        }
    }

    /// Whether an object in the bucket has these tags.
    pub async fn has_tags(
        &self,
        store: &Store,
        key: &str,
        tags: &Tags,
        count: Option<u32>,
    ) -> Result<bool, StoreError> {
        let may_have = count.is_some_and(|n| n > 0) || !tags.is_empty();
        if self.wanted == TagPolicy::Never || (!may_have && self.wanted != TagPolicy::Always) {
            return Ok(true);
        }
        match self.request(store, key).await? {
            None => Ok(true),
            Some(there) => Ok(there == *tags),
        }
    }

    /// An object's tags; none if the server does not support tags.
    async fn request(&self, store: &Store, key: &str) -> Result<Option<Tags>, StoreError> {
        if self.unsupported.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match retrying(|_| store.tags(key)).await {
            Ok(tags) => Ok(Some(tags)),
            Err(error) if error.kind == Kind::Unsupported => {
                self.note_unsupported(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether to request the tags of an object whose response gave this tag count.
    fn should_request(&self, count: Option<u32>) -> bool {
        let has_some = count.is_some_and(|n| n > 0);
        if has_some {
            self.counted.store(true, Ordering::Relaxed);
        }
        match self.wanted {
            TagPolicy::Never => false,
            TagPolicy::Always => true,
            TagPolicy::Auto if has_some => true,
            TagPolicy::Auto if self.uncounted.load(Ordering::Relaxed) => true,
            // A server that has counted tags once always counts them.
            TagPolicy::Auto if self.counted.load(Ordering::Relaxed) => false,
            TagPolicy::Auto => self.probed.fetch_add(1, Ordering::Relaxed) < PROBES,
        }
    }

    /// The tags of an unchanged object, if the policy requests them.
    pub async fn of_unchanged(&self, store: &Store, key: &str) -> Result<Option<Tags>, StoreError> {
        match self.wanted {
            TagPolicy::Always => self.request(store, key).await,
            TagPolicy::Auto | TagPolicy::Never => Ok(None),
        }
    }

    /// The tags of a downloaded object; `count` is the tag count of its response.
    pub async fn of(
        &self,
        store: &Store,
        key: &str,
        count: Option<u32>,
    ) -> Result<Tags, StoreError> {
        if !self.should_request(count) {
            return Ok(Tags::new());
        }
        let asked_for = count.is_some_and(|n| n > 0) || self.wanted == TagPolicy::Always;
        match self.request(store, key).await {
            Ok(tags) => {
                let tags = tags.unwrap_or_default();
                if count.is_none_or(|n| n == 0) && !tags.is_empty() {
                    self.uncounted.store(true, Ordering::Relaxed);
                }
                Ok(tags)
            }
            // A mere probe without permission proves nothing.
            Err(error) if error.kind == Kind::Denied && !asked_for => Ok(Tags::new()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_counts_is_asked_only_where_there_are_tags() {
        let auto = Tagging::default();
        assert!((0..PROBES).all(|_| auto.should_request(None)));
        assert!(!auto.should_request(None));
        assert!(auto.should_request(Some(2)));
        assert!(!auto.should_request(Some(0)) && !auto.should_request(None));
        let counting = Tagging::default();
        assert!(counting.should_request(Some(1)) && !counting.should_request(None));
        let silent = Tagging::default();
        silent.uncounted.store(true, Ordering::Relaxed);
        assert!((0..100).all(|_| silent.should_request(None)));
        assert!(!Tagging::new(TagPolicy::Never).should_request(Some(2)));
        assert!((0..100).all(|_| Tagging::new(TagPolicy::Always).should_request(Some(0))));
    }

    #[test]
    fn tags_too_long_for_a_header_are_sent_on_their_own() {
        let tags = |n: usize| Tags::from([("k".to_owned(), "ü".repeat(n))]);
        assert!(Tagging::default().fits_header(&tags(100)));
        assert!(!Tagging::default().fits_header(&tags(400)));
    }
}
