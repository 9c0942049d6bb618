//! A bucket, or a folder of it, as one side of a mirror.

use crate::cli::Link;
use crate::fault::{Kind, StoreError};
use crate::key::printable;
use crate::location::BucketPath;
use crate::rate::Rate;
use crate::report::Failure;
use crate::retry::retrying;
use crate::settings::Settings;
use crate::store::{Listed, Store};
use anyhow::{Result, anyhow};
use std::sync::Arc;
use std::time::Duration;

/// The bucket's side. Keys are told below the prefix.
#[derive(Clone)]
pub struct Remote {
    /// The client.
    pub store: Store,
    prefix: String,
}

/// What a bucket holds, or a page of it.
#[derive(Default)]
pub struct Listing {
    /// The objects, by key.
    pub objects: Vec<Listed>,
    /// Keys that no client of ours can name.
    pub failures: Vec<Failure>,
}

impl Remote {
    /// Takes the settings from the environment; nothing is sent yet.
    ///
    /// # Errors
    /// If a setting is missing or wrong.
    pub fn new(path: &BucketPath, link: &Link, rate: Option<u64>) -> Result<Self> {
        let settings = Settings::read(|name| std::env::var(name).ok(), &link.resolve)?;
        let silence = Duration::from_secs(link.request_timeout);
        let store = Store::new(&settings, &path.bucket, silence, Arc::new(Rate::new(rate)))?;
        Ok(Self { store, prefix: path.prefix.clone() })
    }

    /// The whole key of one below the prefix.
    #[must_use]
    pub fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// One page of the listing, and what asks for the next.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn page(&self, token: Option<&str>) -> Result<(Listing, Option<String>)> {
        let (listing, next) = self.some(token).await.map_err(|error| self.fatal(&error))?;
        if next.is_some() && next.as_deref() == token {
            return Err(anyhow!(
                "{}: the server returned the same continuation token twice",
                self.store.name()
            ));
        }
        Ok((listing, next))
    }

    /// Gives every page to `take`, beginning with one that is there already.
    ///
    /// # Errors
    /// If any page cannot be had, or what `take` says.
    pub async fn pages(
        &self,
        first: (Listing, Option<String>),
        mut take: impl AsyncFnMut(Listing) -> Result<()>,
    ) -> Result<()> {
        let (mut listing, mut next) = first;
        loop {
            take(listing).await?;
            let Some(token) = next else { return Ok(()) };
            (listing, next) = self.page(Some(&token)).await?;
        }
    }

    /// Lists it to its end, in the order of keys, each once.
    ///
    /// # Errors
    /// If any page cannot be had.
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

    /// Its first page alone; nothing if there is no such bucket.
    ///
    /// # Errors
    /// If the page cannot be had.
    pub async fn list_some(&self) -> Result<Option<(Listing, Option<String>)>> {
        match self.some(None).await {
            Ok(page) => Ok(Some(page)),
            Err(error) if error.kind == Kind::NoBucket => Ok(None),
            Err(error) => Err(self.fatal(&error)),
        }
    }

    async fn some(&self, token: Option<&str>) -> Result<(Listing, Option<String>), StoreError> {
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

    /// A failure of the whole side, as the operator is told.
    #[must_use]
    pub fn fatal(&self, error: &StoreError) -> anyhow::Error {
        let (bucket, url) = (self.store.name(), self.store.endpoint());
        match error.kind {
            Kind::NoBucket => self.no_bucket(),
            Kind::NoKey => anyhow!("bucket {bucket} was not found at {url}: {error}"),
            Kind::Denied => anyhow!(
                "the keys are refused for bucket {bucket} at {url}: {error}; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ),
            Kind::Unreachable => anyhow!("object storage at {url} cannot be reached: {error}"),
            Kind::Tls => anyhow!("object storage at {url} is not trusted: {error}"),
            Kind::Disk => anyhow!("writing to disk: {error}"),
            Kind::Transient
            | Kind::Garbled
            | Kind::Malformed
            | Kind::Busy
            | Kind::Silent
            | Kind::Changed
            | Kind::Unsupported
            | Kind::Permanent
            | Kind::BucketThere
            | Kind::Damaged => {
                anyhow!("bucket {bucket} at {url}: {}", printable(&error.message))
            }
        }
    }

    /// That the bucket is missing, as the operator is told.
    #[must_use]
    pub fn no_bucket(&self) -> anyhow::Error {
        anyhow!("bucket {} does not exist at {}", self.store.name(), self.store.endpoint())
    }
}
