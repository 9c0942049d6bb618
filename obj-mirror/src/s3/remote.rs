//! A bucket, or a folder of it, as one side of a mirror.

use crate::location::BucketPath;
use crate::object::Failure;
use crate::s3::fault::{Answer, Kind, StoreError};
use crate::s3::listed::Listed;
use crate::s3::rate::Rate;
use crate::s3::retry::retrying;
use crate::s3::store::Store;
use crate::settings::Settings;
use anyhow::{Result, anyhow};
use std::sync::Arc;
use std::time::Duration;

/// The bucket's side. Keys are given without the prefix.
#[derive(Clone)]
pub struct Remote {
    pub store: Store,
    prefix: String,
}

/// The objects of a bucket, or of a page of its listing.
#[derive(Default)]
pub struct Listing {
    pub objects: Vec<Listed>,
    /// Keys that no request can name.
    pub failures: Vec<Failure>,
}

/// Pages without anything new that may follow each other: a server may send some for what was deleted.
const PAGES_WITHOUT_PROGRESS: usize = 1000;

/// Whether a listing continues.
#[derive(Default)]
struct Progress {
    /// The first and the last key of the last page that had any.
    page: Option<(String, String)>,
    /// Pages since then.
    without: usize,
}

impl Progress {
    fn is_made_by(&mut self, listing: &Listing) -> bool {
        let objects = listing.objects.iter().map(|object| &object.key);
        let mut keys = objects.chain(listing.failures.iter().map(|failure| &failure.key));
        let Some(first) = keys.next() else {
            self.without += 1;
            return self.without <= PAGES_WITHOUT_PROGRESS;
        };
        let last = keys.last().unwrap_or(first);
        let page = Some((first.clone(), last.clone()));
        // A page of one key may repeat the last one of the page before.
        let is_same = first != last && self.page == page;
        self.without = if self.page == page { self.without + 1 } else { 0 };
        self.page = page;
        !is_same && self.without <= PAGES_WITHOUT_PROGRESS
    }
}

impl Remote {
    /// Creates the client; nothing is sent yet.
    pub fn new(
        path: &BucketPath,
        settings: &Settings,
        idle_timeout: Duration,
        rate: Option<u64>,
    ) -> Result<Self> {
        let store = Store::new(settings, &path.bucket, idle_timeout, Arc::new(Rate::new(rate)))?;
        Ok(Self { store, prefix: path.prefix.clone() })
    }

    /// The full key of a key below the prefix.
    pub fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A page of the listing, and the token of the next one.
    pub async fn page(&self, token: Option<&str>) -> Result<(Listing, Option<String>)> {
        let (listing, next) =
            self.request_page(token).await.map_err(|error| self.store.fatal(&error))?;
        if next.is_some() && next.as_deref() == token {
            return Err(anyhow!(
                "{}: the server returned the same continuation token twice",
                self.store.name()
            ));
        }
        Ok((listing, next))
    }

    /// Passes every page to `take`, starting with one that was requested already.
    ///
    /// # Errors
    /// If the server does not continue its listing, but sends pages for ever.
    pub async fn pages(
        &self,
        first: (Listing, Option<String>),
        mut take: impl AsyncFnMut(Listing) -> Result<()>,
    ) -> Result<()> {
        let (mut listing, mut next) = first;
        let mut progress = Progress::default();
        loop {
            if !progress.is_made_by(&listing) {
                return Err(anyhow!(
                    "{}: the server sends the same page of its listing, or an empty one, again and again",
                    self.store.name()
                ));
            }
            take(listing).await?;
            let Some(token) = next else { return Ok(()) };
            (listing, next) = self.page(Some(&token)).await?;
        }
    }

    /// Lists everything, sorted by key, each key once.
    pub async fn list(&self, first: (Listing, Option<String>)) -> Result<Listing> {
        let mut all = Listing::default();
        self.pages(first, async |page| {
            all.objects.extend(page.objects);
            all.failures.extend(page.failures);
            Ok(())
        })
        .await?;
        all.objects.sort_by(|a, b| a.key.cmp(&b.key));
        all.objects.dedup_by(|a, b| a.key == b.key);
        Ok(all)
    }

    /// Whether the bucket lists a key, as far as one page shows it.
    pub async fn lists(&self, key: &str) -> Answer<bool> {
        let full = self.full(key);
        let page = retrying(|_| self.store.list_page(&full, None)).await?;
        let mut keys = page.objects.iter().map(|object| &object.key);
        // In order, a key comes before all others that begin with it.
        let may_follow = page.next.is_some() && !keys.clone().is_sorted();
        Ok(keys.any(|listed| *listed == full) || may_follow)
    }

    /// The first page; none if the bucket does not exist.
    pub async fn first_page(&self) -> Result<Option<(Listing, Option<String>)>> {
        match self.request_page(None).await {
            Ok(page) => Ok(Some(page)),
            Err(error) if error.kind == Kind::NoBucket => Ok(None),
            Err(error) => Err(self.store.fatal(&error)),
        }
    }

    /// The first page; none if the keys may not list, or are wrong.
    pub async fn first_page_if_allowed(&self) -> Result<Option<(Listing, Option<String>)>> {
        match self.request_page(None).await {
            Ok(page) => Ok(Some(page)),
            Err(error) if error.kind == Kind::Denied => Ok(None),
            Err(error) => Err(self.store.fatal(&error)),
        }
    }

    async fn request_page(
        &self,
        token: Option<&str>,
    ) -> Result<(Listing, Option<String>), StoreError> {
        let page = retrying(|_| self.store.list_page(&self.prefix, token)).await?;
        let mut listing = Listing::default();
        for mut object in page.objects {
            match object.key.strip_prefix(&self.prefix) {
                Some(key) => object.key = key.to_owned(),
                None => {
                    let message = "the listing contains keys outside the requested prefix";
                    return Err(StoreError::permanent(message));
                }
            }
            listing.objects.push(object);
        }
        listing.failures.extend(
            page.unreadable.into_iter().map(|(key, reason)| Failure { key, reason: reason.into() }),
        );
        Ok((listing, page.next))
    }
}
