//! Buckets, objects and unfinished uploads, in memory; and in a directory too, where there is one.

use super::disk;
use super::lock::check_unlocked;
use super::object::{Blob, Object, Properties};
use anyhow::Result;
use s3s::{S3Result, s3_error};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Everything the server holds.
#[derive(Debug, Default)]
pub struct Store {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    home: Option<PathBuf>,
}

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    /// When it was made.
    pub created: SystemTime,
    /// The objects by key.
    pub objects: BTreeMap<String, Arc<Object>>,
    /// Unfinished multipart uploads by id.
    pub uploads: HashMap<String, Upload>,
    home: Option<PathBuf>,
}

/// A multipart upload that is under way.
#[derive(Debug)]
pub struct Upload {
    /// The key it is for.
    pub key: String,
    /// When it began.
    pub begun: SystemTime,
    /// The headers of the object.
    pub properties: Properties,
    /// Tags of the object to be.
    pub tags: Vec<(String, String)>,
    /// Whether the SHA-256 of its parts is kept.
    pub keeps_sha256: bool,
    /// The parts by number.
    pub parts: BTreeMap<i32, (Blob, SystemTime)>,
}

impl Store {
    /// A store that keeps what it holds in a directory, with what is there already.
    ///
    /// # Errors
    /// If the directory cannot be read, or holds something else.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut buckets = BTreeMap::new();
        for (path, objects) in disk::load(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            buckets.insert(name, Bucket { objects, ..Bucket::kept_in(path) });
        }
        Ok(Self { buckets: Mutex::new(buckets), home: Some(dir.to_owned()) })
    }

    /// The buckets by name, locked.
    pub fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a bucket.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what `work` returns.
    pub fn with<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Bucket) -> S3Result<T>,
    ) -> S3Result<T> {
        match self.buckets().get_mut(name) {
            Some(bucket) => work(bucket),
            None => Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")),
        }
    }

    /// An object as it is now.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`.
    pub fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        self.with(bucket, |b| {
            let object = b.objects.get(key).cloned();
            object.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist"))
        })
    }

    /// Makes a bucket, or does nothing where it exists; whether it was made.
    ///
    /// # Errors
    /// If its directory cannot be made.
    pub fn create_bucket(&self, name: &str) -> S3Result<bool> {
        let mut buckets = self.buckets();
        if buckets.contains_key(name) {
            return Ok(false);
        }
        let bucket = match &self.home {
            None => Bucket::new(),
            Some(home) => {
                let dir = home.join(name);
                std::fs::create_dir(&dir).map_err(|error| disk::failed(&error))?;
                Bucket::kept_in(dir)
            }
        };
        buckets.insert(name.to_owned(), bucket);
        Ok(true)
    }

    /// Removes a bucket that is empty.
    ///
    /// # Errors
    /// `NoSuchBucket`, `BucketNotEmpty`, or if its directory cannot be removed.
    pub fn remove_bucket(&self, name: &str) -> S3Result<()> {
        let home = self.with(name, |bucket| match bucket.objects.is_empty() {
            true => Ok(bucket.home.clone()),
            false => Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty")),
        })?;
        if let Some(dir) = home {
            std::fs::remove_dir(dir).map_err(|error| disk::failed(&error))?;
        }
        self.buckets().remove(name);
        Ok(())
    }
}

impl Bucket {
    /// An empty one, in memory.
    #[must_use]
    pub fn new() -> Self {
        Self {
            created: SystemTime::now(),
            objects: BTreeMap::new(),
            uploads: HashMap::new(),
            home: None,
        }
    }

    /// An empty one that keeps what it is given in a directory of its own.
    #[must_use]
    pub fn kept_in(dir: PathBuf) -> Self {
        Self { home: Some(dir), ..Self::new() }
    }

    /// Stores an object.
    ///
    /// # Errors
    /// If it cannot be written, or a locked one is there.
    pub fn put(&mut self, key: &str, object: Arc<Object>) -> S3Result<()> {
        check_unlocked(self.objects.get(key).and_then(|there| there.properties.lock.as_ref()))?;
        if let Some(dir) = &self.home {
            disk::save(dir, key, &object)?;
        }
        self.objects.insert(key.to_owned(), object);
        Ok(())
    }

    /// Removes an object; it may be gone.
    ///
    /// # Errors
    /// If its file cannot be removed, or it is locked.
    pub fn remove(&mut self, key: &str) -> S3Result<()> {
        check_unlocked(self.objects.get(key).and_then(|there| there.properties.lock.as_ref()))?;
        if let Some(dir) = &self.home {
            disk::remove(dir, key)?;
        }
        self.objects.remove(key);
        Ok(())
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self::new()
    }
}
