//! Reads the input and divides it into parts, in a thread of its own: the end of a run must not wait for a pipe that
//! nothing comes through.

use crate::put::buffer::{Buffer, Buffers};
use crate::put::input::{FileInput, Input};
use crate::put::room::Permit;
use crate::s3::content::{Content, Digests, FileRange};
use anyhow::{Context, Result, bail};
use bundle_format::parts;
use pipe_kit::Stop;
use pipe_kit::framed::{Reader, Record};
use pipe_kit::text::hex;
use sha2::{Digest, Sha256};
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What comes out of the input, in order.
pub enum Event {
    Part(SourcePart),
    /// The input has ended well.
    End(Whole),
}

/// A part of the input.
pub struct SourcePart {
    /// From 1.
    pub number: u32,
    pub content: Content,
    /// If they are known already.
    pub digests: Option<Digests>,
    /// Kept until the part is sent.
    pub kept: Option<Permit>,
}

impl SourcePart {
    fn empty() -> Self {
        Self { number: 1, content: Content::default(), digests: None, kept: None }
    }
}

/// What the whole input was.
#[derive(Debug, Default)]
pub struct Whole {
    pub bytes: u64,
    /// Hex, if requested.
    pub sha256: Option<String>,
}

type Events = Sender<Result<Event>>;

/// Starts reading. `with_sha256`: the SHA-256 of the whole input is needed.
pub fn start(
    input: Input,
    buffers: Buffers,
    with_sha256: bool,
) -> io::Result<Receiver<Result<Event>>> {
    let (to, events) = channel(1);
    let reader = std::thread::Builder::new().name("input".into());
    reader.spawn(move || {
        let mut whole = WholeDigest::new(with_sha256);
        let read = match input {
            Input::File(file) => of_file(&file, &to, &mut whole),
            Input::Stream(from) => of_stream(from, &buffers, &to, &mut whole),
            Input::Framed(from) => of_framed(from, &buffers, &to),
        };
        // Without a receiver the run is over.
        let _ = match read {
            Ok(None) => Ok(()),
            Ok(Some(bytes)) => {
                let end = Event::End(Whole { bytes, sha256: whole.finish() });
                // An object has at least one part.
                let empty = (bytes == 0).then(|| Event::Part(SourcePart::empty()));
                let mut rest = empty.into_iter().chain([end]);
                rest.try_for_each(|event| to.blocking_send(Ok(event)))
            }
            Err(error) => to.blocking_send(Err(error)),
        };
    })?;
    Ok(events)
}

/// The SHA-256 of the whole input, if it is needed.
struct WholeDigest(Option<Sha256>);

impl WholeDigest {
    fn new(is_needed: bool) -> Self {
        Self(is_needed.then(Sha256::new))
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.0 {
            sha256.update(bytes);
        }
    }

    fn finish(self) -> Option<String> {
        self.0.map(|sha256| hex(&sha256.finalize()))
    }
}

/// The number of bytes read; none if nobody wants the parts any more.
type Size = Result<Option<u64>>;

fn of_file(input: &FileInput, to: &Events, whole: &mut WholeDigest) -> Size {
    let size = parts::of_size(input.size);
    let mut at = 0;
    for number in 1.. {
        if at == input.size {
            break;
        }
        let length = size.min(input.size - at);
        let file = Arc::clone(&input.file);
        let content = Content::File(FileRange { file, start: input.start + at, length });
        let mut rest = content.clone();
        while whole.0.is_some() && !rest.is_empty() {
            let bytes = rest.take(256 * 1024).with_context(|| format!("reading {}", input.shown));
            whole.update(&bytes?);
        }
        let part = SourcePart { number, content, digests: None, kept: None };
        if to.blocking_send(Ok(Event::Part(part))).is_err() {
            return Ok(None);
        }
        at += length;
    }
    Ok(Some(at))
}

fn of_stream(
    mut from: Box<dyn Read + Send>,
    buffers: &Buffers,
    to: &Events,
    whole: &mut WholeDigest,
) -> Size {
    let mut bytes = 0;
    for number in 1..=parts::MOST {
        let size = parts::of_stream(number);
        let mut buffer = buffers.empty(size).context("holding a part")?;
        let mut is_end = false;
        while !is_end && buffer.length() < size {
            let left = size - buffer.length();
            let read = buffer.append(left, |free| {
                let n = from.read(free)?;
                whole.update(&free[..n]);
                Ok(n)
            });
            match read {
                Ok(n) => is_end = n == 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading the input"),
            }
        }
        bytes += buffer.length();
        if !give(number, buffer, None, to) {
            return Ok(None);
        }
        if is_end {
            return Ok(Some(bytes));
        }
    }
    bail!("the input is longer than the 8 TiB that one object can hold")
}

