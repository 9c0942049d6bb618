//! Gzip in both directions: written as a sequence of members compressed in parallel, which every
//! gunzip reads as one stream; read as one stream, whoever wrote it.

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};

/// Bytes of text in a member. Large enough that starting the dictionary anew costs under 1 %.
const MEMBER: usize = 1 << 20;

type Compressed = io::Result<Vec<u8>>;
type Job = (Vec<u8>, SyncSender<Compressed>);

/// Writes gzip members to `out`, compressed by several threads, in order. Memory is bounded by the
/// number of threads. Dropped unfinished, it leaves a stream that is visibly cut.
pub struct Writer<W: Write> {
    out: W,
    text: Vec<u8>,
    jobs: Sender<Job>,
    ahead: usize,
    waiting: VecDeque<Receiver<Compressed>>,
}

impl<W: Write> Writer<W> {
    /// `threads` compress at `level` (1 to 9).
    pub fn new(out: W, level: u32, threads: NonZero<usize>) -> Self {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads.get() {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || work(&queue, level));
        }
        Self {
            out,
            text: Vec::with_capacity(MEMBER),
            jobs,
            ahead: 2 * threads.get(),
            waiting: VecDeque::new(),
        }
    }

    fn dispatch(&mut self) -> io::Result<()> {
        let text = std::mem::replace(&mut self.text, Vec::with_capacity(MEMBER));
        let (done, result) = sync_channel(1);
        self.jobs.send((text, done)).map_err(|_| gone())?;
        self.waiting.push_back(result);
        while self.waiting.len() > self.ahead {
            self.collect()?;
        }
        Ok(())
    }

    fn collect(&mut self) -> io::Result<()> {
        match self.waiting.pop_front() {
            Some(result) => self.out.write_all(&result.recv().map_err(|_| gone())??),
            None => Ok(()),
        }
    }

    /// Writes what is left and gives back the underlying writer. An empty stream is one empty member.
    ///
    /// # Errors
    /// If compressing or writing fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.dispatch()?;
        while !self.waiting.is_empty() {
            self.collect()?;
        }
        Ok(self.out)
    }
}

fn gone() -> io::Error {
    io::Error::other("a compression thread is gone")
}

fn work(queue: &Mutex<Receiver<Job>>, level: u32) {
    loop {
        let job = queue.lock().ok().and_then(|queue| queue.recv().ok());
        let Some((text, done)) = job else { return };
        // Nobody waits for the result any more when the writer was dropped.
        let _ = done.send(member(&text, level));
    }
}

fn member(text: &[u8], level: u32) -> Compressed {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 3), Compression::new(level));
    encoder.write_all(text)?;
    encoder.finish()
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(MEMBER - self.text.len());
        self.text.extend_from_slice(&bytes[..n]);
        if self.text.len() == MEMBER {
            self.dispatch()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The text of a dump, gzipped or plain. A gzip stream that is cut or damaged gives
/// `UnexpectedEof` or `InvalidData`/`InvalidInput` at that point.
///
/// # Errors
/// If its first bytes cannot be read.
pub fn text_of(input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let mut input = BufReader::with_capacity(256 * 1024, input);
    let zipped = input.fill_buf().context("reading the dump")?.starts_with(&[0x1f, 0x8b]);
    Ok(if zipped { Box::new(MultiGzDecoder::new(input)) } else { Box::new(input) })
}

/// Reads ahead in a thread, so that inflating and using the text overlap.
pub struct ReadAhead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: io::Cursor<Vec<u8>>,
}

impl ReadAhead {
    /// Starts reading.
    pub fn new(mut input: Box<dyn Read + Send>) -> Self {
        let (send, blocks) = sync_channel(8);
        std::thread::spawn(move || {
            loop {
                let mut block = vec![0; 128 * 1024];
                let read = match input.read(&mut block) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(n) => {
                        block.truncate(n);
                        Ok(block)
                    }
                    Err(e) => Err(e),
                };
                let last = read.as_ref().map_or(true, Vec::is_empty);
                if send.send(read).is_err() || last {
                    return;
                }
            }
        });
        Self { blocks, block: io::Cursor::default() }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.block.position() == self.block.get_ref().len() as u64 {
            match self.blocks.recv() {
                Ok(block) => self.block = io::Cursor::new(block?),
                Err(_) => return Ok(0),
            }
        }
        self.block.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip(text: &[u8], threads: usize) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 6, NonZero::new(threads).unwrap());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn unzip(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        ReadAhead::new(text_of(Box::new(io::Cursor::new(bytes))).unwrap())
            .read_to_end(&mut text)?;
        Ok(text)
    }

    fn sample() -> Vec<u8> {
        (0..3_000_000u32)
            .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_le_bytes())
            .take(3 << 20)
            .collect()
    }

    #[test]
    fn members_read_back_as_one_stream_whatever_the_number_of_threads() {
        let text = sample();
        assert!(unzip(zip(&text, 1)).unwrap() == text);
        assert!(zip(&text, 1) == zip(&text, 3));
        assert!(unzip(zip(b"", 2)).unwrap().is_empty());
        assert_eq!(unzip(b"plain".to_vec()).unwrap(), b"plain");
    }

    #[test]
    fn a_cut_stream_is_an_error_where_it_was_cut() {
        let zipped = zip(&sample(), 2);
        for cut in [1, 17, zipped.len() / 2, zipped.len() - 1] {
            if cut > 1 {
                assert!(unzip(zipped[..cut].to_vec()).is_err(), "cut at {cut}");
            }
        }
        let mut flipped = zipped.clone();
        flipped[zipped.len() / 2] ^= 1;
        assert!(unzip(flipped).is_err());
    }
}
