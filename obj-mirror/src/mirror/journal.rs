//! The journal of a mirror in progress: one index line for each finished object, written once the object is
//! on disk.

use crate::mirror::index::{self, Entry};
use crate::mirror::lookup::{LineRef, ListFile};
use crate::mirror::placement::OWN;
use crate::mirror::tree::Tree;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use pipe_kit::mutex::lock;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long finished objects are collected before one sync. A crash costs only this much: they are fetched
/// again. Fewer syncs were slower: what is written while objects are fetched need not be written at the end.
const GATHER: Duration = Duration::from_millis(250);
/// Lines that are collected at most, bytes.
const MOST_LINES: usize = 4 * 1024 * 1024;

/// Where the index line of each object is, by the object's number in the listing. The planner adds objects,
/// the journal notes their lines.
pub type Lines = Arc<Mutex<Vec<LineRef>>>;

type WriteFailure = Option<(io::ErrorKind, String)>;

/// The journal of a mirror. Only one run at a time holds it.
pub struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<File>>,
}

/// What the writer has to do.
#[derive(Default)]
struct Shared {
    finished: Mutex<Finished>,
    changed: Condvar,
}

/// Finished objects that are not on record yet.
#[derive(Default)]
struct Finished {
    batch: Batch,
    is_closed: bool,
    failure: WriteFailure,
}

/// Lines of the index.
#[derive(Default)]
struct Batch {
    /// One line after the other.
    text: Vec<u8>,
    /// The object's number, and the length of its line with the line feed.
    lines: Vec<(u32, usize)>,
}

impl Journal {
    /// Opens and locks the journal.
    ///
    /// # Errors
    /// [`Stop::refused`] if another run holds it.
    pub fn open(tree: &Arc<Tree>, written: Lines) -> Result<Self> {
        let shown = tree.path().display();
        let mut file =
            tree.open_journal().with_context(|| format!("opening the journal in {shown}"))?;
        if file.try_lock().is_err() {
            return Err(Stop::refused(format!("another run is mirroring into {shown}")).into());
        }
        // A crash may have cut the last line.
        file.write_all(b"\n").with_context(|| format!("writing the journal in {shown}"))?;
        let at = file.metadata().with_context(|| format!("reading the journal in {shown}"))?.len();
        tree.sync(OWN)?;
        let shared = Arc::new(Shared::default());
        let mut writer =
            Writer { tree: Arc::clone(tree), file, at, written, shared: Arc::clone(&shared) };
        let writer = std::thread::spawn(move || {
            writer.run();
            writer.file
        });
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Records an object whose file has its final name.
    pub fn add(&self, number: u32, entry: &Entry) -> io::Result<()> {
        let line = index::line(entry).map_err(io::Error::other)?;
        let mut finished = lock(&self.shared.finished);
        if let Some((kind, message)) = &finished.failure {
            return Err(io::Error::new(*kind, message.clone()));
        }
        let was_empty = finished.batch.lines.is_empty();
        finished.batch.text.extend_from_slice(line.as_bytes());
        finished.batch.lines.push((number, line.len()));
        // Otherwise the writer finds it when it wakes up.
        if was_empty || finished.batch.text.len() >= MOST_LINES {
            self.shared.changed.notify_one();
        }
        Ok(())
    }

    fn close(&mut self) -> Option<File> {
        lock(&self.shared.finished).is_closed = true;
        self.shared.changed.notify_one();
        self.writer.take().and_then(|writer| writer.join().ok())
    }

    /// Waits until all records are on disk. Returns the file, which stays locked while it is open.
    pub fn finish(mut self) -> Result<File> {
        let ended = self.close();
        if let Some((kind, message)) = lock(&self.shared.finished).failure.take() {
            return Err(io::Error::new(kind, message)).context("writing the journal");
        }
        ended.context("the journal writer stopped unexpectedly")
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Waits for finished objects, and then `gather` longer for more, and moves them into `batch`. False after
    /// the last.
    fn gather(&self, gather: Duration, batch: &mut Batch) -> bool {
        let is_idle = |f: &mut Finished| f.batch.lines.is_empty() && !f.is_closed;
        let waited = self.changed.wait_while(lock(&self.finished), is_idle);
        let waited = waited.unwrap_or_else(PoisonError::into_inner);
        let has_time = |f: &mut Finished| !f.is_closed && f.batch.text.len() < MOST_LINES;
        let gathered = self.changed.wait_timeout_while(waited, gather, has_time);
        let (mut finished, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        // The same two buffers are used again and again.
        std::mem::swap(&mut finished.batch, batch);
        !batch.lines.is_empty()
    }
}

struct Writer {
    tree: Arc<Tree>,
    file: File,
    at: u64,
    written: Lines,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(&mut self) {
        let mut batch = Batch::default();
        while self.shared.gather(GATHER, &mut batch) {
            if let Err(error) = self.write(&batch) {
                lock(&self.shared.finished).failure = Some((error.kind(), error.to_string()));
                return;
            }
            batch.text.clear();
            batch.lines.clear();
        }
    }

    /// Syncs the objects, then records them: one sync of the filesystem costs less than one for each
    /// file, and what the journal lists is on disk.
    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.tree.sync_all()?;
        self.file.write_all(&batch.text)?;
        let mut written = lock(&self.written);
        for (number, length) in &batch.lines {
            if let Some(line) = written.get_mut(*number as usize) {
                // Keys and headers are bounded, so a line is far below 4 GiB.
                let length = u32::try_from(length - 1).map_err(io::Error::other)?;
                *line = LineRef { file: ListFile::Journal, offset: self.at, length };
            }
            self.at += *length as u64;
        }
        Ok(())
    }
}
