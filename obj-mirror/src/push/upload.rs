//! Uploads one object.

use crate::mirror::tree::Tree;
use crate::object::attributes::{Properties, Tags};
use crate::object::key::printable;
use crate::push::buffers::Buffers;
use crate::push::outgoing::{Extent, outgoing};
use crate::push::reader::{Piece, SourceReader, check, md5_by_etag, md5_of};
use crate::push::source::Source;
use crate::s3::etag::is_md5;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::headers::same;
use crate::s3::listed::Listed;
use crate::s3::parts::{Part, Upload};
use crate::s3::remote::Remote;
use crate::s3::retry::retrying;
use crate::s3::store::{ObjectAttributes, Sums};
use crate::s3::tagging::{TagPolicy, Tagging};
use crate::s3::tasks::on_disk;
use bundle_format::parts;
use indicatif::ProgressBar;
use md5::{Digest, Md5};
use pipe_kit::text::hex;
use sha2::Sha256;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

const MIB: u64 = 1024 * 1024;
/// Objects up to this size are uploaded in one request, bytes.
pub const WHOLE: u64 = 16 * MIB;
/// Parts of one object that may be in flight at once.
const PARTS_AT_ONCE: usize = 3;
/// Bytes of content in memory at once, over all objects.
const BUDGET: u64 = 32 * MIB;
const UNIT: u64 = 64 * 1024;
/// The content type of a file whose name has no known extension.
const UNTYPED: &str = "application/octet-stream";

/// Uploads objects of a directory.
pub struct Uploader {
    pub remote: Remote,
    pub tree: Arc<Tree>,
    pub bar: ProgressBar,
    tagging: Tagging,
    memory: Arc<Semaphore>,
    buffers: Arc<Buffers>,
    /// Whether the index's ETags turned out not to be MD5s.
    etags_are_not_md5: AtomicBool,
}

/// The headers without which an object was stored.
pub struct Refused {
    pub headers: Vec<String>,
    /// The server's error; none if the headers cannot be sent at all.
    pub error: Option<StoreError>,
}

impl Refused {
    /// Why the object counts as failed although it is in place.
    pub fn reason(&self) -> String {
        let names = printable(&self.headers.join(", "));
        let why = match &self.error {
            Some(error) => format!("which the server refuses ({error})"),
            None => "which cannot be sent unchanged".to_owned(),
        };
        format!("in place, but without {names}, {why}; the index still has it")
    }
}

impl Uploader {
    pub fn new(remote: Remote, tree: Arc<Tree>, bar: ProgressBar, tags: TagPolicy) -> Arc<Self> {
        let memory = Arc::new(Semaphore::new((BUDGET / UNIT) as usize));
        let buffers = Arc::default();
        let etags_are_not_md5 = AtomicBool::default();
        let tagging = Tagging::new(tags);
        Arc::new(Self { remote, tree, bar, tagging, memory, buffers, etags_are_not_md5 })
    }

    /// Uploads an object if its content matches the index. Returns the headers that had to be left out.
    pub async fn send(self: &Arc<Self>, source: &Source) -> Result<Option<Refused>, StoreError> {
        let properties = properties(source);
        let tags = source.entry.as_ref().map(|entry| &entry.tags).filter(|tags| !tags.is_empty());
        let in_header = tags.filter(|tags| self.tagging.fits_header(tags));
        let sent = self.send_what_is_taken(source, &properties, in_header).await;
        let refused = match sent {
            Err(error) if error.kind == Kind::Unsupported && in_header.is_some() => {
                self.tagging.note_unsupported(&error);
                self.send_what_is_taken(source, &properties, None).await?
            }
            other => other?,
        };
        if let Some(tags) = tags {
            let key = self.remote.full(&source.key);
            self.tagging.ensure(&self.remote.store, &key, tags, in_header.is_some()).await?;
        }
        Ok(refused)
    }

