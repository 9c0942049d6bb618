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
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long finished objects are collected before one sync. A crash costs only this much: they are fetched
/// again.
const GATHER: Duration = Duration::from_millis(250);

/// Where the index lines of finished objects are, by the object's number in the listing.
pub type Written = Vec<(u32, LineRef)>;

type WriteFailure = Arc<Mutex<Option<(io::ErrorKind, String)>>>;

/// The journal of a mirror. Only one run at a time holds it.
pub struct Journal {
    lines: Option<Sender<(u32, Vec<u8>)>>,
    writer: Option<JoinHandle<(File, Written)>>,
    failure: WriteFailure,
}

impl Journal {
    /// Opens and locks the journal.
    ///
    /// # Errors
    /// [`Stop::refused`] if another run holds it.
    pub fn open(tree: &Arc<Tree>) -> Result<Self> {
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
        let (sender, receiver) = channel();
        let failure = WriteFailure::default();
        let mut writer = Writer {
            tree: Arc::clone(tree),
            file,
            at,
            written: Vec::new(),
            failure: Arc::clone(&failure),
        };
        let writer = std::thread::spawn(move || {
            writer.run(&receiver);
            (writer.file, writer.written)
        });
        Ok(Self { lines: Some(sender), writer: Some(writer), failure })
    }

    /// Records an object whose file has its final name.
    pub fn add(&self, number: u32, entry: &Entry) -> io::Result<()> {
        if let Some((kind, message)) = &*lock(&self.failure) {
            return Err(io::Error::new(*kind, message.clone()));
        }
        let line = index::line(entry).map_err(io::Error::other)?;
        let gone = || io::Error::other("the journal writer has stopped");
        self.lines.as_ref().ok_or_else(gone)?.send((number, line.into_bytes())).map_err(|_| gone())
    }

    /// Waits until all records are on disk. Returns the file, which stays locked while it is open, and
    /// where the lines are.
    pub fn finish(mut self) -> Result<(File, Written)> {
        self.lines = None;
        let ended = self.writer.take().and_then(|writer| writer.join().ok());
        if let Some((kind, message)) = lock(&self.failure).take() {
            return Err(io::Error::new(kind, message)).context("writing the journal");
        }
        ended.context("the journal writer stopped unexpectedly")
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Writer {
    tree: Arc<Tree>,
    file: File,
    at: u64,
    written: Written,
    failure: WriteFailure,
}

impl Writer {
    fn run(&mut self, lines: &Receiver<(u32, Vec<u8>)>) {
        while let Ok(first) = lines.recv() {
            let mut batch = vec![first];
            let end = Instant::now() + GATHER;
            // A closed channel ends the batch like the deadline does.
            while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                batch.push(line);
            }
            if let Err(error) = self.write(batch) {
                *lock(&self.failure) = Some((error.kind(), error.to_string()));
                return;
            }
        }
    }

    /// Syncs the objects, then records them: one sync of the filesystem costs less than one for each
    /// file, and what the journal lists is on disk.
    fn write(&mut self, batch: Vec<(u32, Vec<u8>)>) -> io::Result<()> {
        self.tree.sync_all()?;
        let mut text = Vec::new();
        for (number, line) in batch {
            // Keys and headers are bounded, so a line is far below 4 GiB.
            let length = u32::try_from(line.len() - 1).map_err(io::Error::other)?;
            let offset = self.at + text.len() as u64;
            self.written.push((number, LineRef { file: ListFile::Journal, offset, length }));
            text.extend_from_slice(&line);
        }
        self.file.write_all(&text)?;
        self.at += text.len() as u64;
        Ok(())
    }
}
