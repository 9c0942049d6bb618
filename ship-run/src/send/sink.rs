//! Writes one copy, in a thread of its own, so that all destinations are written at the same time.

use crate::place::bucket::{self, Bucket};
use crate::place::directory::NewFile;
use crate::place::{Destination, Files, Place, unusable};
use crate::send::block::Block;
use crate::waits::Waits;
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::child::Running;
use pipe_kit::framed::Writer;
use std::io::BufWriter;
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Blocks that wait for a destination.
const AHEAD: usize = 8;
/// The pause between two tries to pass on a block.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a destination may take nothing. All of them are as fast as the slowest, but none stops the others.
const STALLED: Duration = Duration::from_secs(15 * 60);
/// How long one may take for what it was given, once all was given.
const LAST: Duration = Duration::from_secs(2 * 3600);

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
    ended: Receiver<Result<()>>,
    is_stalled: bool,
    begun: Instant,
    waits: Waits,
}

impl Sink {
    /// Begins a copy. `waits`: the time that the run waits for it.
    ///
    /// # Errors
    /// If the destination cannot be written to.
    pub fn start(destination: &Destination, file: &str, waits: Waits) -> Result<Self> {
        let begun = Instant::now();
        let waiting = waits.begin();
        let (to, pieces) = sync_channel(AHEAD);
        let (end, ended) = sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("ship-{}", destination.number));
        let thread = match &destination.place {
            Place::Files(Files::Bucket(bucket)) => {
                let put = start_put(bucket, file, destination.retain_days)?;
                thread.spawn(move || drop(end.send(upload(put, &pieces))))
            }
            Place::Files(Files::Directory(directory)) => {
                let file = directory.create(file)?;
                thread.spawn(move || drop(end.send(write(file, &pieces))))
            }
            Place::Unusable(why) => return Err(unusable(why)),
            Place::Restic(_) => bail!("a restic repository takes no sealed file"),
        };
        // It is not joined: one that hangs must not stop the others.
        thread.context("starting a thread")?;
        drop(waiting);
        Ok(Self { to: Some(to), ended, is_stalled: false, begun, waits })
    }

    /// Passes a piece on. False if the copy has failed.
    pub fn give(&mut self, piece: Piece) -> bool {
        let Some(to) = &self.to else { return false };
        match give_within(to, piece, STALLED, &self.waits) {
            Given::Taken => return true,
            Given::Failed => {}
            Given::Stalled => self.is_stalled = true,
        }
        self.to = None;
        false
    }

    /// Waits until the copy has its name, or nothing is left of it. Also returns how long that took.
    pub fn finish(mut self) -> (Result<()>, Duration) {
        self.to = None;
        let _waiting = self.waits.begin();
        let written = match self.is_stalled {
            true => Err(stalled(STALLED)),
            false => match self.ended.recv_timeout(LAST) {
                Ok(written) => written,
                Err(RecvTimeoutError::Timeout) => Err(stalled(LAST)),
                Err(RecvTimeoutError::Disconnected) => {
                    Err(anyhow!("writing the copy was interrupted"))
                }
            },
        };
        (written, self.begun.elapsed())
    }
}

enum Given {
    Taken,
    /// The thread has ended.
    Failed,
    Stalled,
}

fn give_within(to: &SyncSender<Piece>, piece: Piece, limit: Duration, waits: &Waits) -> Given {
    let begun = Instant::now();
    let mut piece = piece;
    let mut waiting = None;
    loop {
        match to.try_send(piece) {
            Ok(()) => return Given::Taken,
            Err(TrySendError::Disconnected(_)) => return Given::Failed,
            Err(TrySendError::Full(_)) if begun.elapsed() >= limit => return Given::Stalled,
            Err(TrySendError::Full(back)) => piece = back,
        }
        waiting = waiting.or_else(|| Some(waits.begin()));
        std::thread::sleep(PAUSE);
    }
}

fn stalled(limit: Duration) -> anyhow::Error {
    anyhow!("it accepted nothing for {} min; the copy to it was stopped", limit.as_secs() / 60)
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
            Piece::Data(block) => writer.data(block.bytes()).with_context(feeding)?,
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
            Piece::Data(block) => file.write_all(block.bytes())?,
            Piece::PartEnd { .. } => {}
            Piece::Finish => return file.commit(),
        }
    }
    Err(unfinished())
}

fn unfinished() -> anyhow::Error {
    anyhow!("the bundle could not be sealed, so nothing was stored")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_that_accepts_nothing_fails_after_a_limit_and_one_that_has_failed_at_once() {
        let (to, pieces) = sync_channel(1);
        let (limit, waits) = (Duration::from_millis(20), Waits::default());
        assert!(matches!(give_within(&to, Piece::Finish, limit, &waits), Given::Taken));
        assert_eq!(waits.total(), Duration::ZERO);
        assert!(matches!(give_within(&to, Piece::Finish, limit, &waits), Given::Stalled));
        assert!(waits.total() > Duration::ZERO);
        drop(pieces);
        assert!(matches!(give_within(&to, Piece::Finish, STALLED, &waits), Given::Failed));
    }
}
