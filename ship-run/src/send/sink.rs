//! Writes one copy, in a thread of its own, so that all destinations are written at the same time.

use crate::place::bucket::{self, Bucket};
use crate::place::directory::NewFile;
use crate::place::{Destination, Place};
use anyhow::{Context, Result, anyhow};
use pipe_kit::child::Running;
use pipe_kit::framed::Writer;
use std::io::BufWriter;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Blocks that wait for a destination.
const AHEAD: usize = 8;

/// Bytes that several sinks share.
#[derive(Clone)]
pub struct Block(pub Arc<Vec<u8>>);

/// What a sink is given, in order.
#[derive(Clone)]
pub enum Piece {
    Data(Block),
    PartEnd {
        sha256: [u8; 32],
        md5: [u8; 16],
    },
    /// The stream has ended well: the copy gets its name.
    Finish,
}

/// A copy that is being written.
pub struct Sink {
    /// None once it has failed, or everything was given.
    to: Option<SyncSender<Piece>>,
    thread: JoinHandle<Result<()>>,
    begun: Instant,
}

impl Sink {
    /// Begins a copy.
    ///
    /// # Errors
    /// If the destination cannot be written to.
    pub fn start(destination: &Destination, file: &str) -> Result<Self> {
        let begun = Instant::now();
        let (to, pieces) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new().name(format!("ship-{}", destination.number));
        let thread = match &destination.place {
            Place::Bucket(bucket) => {
                let put = start_put(bucket, file, destination.retain_days)?;
                thread.spawn(move || upload(put, &pieces))
            }
            Place::Directory(directory) => {
                let file = directory.create(file)?;
                thread.spawn(move || write(file, &pieces))
            }
        };
        Ok(Self { to: Some(to), thread: thread.context("starting a thread")?, begun })
    }

    /// Passes a piece on. False if the copy has failed.
    pub fn give(&mut self, piece: Piece) -> bool {
        let given = self.to.as_ref().is_some_and(|to| to.send(piece).is_ok());
        if !given {
            self.to = None;
        }
        given
    }

    /// Waits until the copy has its name, or nothing is left of it. Also returns how long that took.
    pub fn finish(mut self) -> (Result<()>, Duration) {
        self.to = None;
        let joined = self.thread.join();
        let written = joined.unwrap_or_else(|_| Err(anyhow!("writing the copy was interrupted")));
        (written, self.begun.elapsed())
    }
}

fn start_put(bucket: &Bucket, file: &str, days: Option<u32>) -> Result<(Running, ChildStdin)> {
    let mut running = bucket.start_put(file, days, &["--framed"])?;
    let stdin = running.take_stdin().context("a pipe")?;
    Ok((running, stdin))
}

fn upload((running, stdin): (Running, ChildStdin), pieces: &Receiver<Piece>) -> Result<()> {
    let written = frame(stdin, pieces);
    // Its status is the cause of a pipe that broke.
    let ended = bucket::ended(running.finish()?);
    ended.and(written)
}

/// Writes the framed stream. Without its last record, `obj-mirror put` stores nothing.
fn frame(stdin: ChildStdin, pieces: &Receiver<Piece>) -> Result<()> {
    let feeding = || "passing the copy to obj-mirror";
    let mut writer = Writer::new(BufWriter::new(stdin)).with_context(feeding)?;
    for piece in pieces {
        match piece {
            Piece::Data(block) => writer.data(&block.0).with_context(feeding)?,
            Piece::PartEnd { sha256, md5 } => {
                writer.checkpoint(&[&sha256[..], &md5].concat()).with_context(feeding)?;
            }
            Piece::Finish => return writer.finish().with_context(feeding),
        }
    }
    Err(unfinished())
}

fn write(mut file: NewFile, pieces: &Receiver<Piece>) -> Result<()> {
    for piece in pieces {
        match piece {
            Piece::Data(block) => file.write_all(&block.0)?,
            Piece::PartEnd { .. } => {}
            Piece::Finish => return file.commit(),
        }
    }
    Err(unfinished())
}

fn unfinished() -> anyhow::Error {
    anyhow!("the bundle could not be sealed, so nothing was stored")
}
