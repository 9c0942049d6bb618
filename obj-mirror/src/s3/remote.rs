//! A bucket, or a folder of it, as one side of a mirror.

use crate::location::BucketPath;
use crate::object::Failure;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::page::Listed;
use crate::s3::rate::Rate;
use crate::s3::retry::retrying;
use crate::s3::store::Store;
use crate::settings::Settings;
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
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// If a setting is wrong.
    pub fn new(
        path: &BucketPath,
        settings: &Settings,
        silence: Duration,
        rate: Option<u64>,
    ) -> Result<Self> {
        let store = Store::new(settings, &path.bucket, silence, Arc::new(Rate::new(rate)))?;
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
        let (listing, next) = self.some(token).await.map_err(|error| self.store.fatal(&error))?;
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
            Err(error) => Err(self.store.fatal(&error)),
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
}