    /// Uploads an object with as many of its properties as the server accepts.
    async fn send_what_is_taken(
        self: &Arc<Self>,
        source: &Source,
        properties: &Properties,
        tags: Option<&Tags>,
    ) -> Result<Option<Refused>, StoreError> {
        let (mut extent, mut refusal) = (Extent::All, None);
        loop {
            let attributes = outgoing(properties, extent);
            let sent = self
                .send_with(source, ObjectAttributes { headers: &attributes.headers, tags })
                .await;
            let Err(error) = sent else {
                let refused = Refused { headers: attributes.left_out, error: refusal };
                return Ok(Some(refused).filter(|refused| !refused.headers.is_empty()));
            };
            // The server may have refused the tags: first try again without these, and with all properties.
            let is_of_tags = tags.is_some() && error.kind == Kind::Unsupported;
            match extent.after(&error, properties).filter(|_| !is_of_tags) {
                Some(less) => extent = less,
                None => return Err(refusal.unwrap_or(error)),
            }
            refusal.get_or_insert(error);
        }
    }

    async fn send_with(
        self: &Arc<Self>,
        source: &Source,
        attributes: ObjectAttributes<'_>,
    ) -> Result<(), StoreError> {
        if source.size <= WHOLE {
            self.send_whole(source, attributes).await
        } else {
            self.send_in_parts(source, attributes).await
        }
    }

    async fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, StoreError> {
        let units = bytes.div_ceil(UNIT).clamp(1, BUDGET / UNIT) as u32;
        let room = Arc::clone(&self.memory).acquire_many_owned(units).await;
        room.map_err(|_| StoreError::permanent("the memory budget is closed"))
    }

    async fn send_whole(
        &self,
        source: &Source,
        attributes: ObjectAttributes<'_>,
    ) -> Result<(), StoreError> {
        let _room = self.room(source.size).await?;
        let (tree, path, size) = (Arc::clone(&self.tree), source.path.clone(), source.size);
        let buffers = Arc::clone(&self.buffers);
        let (content, sha256, length) = on_disk(move || {
            let file = tree.open_file(&path)?;
            let content = buffers.read(&file, 0, size as usize)?;
            let sha256 = hex(&Sha256::digest(&content));
            Ok((content, sha256, file.metadata()?.len()))
        })
        .await?;
        check(source, size, length, &sha256)?;
        let key = self.remote.full(&source.key);
        let by_etag = source.entry.as_ref().and_then(|entry| md5_by_etag(&entry.etag));
        let by_etag = by_etag.filter(|_| !self.etags_are_not_md5.load(Ordering::Relaxed));
        retrying(|failures| {
            let (key, content, sha256) = (&key, content.clone(), &sha256);
            let guess = by_etag.clone().filter(|_| failures == 0);
            async move {
                let is_guess = guess.is_some();
                let md5 = match guess {
                    Some(md5) => md5,
                    None => {
                        let content = content.clone();
                        on_disk(move || Ok(md5_of(&content))).await?
                    }
                };
                let sums = Sums { sha256, md5: &md5 };
                let sent = self.remote.store.put(key, content.into(), sums, attributes).await;
                let is_garbled = sent.as_ref().is_err_and(|error| error.kind == Kind::Garbled);
                if is_garbled && is_guess {
                    self.etags_are_not_md5.store(true, Ordering::Relaxed);
                }
                sent
            }
        })
        .await?;
        self.bar.inc(source.size);
        Ok(())
    }

    async fn send_in_parts(
        self: &Arc<Self>,
        source: &Source,
        attributes: ObjectAttributes<'_>,
    ) -> Result<(), StoreError> {
        let key = self.remote.full(&source.key);
        let store = &self.remote.store;
        let upload = retrying(|_| store.begin_parts(&key, attributes)).await?;
        let sent = self.send_parts(source, &upload).await;
        if sent.is_err() {
            // If this fails, the bucket's lifecycle rule for stale uploads applies.
            let _ = store.abort_parts(&upload).await;
        }
        sent
    }

