//! One object from disk into the bucket.

use crate::fault::{Kind, StoreError};
use crate::headers::same;
use crate::index::Properties;
use crate::placement::hex;
use crate::plan::is_md5;
use crate::remote::Remote;
use crate::retry::retrying;
use crate::source::Source;
use crate::store::{Listed, Part};
use crate::transfer::on_disk;
use crate::tree::Tree;
use indicatif::ProgressBar;
use md5::{Digest, Md5};
use sha2::Sha256;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

const MIB: u64 = 1024 * 1024;
/// Objects up to this go in one request, bytes.
const WHOLE: u64 = 16 * MIB;
/// The smallest part, bytes. S3 wants 5 MiB at least, and takes 10,000 parts.
const PART: u64 = 8 * MIB;
const MOST_PARTS: u64 = 10_000;
/// Parts of one object in flight at once.
const PARTS_AT_ONCE: usize = 4;
/// Bytes of content in memory at once, over all objects. The client holds each a second time.
const BUDGET: u64 = 32 * MIB;
const UNIT: u64 = 64 * 1024;

/// What every upload needs.
pub struct Sender {
    /// Where to.
    pub remote: Remote,
    /// Where from.
    pub tree: Arc<Tree>,
    /// How far.
    pub bar: ProgressBar,
    memory: Arc<Semaphore>,
}

impl Sender {
    /// One whose content in memory is bounded.
    #[must_use]
    pub fn new(remote: Remote, tree: Tree, bar: ProgressBar) -> Arc<Self> {
        let memory = Arc::new(Semaphore::new((BUDGET / UNIT) as usize));
        Arc::new(Self { remote, tree: Arc::new(tree), bar, memory })
    }

    /// Sends an object as it is on disk, if that is what the index says.
    ///
    /// # Errors
    /// If it is not, or was not sent.
    pub async fn send(self: &Arc<Self>, source: &Source) -> Result<(), StoreError> {
        let properties = properties(source);
        if source.size <= WHOLE {
            self.send_whole(source, &properties).await
        } else {
            self.send_in_parts(source, &properties).await
        }
    }

    async fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, StoreError> {
        let units = bytes.div_ceil(UNIT).clamp(1, BUDGET / UNIT) as u32;
        let room = Arc::clone(&self.memory).acquire_many_owned(units).await;
        room.map_err(|_| StoreError::permanent("no memory is given out any more"))
    }

    async fn send_whole(&self, source: &Source, properties: &Properties) -> Result<(), StoreError> {
        let _room = self.room(source.size).await?;
        let mut reading = self.open(source).await?;
        let content = reading.next(source.size).await?;
        reading.check(source)?;
        let key = self.remote.full(&source.key);
        retrying(|_| self.remote.store.put(&key, &content, properties)).await?;
        self.bar.inc(source.size);
        Ok(())
    }

    async fn send_in_parts(
        self: &Arc<Self>,
        source: &Source,
        properties: &Properties,
    ) -> Result<(), StoreError> {
        let key = self.remote.full(&source.key);
        let store = &self.remote.store;
        let upload = retrying(|_| store.begin_parts(&key, properties)).await?;
        let sent = self.send_parts(source, &key, &upload).await;
        if sent.is_err() {
            // What cannot be given up now, the bucket's own rule for stale uploads removes.
            let _ = store.abort_parts(&key, &upload).await;
        }
        sent
    }

    async fn send_parts(
        self: &Arc<Self>,
        source: &Source,
        key: &str,
        upload: &str,
    ) -> Result<(), StoreError> {
        let mut reading = self.open(source).await?;
        let size = part_size(source.size);
        // Tasks of their own: what waits here for memory must not keep a part from giving its own back.
        let mut running = JoinSet::new();
        let mut parts = Vec::new();
        let mut sums = Md5::new();
        let mut at = 0;
        while at < source.size {
            if running.len() == PARTS_AT_ONCE {
                parts.extend(next_part(&mut running).await?);
            }
            let length = size.min(source.size - at);
            let room = self.room(length).await?;
            let content = reading.next(length).await?;
            let md5: [u8; 16] = Md5::digest(&content).into();
            sums.update(md5);
            let part = PartOf {
                key: key.to_owned(),
                upload: upload.to_owned(),
                file: Arc::clone(&reading.file),
                at,
                md5,
                number: (at / size + 1) as u32,
            };
            running.spawn(Arc::clone(self).send_part(part, content, room));
            at += length;
        }
        while let Some(part) = next_part(&mut running).await? {
            parts.push(part);
        }
        reading.check(source)?;
        parts.sort_by_key(|(number, _)| *number);
        let parts: Vec<Part> = parts.into_iter().map(|(_, part)| part).collect();
        let etag = format!("{}-{}", hex(&sums.finalize()), parts.len());
        retrying(|failures| self.finish(key, upload, &parts, failures, &etag)).await
    }

    async fn send_part(
        self: Arc<Self>,
        part: PartOf,
        content: Vec<u8>,
        _room: OwnedSemaphorePermit,
    ) -> Result<(u32, Part), StoreError> {
        let length = content.len();
        // The client swallows what it sends, so another attempt reads it again rather than every
        // attempt keep a copy.
        let first = std::sync::Mutex::new(Some(content));
        let sent = retrying(|_| {
            let kept = first.lock().ok().and_then(|mut c| c.take());
            let part = &part;
            let store = &self.remote.store;
            async move {
                let content = match kept {
                    Some(content) => content,
                    None => part.read_again(length).await?,
                };
                store.put_part(&part.key, &part.upload, part.number, content).await
            }
        })
        .await?;
        self.bar.inc(length as u64);
        Ok((part.number, sent))
    }

