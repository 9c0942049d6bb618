//! Fetches one object.

use crate::mirror::index::Entry;
use crate::mirror::journal::Journal;
use crate::mirror::placement::stored_path;
use crate::mirror::tree::Tree;
use crate::object::attributes::Tags;
use crate::pull::plan::{PlanItem, PullAction};
use crate::pull::received::{ContentHash, Received, entry_of, whole};
use crate::s3::fault::Answer;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::headers::Head;
use crate::s3::remote::Remote;
use crate::s3::retry::retrying;
use crate::s3::store::Download;
use crate::s3::tagging::Tagging;
use crate::s3::tasks::{Task, on_disk};
use indicatif::ProgressBar;
use md5::Md5;
use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fs::{File, FileTimes};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

const MIB: u64 = 1024 * 1024;
/// Objects up to this size are received in memory, bytes.
const SMALL: u64 = 128 * 1024;
/// Larger objects are fetched in parts, bytes.
const LARGE: u64 = 16 * MIB;
/// The size of a part, bytes.
const PART: u64 = 8 * MIB;
/// Parts of one object that may be fetched ahead of hashing.
const PARTS_AHEAD: usize = 6;
/// Parts that may be in flight at once, over all objects.
const PARTS_AT_ONCE: usize = 24;
/// The delay before an object that is listed and was not found is requested again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Fetches objects into a mirror.
pub struct Fetcher {
    remote: Remote,
    tree: Arc<Tree>,
    previous: Option<Arc<Tree>>,
    pub journal: Journal,
    pub bar: ProgressBar,
    tagging: Tagging,
    parts: Arc<Semaphore>,
    aside: Mutex<Vec<String>>,
}

/// How an object was brought into the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With its size in bytes.
    Fetched(u64),
    Linked,
    Kept,
}

impl Fetcher {
    /// `previous` is the mirror that unchanged objects are linked from.
    pub fn new(
        remote: Remote,
        tree: Arc<Tree>,
        previous: Option<Arc<Tree>>,
        journal: Journal,
        tagging: Tagging,
    ) -> Arc<Self> {
        let bar = pipe_kit::progress::bytes(Some(0), "download");
        let parts = Arc::new(Semaphore::new(PARTS_AT_ONCE));
        let aside = Mutex::default();
        Arc::new(Self { remote, tree, previous, journal, bar, tagging, parts, aside })
    }