/// Passes a part on, unless it is empty. False if nobody wants it.
fn give(number: u32, buffer: Buffer, digests: Option<Digests>, to: &Events) -> bool {
    if buffer.length() == 0 {
        return true;
    }
    let (content, kept) = buffer.into_content();
    to.blocking_send(Ok(Event::Part(SourcePart { number, content, digests, kept }))).is_ok()
}

/// A part ends at each checkpoint, which holds its SHA-256 and its MD5.
fn of_framed(from: Box<dyn Read + Send>, buffers: &Buffers, to: &Events) -> Size {
    let mut reader = Reader::new(from);
    let mut number = 1;
    let mut buffer = buffers.empty(parts::of_stream(number)).context("holding a part")?;
    loop {
        match reader.next_record().context("reading the input")? {
            Record::Data(length) => {
                if buffer.length() + length as u64 > parts::of_stream(number) {
                    bail!("reading the input: part {number} is larger than it may be");
                }
                let mut left = length as u64;
                while left > 0 {
                    let read = |free: &mut [u8]| reader.data(free).map(|()| free.len());
                    left -= buffer.append(left, read).context("reading the input")? as u64;
                }
            }
            Record::Checkpoint(note) => {
                let digests = digests_of(&note)?;
                let next = number + u32::from(buffer.length() > 0);
                if !give(number, buffer, Some(digests), to) {
                    return Ok(None);
                }
                number = next;
                buffer = buffers.empty(parts::of_stream(number)).context("holding a part")?;
            }
            Record::End(bytes) if buffer.length() == 0 => return Ok(Some(bytes)),
            Record::End(_) => bail!("reading the input: the last part has no checksums"),
        }
    }
}

fn digests_of(note: &[u8]) -> Result<Digests> {
    let split = note.split_at_checked(32);
    let read = split.and_then(|(sha256, md5)| {
        Some(Digests { sha256: sha256.try_into().ok()?, md5: md5.try_into().ok()? })
    });
    let wrong = "reading the input: a checkpoint does not hold a SHA-256 and an MD5";
    read.ok_or_else(|| Stop::with_exit(pipe_kit::Exit::Failed, wrong).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::content::Digesting;
    use pipe_kit::framed::Writer;

    fn read(input: Input) -> Result<(Vec<u64>, Whole)> {
        let buffers = Buffers::new(std::env::temp_dir());
        let mut events = start(input, buffers, true).unwrap();
        let mut sizes = Vec::new();
        loop {
            match events.blocking_recv().unwrap()? {
                Event::Part(part) => {
                    if let Some(digests) = part.digests {
                        assert_eq!(digests, part.content.digests().unwrap());
                    }
                    sizes.push(part.content.len());
                }
                Event::End(whole) => return Ok((sizes, whole)),
            }
        }
    }

    fn framed(pieces: &[&[u8]], finishes: bool) -> Input {
        let mut stream = Vec::new();
        let mut writer = Writer::new(&mut stream).unwrap();
        for piece in pieces {
            let mut sums = Digesting::default();
            sums.update(piece);
            let digests = sums.finish();
            writer.data(piece).unwrap();
            writer.checkpoint(&[&digests.sha256[..], &digests.md5].concat()).unwrap();
        }
        if finishes {
            writer.finish().unwrap();
        }
        Input::Framed(Box::new(io::Cursor::new(stream)))
    }

    #[test]
    fn a_stream_is_divided_and_counted() {
        let size = parts::SMALLEST;
        for bytes in [0, 1, size - 1, size, size + 1, 3 * size] {
            let (sizes, whole) = read(Input::Stream(Box::new(io::repeat(7).take(bytes)))).unwrap();
            assert_eq!((sizes.iter().sum::<u64>(), whole.bytes), (bytes, bytes));
            assert_eq!(sizes.len() as u64, bytes.div_ceil(size).max(1), "{bytes}");
        }
    }

    #[test]
    fn a_framed_stream_needs_its_end_and_its_checksums() {
        let (sizes, whole) = read(framed(&[b"abc", b"", b"de"], true)).unwrap();
        assert_eq!((sizes, whole.bytes), (vec![3, 2], 5));
        assert_eq!(read(framed(&[], true)).unwrap().0, [0]);
        assert!(read(framed(&[b"abc"], false)).is_err());
        let mut stream = Vec::new();
        let mut writer = Writer::new(&mut stream).unwrap();
        writer.data(b"abc").unwrap();
        writer.finish().unwrap();
        assert!(read(Input::Framed(Box::new(io::Cursor::new(stream)))).is_err());
        assert!(digests_of(&[0; 47]).is_err() && digests_of(&[0; 49]).is_err());
    }
}
