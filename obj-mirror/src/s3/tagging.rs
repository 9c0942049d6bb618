//! Tags, which not every server has.

use crate::object::attributes::Tags;
use crate::s3::encode::query;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::retry::retrying;
use crate::s3::store::Store;
use pipe_kit::warning;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The longest header that tags go along in, bytes; servers bound all headers of a request at 8 KiB.
const LONGEST_HEADER: usize = 2048;
/// So many objects that are said to have no tags are asked for theirs all the same: whether a server
/// that has tags counts them shows only where there are some.
const PROBES: u32 = 16;

/// When objects are asked for their tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// For objects whose response counts tags; for all objects once the server proves not to count them
    #[default]
    Auto,
    /// For all objects, unchanged ones too: tags can change while time and ETag stay the same
    Always,
    /// For no object
    Never,
}

/// What is known of a server's tags.
#[derive(Debug, Default)]
pub struct Tagging {
    wanted: Wanted,
    unsupported: AtomicBool,
    /// Whether tags sent along with an object were seen to be kept, or seen not to be.
    kept: Mutex<Option<bool>>,
    counted: AtomicBool,
    uncounted: AtomicBool,
    probed: AtomicU32,
}

impl Tagging {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Notes that the server has no tags, and says so once.
    pub fn is_unsupported(&self, error: &StoreError) {
        if !self.unsupported.swap(true, Ordering::Relaxed) {
            warning!(
                "the server does not support object tags ({error}); objects are mirrored without them"
            );
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<bool>> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether tags are to be sent in an object's own request.
    #[must_use]
    pub fn can_go_along(&self, tags: &Tags) -> bool {
        let pairs: Vec<_> = tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        !self.unsupported.load(Ordering::Relaxed)
            && *self.known() != Some(false)
            && query(&pairs).len() <= LONGEST_HEADER
    }

    /// Makes sure that an object that has just been sent has its tags. `along` says whether they were in
    /// its request: the first time, whether the server has taken them is looked at.
    ///
    /// # Errors
    /// If it cannot be told, or they cannot be set.
    pub async fn make_sure(
        &self,
        store: &Store,
        key: &str,
        tags: &Tags,
        along: bool,
    ) -> Result<(), StoreError> {
        if self.unsupported.load(Ordering::Relaxed) {
            return Ok(());
        }
        if along {
            let known = *self.known();
            let kept = match known {
                Some(kept) => kept,
                None => match retrying(|_| store.tags(key)).await {
                    Ok(there) => *self.known().insert(there == *tags),
                    Err(error) if error.kind == Kind::Unsupported => {
                        self.is_unsupported(&error);
                        return Ok(());
                    }
                    // May be set, and not be read.
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
                self.is_unsupported(&error);
                Ok(())
            }
            other => other,
        }
    }

    /// Whether an object in the bucket has the tags that it should have.
    ///
    /// # Errors
    /// If it cannot be told.
    pub async fn are_there(
        &self,
        store: &Store,
        key: &str,
        tags: &Tags,
        count: Option<u32>,
    ) -> Result<bool, StoreError> {
        let may_have = count.is_some_and(|n| n > 0) || !tags.is_empty();
        if self.wanted == Wanted::Never || (!may_have && self.wanted != Wanted::Always) {
            return Ok(true);
        }
        match self.ask(store, key).await? {
            None => Ok(true),
            Some(there) => Ok(there == *tags),
        }
    }

    /// An object's tags; nothing where the server has none, or they may not be read.
    async fn ask(&self, store: &Store, key: &str) -> Result<Option<Tags>, StoreError> {
        if self.unsupported.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match retrying(|_| store.tags(key)).await {
            Ok(tags) => Ok(Some(tags)),
            Err(error) if error.kind == Kind::Unsupported => {
                self.is_unsupported(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether an object whose answer counted so many tags is to be asked for them.
    fn is_worth_asking(&self, count: Option<u32>) -> bool {
        let has_some = count.is_some_and(|n| n > 0);
        if has_some {
            self.counted.store(true, Ordering::Relaxed);
        }
        match self.wanted {
            Wanted::Never => false,
            Wanted::Always => true,
            Wanted::Auto if has_some => true,
            Wanted::Auto if self.uncounted.load(Ordering::Relaxed) => true,
            // Once it has counted some, it counts.
            Wanted::Auto if self.counted.load(Ordering::Relaxed) => false,
            Wanted::Auto => self.probed.fetch_add(1, Ordering::Relaxed) < PROBES,
        }
    }

    /// The tags of an object that is unchanged, where those are asked for.
    ///
    /// # Errors
    /// If they cannot be had.
    pub async fn of_unchanged(&self, store: &Store, key: &str) -> Result<Option<Tags>, StoreError> {
        match self.wanted {
            Wanted::Always => self.ask(store, key).await,
            Wanted::Auto | Wanted::Never => Ok(None),
        }
    }

    /// The tags of an object that was fetched; `count` is what its answer says.
    ///
    /// # Errors
    /// If they cannot be had.
    pub async fn of(
        &self,
        store: &Store,
        key: &str,
        count: Option<u32>,
    ) -> Result<Tags, StoreError> {
        if !self.is_worth_asking(count) {
            return Ok(Tags::new());
        }
        let asked_for = count.is_some_and(|n| n > 0) || self.wanted == Wanted::Always;
        match self.ask(store, key).await {
            Ok(tags) => {
                let tags = tags.unwrap_or_default();
                if count.is_none_or(|n| n == 0) && !tags.is_empty() {
                    self.uncounted.store(true, Ordering::Relaxed);
                }
                Ok(tags)
            }
            // A mere probe that may not be made tells nothing.
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
        assert!((0..PROBES).all(|_| auto.is_worth_asking(None)));
        assert!(!auto.is_worth_asking(None));
        assert!(auto.is_worth_asking(Some(2)));
        assert!(!auto.is_worth_asking(Some(0)) && !auto.is_worth_asking(None));
        let counting = Tagging::default();
        assert!(counting.is_worth_asking(Some(1)) && !counting.is_worth_asking(None));
        let silent = Tagging::default();
        silent.uncounted.store(true, Ordering::Relaxed);
        assert!((0..100).all(|_| silent.is_worth_asking(None)));
        assert!(!Tagging::new(Wanted::Never).is_worth_asking(Some(2)));
        assert!((0..100).all(|_| Tagging::new(Wanted::Always).is_worth_asking(Some(0))));
    }

    #[test]
    fn tags_too_long_for_a_header_go_on_their_own() {
        let tags = |n: usize| Tags::from([("k".to_owned(), "ü".repeat(n))]);
        assert!(Tagging::default().can_go_along(&tags(100)));
        assert!(!Tagging::default().can_go_along(&tags(400)));
    }
}