    /// The paths of objects that the filesystem did not accept at their own paths.
    pub fn take_aside(&self) -> Vec<String> {
        std::mem::take(&mut *self.aside.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Brings an object into the mirror.
    ///
    /// # Errors
    /// [`Kind::NoKey`] only if the listing no longer has it either. An answer that is not true, as that of a replica
    /// that has not received the object yet, must not count as a deletion.
    pub async fn run(self: &Arc<Self>, item: &PlanItem) -> Answer<Outcome> {
        let mut was_missing = false;
        loop {
            let error = match self.bring(item).await {
                Err(error) if error.kind == Kind::NoKey => error,
                other => return other,
            };
            if !self.remote.lists(&item.object.key).await? {
                return Err(error);
            }
            if was_missing {
                return Err(StoreError::transient(format!("the listing has it, but {error}")));
            }
            was_missing = true;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn bring(self: &Arc<Self>, item: &PlanItem) -> Answer<Outcome> {
        match &item.action {
            PullAction::Fetch => {}
            PullAction::Link(entry) => {
                // What cannot be linked or copied is fetched.
                if self.link(item, entry).await.is_ok() {
                    self.bar.inc(item.object.size);
                    return Ok(Outcome::Linked);
                }
            }
            PullAction::Keep(entry) => {
                let key = self.remote.full(&item.object.key);
                let tags = self.tagging.of_unchanged(&self.remote.store, &key).await?;
                let tags = tags.unwrap_or_else(|| entry.tags.clone());
                self.journal.add(item.number, &Entry { tags, ..(**entry).clone() })?;
                return Ok(Outcome::Kept);
            }
        }
        let entry = retrying(|_| self.attempt(item)).await?;
        Ok(Outcome::Fetched(entry.size))
    }

    async fn attempt(self: &Arc<Self>, item: &PlanItem) -> Answer<Entry> {
        let temp = format!("get-{}", item.number);
        let seen = Arc::new(AtomicU64::new(0));
        let result = self.receive(item, &temp, &seen).await;
        if result.is_err() {
            self.bar.dec(seen.load(Ordering::Relaxed));
            self.tree.remove_temp(&temp);
        }
        result
    }

    fn count(&self, bytes: u64, seen: &AtomicU64) {
        seen.fetch_add(bytes, Ordering::Relaxed);
        self.bar.inc(bytes);
    }

    async fn receive(
        self: &Arc<Self>,
        item: &PlanItem,
        temp: &str,
        seen: &Arc<AtomicU64>,
    ) -> Answer<Entry> {
        let key = self.remote.full(&item.object.key);
        let range = (item.object.size > LARGE).then_some(0..PART);
        let download = match self.remote.store.get(&key, range, None).await {
            // The object has become too small for the range.
            Err(error) if error.kind == Kind::Changed => {
                self.remote.store.get(&key, None, None).await?
            }
            other => other?,
        };
        let tags = self.tagging.of(&self.remote.store, &key, download.head.tag_count).await?;
        let announced = download.part_of.or(download.head.size).unwrap_or(item.object.size);
        if announced <= SMALL {
            let content = self.receive_small(download, announced, seen);
            return self.keep_small(item, temp, content.await?, tags).await;
        }
        let head = download.head.clone();
        let received = match download.part_of {
            Some(size) => self.receive_in_parts(&key, temp, (download, size), seen).await?,
            None => self.receive_stream(temp, download, seen).await?,
        };
        whole(announced, received.size)?;
        let entry = entry_of(item, head, received.size, received.sha256, tags, received.md5)?;
        let (fetcher, temp, number) = (Arc::clone(self), temp.to_owned(), item.number);
        on_disk(move || fetcher.place(&received.file, &temp, number, entry)).await
    }

    async fn receive_small(
        &self,
        mut download: Download,
        announced: u64,
        seen: &AtomicU64,
    ) -> Answer<(Head, Vec<u8>)> {
        let mut content = Vec::with_capacity(announced as usize);
        while let Some(bytes) = download.chunk().await? {
            content.extend_from_slice(&bytes);
            if content.len() as u64 > announced {
                break;
            }
        }
        whole(announced, content.len() as u64)?;
        self.count(announced, seen);
        Ok((download.head, content))
    }

    async fn keep_small(
        self: &Arc<Self>,
        item: &PlanItem,
        temp: &str,
        (head, content): (Head, Vec<u8>),
        tags: Tags,
    ) -> Answer<Entry> {
        let (fetcher, temp, item) = (Arc::clone(self), temp.to_owned(), item.clone());
        on_disk(move || {
            let sha256 = hex(&Sha256::digest(&content));
            let md5 = head.may_be_md5().then(|| hex(&Md5::digest(&content)));
            let entry = entry_of(&item, head, content.len() as u64, sha256, tags, md5)?;
            let mut file = fetcher.tree.create_temp(&temp)?;
            file.write_all(&content)?;
            fetcher.place(&file, &temp, item.number, entry)
        })
        .await
    }

    async fn receive_stream(
        &self,
        temp: &str,
        mut download: Download,
        seen: &AtomicU64,
    ) -> Answer<Received> {
        let mut file = self.tree.create_temp(temp)?;
        let mut hash = ContentHash::new(download.head.may_be_md5());
        while let Some(bytes) = download.chunk().await? {
            file.write_all(&bytes)?;
            hash.update(&bytes);
            self.count(bytes.len() as u64, seen);
        }
        Ok(hash.finish(file))
    }

    /// Fetches the parts after the first one concurrently, all from the same state of the object.
    async fn receive_in_parts(
        self: &Arc<Self>,
        key: &str,
        temp: &str,
        (first, size): (Download, u64),
        seen: &Arc<AtomicU64>,
    ) -> Answer<Received> {
        let file = Arc::new(self.tree.create_temp(temp)?);
        let head = first.head.clone();
        let mut hash = ContentHash::new(first.head.may_be_md5());
        let mut starts = (0..size).step_by(PART as usize);
        let mut first = Some(first);
        let mut running: VecDeque<Task<Answer<(u64, u64)>>> = VecDeque::new();
        loop {
            while running.len() < PARTS_AHEAD
                && let Some(start) = starts.next()
            {
                let part = PartRange {
                    key: key.to_owned(),
                    head: head.clone(),
                    start,
                    length: PART.min(size - start),
                    size,
                };
                let (fetcher, file, first) = (Arc::clone(self), Arc::clone(&file), first.take());
                let seen = Arc::clone(seen);
                running.push_back(Task(tokio::spawn(async move {
                    fetcher.receive_part(&part, &file, first).await?;
                    fetcher.count(part.length, &seen);
                    Ok((part.start, part.length))
                })));
            }
            let Some(mut part) = running.pop_front() else { break };
            let broke_off = |_| StoreError::permanent("part download interrupted");
            let (start, length) = (&mut part.0).await.map_err(broke_off)??;
            let file = Arc::clone(&file);
            hash = on_disk(move || {
                hash.update_from(&file, start, length)?;
                Ok(hash)
            })
            .await?;
        }
        let file =
            Arc::into_inner(file).ok_or_else(|| StoreError::permanent("a part is still open"))?;
        Ok(hash.finish(file))
    }

    async fn receive_part(
        &self,
        part: &PartRange,
        file: &File,
        first: Option<Download>,
    ) -> Answer<()> {
        let first = Mutex::new(first);
        let take = || first.lock().unwrap_or_else(PoisonError::into_inner).take();
        // If the object has changed, retrying this part is useless: the whole object is fetched again.
        let result = retrying(|_| async {
            match self.try_part(part, file, take()).await {
                Err(error) if error.kind == Kind::Changed => Ok(Err(error)),
                other => other.map(Ok),
            }
        });
        result.await?
    }

    async fn try_part(&self, part: &PartRange, file: &File, given: Option<Download>) -> Answer<()> {
        let _room = self.parts.acquire().await;
        let range = part.start..part.start + part.length;
        let mut download = match given {
            Some(download) => download,
            None => {
                let condition = part.head.condition.as_ref();
                self.remote.store.get(&part.key, Some(range), condition).await?
            }
        };
        if download.part_of != Some(part.size) || !download.head.is_of_one_state(&part.head) {
            return Err(StoreError::new(Kind::Changed, "it changed while it was read"));
        }
        let mut at = 0;
        while let Some(bytes) = download.chunk().await? {
            if at + bytes.len() as u64 > part.length {
                return Err(StoreError::transient("received more bytes than requested"));
            }
            file.write_all_at(&bytes, part.start + at)?;
            at += bytes.len() as u64;
        }
        whole(part.length, at)
    }

    /// Gives a complete file its final name and records it.
    fn place(&self, file: &File, temp: &str, number: u32, mut entry: Entry) -> Answer<Entry> {
        file.set_times(FileTimes::new().set_modified(entry.last_modified.into()))?;
        self.name(temp, &mut entry)?;
        self.journal.add(number, &entry)?;
        Ok(entry)
    }

    /// Renames a temporary file to its path; if the filesystem refuses the name, the object is stored
    /// aside.
    fn name(&self, temp: &str, entry: &mut Entry) -> io::Result<()> {
        use io::ErrorKind as E;
        match self.tree.place_temp(temp, &entry.path) {
            Err(error)
                if entry.path == entry.key
                    && (matches!(error.kind(), E::InvalidInput | E::InvalidFilename)
                        || error.raw_os_error()
                            == Some(rustix::io::Errno::ILSEQ.raw_os_error())) =>
            {
                entry.path = stored_path(&entry.key);
                let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
                aside.push(entry.path.clone());
                drop(aside);
                self.tree.place_temp(temp, &entry.path)
            }
            other => other,
        }
    }

    async fn link(self: &Arc<Self>, item: &PlanItem, entry: &Entry) -> Answer<()> {
        let (fetcher, from, number) = (Arc::clone(self), entry.path.clone(), item.number);
        let mut entry = Entry { path: item.path.clone(), ..entry.clone() };
        let key = self.remote.full(&entry.key);
        if let Some(tags) = self.tagging.of_unchanged(&self.remote.store, &key).await? {
            entry.tags = tags;
        }
        on_disk(move || {
            let temp = format!("get-{number}");
            let gone = || StoreError::permanent("no mirror to link from");
            let previous = fetcher.previous.as_ref().ok_or_else(gone)?;
            let linked = fetcher
                .tree
                .link_temp(previous, &from, &temp)
                .or_else(|_| fetcher.tree.copy_temp(previous, &from, &temp, &entry.sha256))
                .and_then(|()| fetcher.name(&temp, &mut entry));
            // Renaming a hard link onto the same file leaves both.
            fetcher.tree.remove_temp(&temp);
            linked?;
            Ok(fetcher.journal.add(number, &entry)?)
        })
        .await
    }
}

/// A range of an object, and the state of the object that it belongs to.
struct PartRange {
    key: String,
    head: Head,
    start: u64,
    length: u64,
    size: u64,
}