    async fn send_parts(
        self: &Arc<Self>,
        source: &Source,
        upload: &Upload,
    ) -> Result<(), StoreError> {
        let mut reading = self.open(source).await?;
        let size = parts::of_size(source.size);
        // Separate tasks: waiting for memory here must not keep a part from releasing its own.
        let mut running = JoinSet::new();
        let mut sent = Vec::new();
        let (mut at, mut number) = (0, 0);
        while at < source.size {
            if running.len() == PARTS_AT_ONCE {
                sent.extend(next_part(&mut running).await?);
            }
            let length = size.min(source.size - at);
            let room = self.room(length).await?;
            let piece = reading.next(length, Piece::new).await?;
            number += 1;
            let (uploader, upload) = (Arc::clone(self), upload.clone());
            running.spawn(async move {
                let _room = room;
                let store = &uploader.remote.store;
                let content = || piece.content.clone().into();
                let put = |_| store.put_part(&upload, number, content(), piece.sums());
                let part = retrying(put).await?;
                uploader.bar.inc(length);
                Ok(part)
            });
            at += length;
        }
        while let Some(part) = next_part(&mut running).await? {
            sent.push(part);
        }
        reading.check(source)?;
        sent.sort_by_key(|part| part.number);
        self.remote.store.complete_parts(upload, &sent).await
    }

    /// Whether the bucket has the object already, with the same bytes and properties.
    pub async fn is_uploaded(&self, source: &Source, object: &Listed) -> Result<bool, StoreError> {
        let known = source.entry.as_ref().is_some_and(|e| e.etag == object.etag);
        let known = known && !object.etag.is_empty();
        if !known && self.etag_like(source, &object.etag).await?.as_ref() != Some(&object.etag) {
            return Ok(false);
        }
        let Some(entry) = &source.entry else { return Ok(true) };
        let key = self.remote.full(&source.key);
        let head = match retrying(|_| self.remote.store.head(&key)).await {
            Ok(head) => head,
            Err(error) if error.kind == Kind::NoKey => return Ok(false),
            Err(error) => return Err(error),
        };
        if head.etag != object.etag || !same(&entry.properties, &head.properties) {
            return Ok(false);
        }
        self.tagging.has_tags(&self.remote.store, &key, &entry.tags, head.tag_count).await
    }

    /// Whether the bucket's object has the tags of the index.
    pub async fn has_tags(&self, source: &Source) -> Result<bool, StoreError> {
        let Some(entry) = &source.entry else { return Ok(true) };
        let key = self.remote.full(&source.key);
        match self.tagging.has_tags(&self.remote.store, &key, &entry.tags, None).await {
            // The keys may set tags and not read them.
            Err(error) if error.kind == Kind::Denied => Ok(false),
            other => other,
        }
    }

    /// Gives the bucket's object the tags of the index.
    pub async fn set_tags(&self, source: &Source) -> Result<(), StoreError> {
        let Some(entry) = &source.entry else { return Ok(()) };
        let key = self.remote.full(&source.key);
        self.tagging.ensure(&self.remote.store, &key, &entry.tags, false).await
    }

    /// The ETag that the file would have if it was uploaded by this program, or in one request by any;
    /// none if `like` has neither form.
    async fn etag_like(&self, source: &Source, like: &str) -> Result<Option<String>, StoreError> {
        let size = parts::of_size(source.size);
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
            if whole {
                all = reading.next(length, move |content| all.chain_update(&content)).await?;
            } else {
                sums.update(reading.next(length, |content| Md5::digest(&content)).await?);
            }
            at += length;
        }
        reading.check(source)?;
        let parts = || format!("{}-{count}", hex(&sums.finalize()));
        Ok(Some(if whole { hex(&all.finalize()) } else { parts() }))
    }

    async fn open(&self, source: &Source) -> Result<SourceReader, StoreError> {
        let (tree, path) = (Arc::clone(&self.tree), source.path.clone());
        let file = on_disk(move || Ok(tree.open_file(&path)?)).await?;
        let is_hashed = !source.sha256.is_empty();
        Ok(SourceReader::new(file, is_hashed, Arc::clone(&self.buffers)))
    }
}

type Sending = JoinSet<Result<Part, StoreError>>;

async fn next_part(running: &mut Sending) -> Result<Option<Part>, StoreError> {
    match running.join_next().await {
        None => Ok(None),
        Some(Ok(sent)) => sent.map(Some),
        Some(Err(_)) => Err(StoreError::permanent("part upload interrupted")),
    }
}

/// The properties that an object is uploaded with.
fn properties(source: &Source) -> Properties {
    match &source.entry {
        Some(entry) => entry.properties.clone(),
        None => Properties {
            content_type: Some(
                mime_guess::from_path(&source.path).first_raw().unwrap_or(UNTYPED).to_owned(),
            ),
            ..Properties::default()
        },
    }
}
