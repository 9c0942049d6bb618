//! A bucket, or a folder of it, as one side of a mirror.

use crate::fault::{Kind, StoreError};
use crate::key::printable;
use crate::location::BucketPath;
use crate::report::Failure;
use crate::retry::retrying;
use crate::settings::Settings;
use crate::store::{Listed, Store};
use anyhow::{Result, anyhow};

/// The bucket's side. Keys are told below the prefix.
#[derive(Clone)]
pub struct Remote {
    /// The client.
    pub store: Store,
    prefix: String,
}

/// All that a bucket holds.
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
    pub fn new(path: &BucketPath, resolve: &[String]) -> Result<Self> {
        let settings = Settings::read(|name| std::env::var(name).ok(), resolve)?;
        let store = Store::new(&settings, &path.bucket)?;
        Ok(Self { store, prefix: path.prefix.clone() })
    }

    /// The whole key of one below the prefix.
    #[must_use]
    pub fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Lists it to its end.
    ///
    /// # Errors
    /// If any page cannot be had.
    pub async fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut token = None;
        loop {
            let next = self.list_page(token.clone(), &mut listing).await;
            let next = next.map_err(|error| self.fatal(&error))?;
            if next.is_none() {
                // A page that repeats a key would make an index that lists it twice.
                listing.objects.sort_by(|a, b| a.key.cmp(&b.key));
                listing.objects.dedup_by(|a, b| a.key == b.key);
                return Ok(listing);
            }
            if next == token {
                return Err(anyhow!("{}: the listing does not move on", self.store.name()));
            }
            token = next;
        }
    }

    /// Lists its first page alone, and gives whether there is more; nothing if there is no such bucket.
    ///
    /// # Errors
    /// If the page cannot be had.
    pub async fn list_some(&self) -> Result<Option<(Listing, bool)>> {
        let mut listing = Listing::default();
        match self.list_page(None, &mut listing).await {
            Ok(next) => Ok(Some((listing, next.is_some()))),
            Err(error) if error.kind == Kind::NoBucket => Ok(None),
            Err(error) => Err(self.fatal(&error)),
        }
    }

    /// Adds a page to a listing; gives the token of the next.
    async fn list_page(
        &self,
        token: Option<String>,
        listing: &mut Listing,
    ) -> Result<Option<String>, StoreError> {
        let page = retrying(|_| self.store.list_page(&self.prefix, token.clone())).await?;
        for mut object in page.objects {
            match object.key.strip_prefix(&self.prefix) {
                Some(key) => object.key = key.to_owned(),
                None => {
                    let message = "the listing has keys that were not asked for";
                    return Err(StoreError::permanent(message));
                }
            }
            listing.objects.push(object);
        }
        listing.failures.extend(page.unreadable.into_iter().map(|key| Failure {
            key,
            reason: "its key is not UTF-8, and the S3 client can send no other".into(),
        }));
        Ok(page.next)
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
            Kind::Disk => anyhow!("writing to disk: {error}"),
            Kind::Transient
            | Kind::Silent
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