    /// Finishes an upload. Where an earlier attempt's answer was lost, the upload may be gone because it
    /// went well: then the object is looked at.
    async fn finish(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        failures: u32,
        etag: &str,
    ) -> Result<(), StoreError> {
        match self.remote.store.finish_parts(key, upload, parts).await {
            Err(error) if error.kind == Kind::NoKey && failures > 0 => {
                let head = self.remote.store.head(key).await?;
                if head.etag == etag { Ok(()) } else { Err(error) }
            }
            result => result,
        }
    }

    /// Whether the bucket has an object already, bytes and properties alike.
    ///
    /// # Errors
    /// If that cannot be told, or the file is not what the index says.
    pub async fn is_there(&self, source: &Source, object: &Listed) -> Result<bool, StoreError> {
        let known = source.entry.as_ref().is_some_and(|e| e.etag == object.etag);
        if !known && self.etag_like(source, &object.etag).await?.as_ref() != Some(&object.etag) {
            return Ok(false);
        }
        let Some(entry) = &source.entry else { return Ok(true) };
        let key = self.remote.full(&source.key);
        match retrying(|_| self.remote.store.head(&key)).await {
            Ok(head) => Ok(head.etag == object.etag && same(&head.properties, &entry.properties)),
            Err(error) if error.kind == Kind::NoKey => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The ETag that the file would have if it had been sent by us, or whole by anybody; nothing if
    /// `like` is of neither form.
    async fn etag_like(&self, source: &Source, like: &str) -> Result<Option<String>, StoreError> {
        let size = part_size(source.size);
        let count = source.size.div_ceil(size);
        let whole = is_md5(like);
        if !whole && !like.ends_with(&format!("-{count}")) {
            return Ok(None);
        }
        let _room = self.room(size).await?;
        let mut reading = self.open(source).await?;
        let (mut all, mut sums, mut at) = (Md5::new(), Md5::new(), 0);
        while at < source.size {
            let length = size.min(source.size - at);
            let content = reading.next(length).await?;
            if whole {
                all.update(&content);
            } else {
                sums.update(Md5::digest(&content));
            }
            at += length;
        }
        reading.check(source)?;
        let parts = || format!("{}-{count}", hex(&sums.finalize()));
        Ok(Some(if whole { hex(&all.finalize()) } else { parts() }))
    }

    async fn open(&self, source: &Source) -> Result<Reading, StoreError> {
        let (tree, path) = (Arc::clone(&self.tree), source.path.clone());
        let file = on_disk(move || tree.open_file(&path)).await?;
        Ok(Reading { file: Arc::new(file), at: 0, sha256: Sha256::new() })
    }
}

type Sending = JoinSet<Result<(u32, Part), StoreError>>;

async fn next_part(running: &mut Sending) -> Result<Option<(u32, Part)>, StoreError> {
    match running.join_next().await {
        None => Ok(None),
        Some(Ok(sent)) => sent.map(Some),
        Some(Err(_)) => Err(StoreError::permanent("sending a part broke off")),
    }
}

/// What is said of an object when it is sent.
fn properties(source: &Source) -> Properties {
    match &source.entry {
        Some(entry) => entry.properties.clone(),
        None => Properties {
            content_type: mime_guess::from_path(&source.path).first_raw().map(str::to_owned),
            ..Properties::default()
        },
    }
}

fn part_size(size: u64) -> u64 {
    size.div_ceil(MOST_PARTS).div_ceil(MIB).saturating_mul(MIB).max(PART)
}

/// A file that is read once, front to back, and hashed on the way.
struct Reading {
    file: Arc<File>,
    at: u64,
    sha256: Sha256,
}

impl Reading {
    async fn next(&mut self, length: u64) -> Result<Vec<u8>, StoreError> {
        let (file, at, mut sha256) = (Arc::clone(&self.file), self.at, self.sha256.clone());
        let (content, sha256) = on_disk(move || {
            let content = read_at(&file, at, length as usize)?;
            sha256.update(&content);
            Ok((content, sha256))
        })
        .await?;
        self.sha256 = sha256;
        self.at += length;
        Ok(content)
    }

    /// Whether what was read is the file to its end, and what the index says.
    fn check(self, source: &Source) -> Result<(), StoreError> {
        let size = self.file.metadata().map_err(|e| StoreError::local(&e))?.len();
        if size != self.at {
            return Err(StoreError::damaged("it was changed while it was read"));
        }
        let is = hex(&self.sha256.finalize());
        let known = &source.sha256;
        if known.is_empty() || known.iter().any(|sha256| sha256.eq_ignore_ascii_case(&is)) {
            return Ok(());
        }
        Err(StoreError::damaged("its content on disk is not what the index says"))
    }
}

/// A part: where it goes and where it came from.
struct PartOf {
    key: String,
    upload: String,
    file: Arc<File>,
    at: u64,
    md5: [u8; 16],
    number: u32,
}

impl PartOf {
    async fn read_again(&self, length: usize) -> Result<Vec<u8>, StoreError> {
        let (file, at) = (Arc::clone(&self.file), self.at);
        let content = on_disk(move || read_at(&file, at, length)).await?;
        if <[u8; 16]>::from(Md5::digest(&content)) == self.md5 {
            Ok(content)
        } else {
            Err(StoreError::damaged("it was changed while it was read"))
        }
    }
}

fn read_at(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut content = vec![0; length];
    file.read_exact_at(&mut content, at)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_never_too_small_or_too_many() {
        for size in [1, WHOLE + 1, 80_000 * MIB, 80_001 * MIB, 5 * 1024 * 1024 * MIB] {
            let part = part_size(size);
            assert!(part >= PART && part.is_multiple_of(MIB));
            assert!(size.div_ceil(part) <= MOST_PARTS, "{size}");
        }
    }
}
