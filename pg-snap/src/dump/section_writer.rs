//! Makes a section of the dump: text in, gzip members out.

use super::boundary;
use super::reorder_buffer::{ReorderBuffer, SectionLabel};
use crate::gzip::{self, Deflater, Level, MEMBER};
use anyhow::Result;
use std::io;

/// Where a section's members go.
pub trait Sink {
    fn accept(&mut self, member: Vec<u8>) -> Result<()>;
}

impl Sink for Vec<Vec<u8>> {
    fn accept(&mut self, member: Vec<u8>) -> Result<()> {
        self.push(member);
        Ok(())
    }
}

/// A section that waits in a [`ReorderBuffer`] until it is written.
pub struct BufferedSection<'a> {
    pub buffer: &'a ReorderBuffer,
    pub number: usize,
}

impl BufferedSection<'_> {
    pub fn end(self, label: SectionLabel) {
        self.buffer.end(self.number, label);
    }
}

impl Sink for BufferedSection<'_> {
    fn accept(&mut self, member: Vec<u8>) -> Result<()> {
        Ok(self.buffer.push(self.number, member)?)
    }
}

/// Bytes of text that are held. More than a member's, so that what is left when one is cut off seldom
/// has to be moved.
const HELD: usize = 2 * MEMBER;
/// How much room there is at least for what is read next.
const ROOM: usize = 256 << 10;

/// The compressor, and room for the text that it takes next. One serves any number of sections, one after
/// another: for a table of a few rows, a new one would cost more than the rows.
pub struct MemberMaker {
    deflater: Deflater,
    held: Vec<u8>,
}

impl MemberMaker {
    pub fn new(level: Level) -> Self {
        Self { deflater: Deflater::new(level), held: vec![0; HELD] }
    }
}

/// Cuts text into blocks and compresses each.
pub struct SectionWriter<'a, S> {
    maker: &'a mut MemberMaker,
    sink: &'a mut S,
    /// `maker.held[begin..end]` is text that is not compressed yet.
    begin: usize,
    end: usize,
    /// Bytes of text so far.
    pub bytes: u64,
}

impl<'a, S: Sink> SectionWriter<'a, S> {
    pub fn new(maker: &'a mut MemberMaker, sink: &'a mut S) -> Self {
        Self { maker, sink, begin: 0, end: 0, bytes: 0 }
    }

    pub fn write(&mut self, mut text: &[u8]) -> Result<()> {
        while !text.is_empty() {
            let n = self.fill(|room| {
                let n = text.len().min(room.len());
                room[..n].copy_from_slice(&text[..n]);
                Ok(n)
            })?;
            text = &text[n..];
        }
        Ok(())
    }

    /// Adds what `read` puts into the buffer; returns how much that was.
    pub fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<usize> {
        let held = &mut self.maker.held;
        if held.len() - self.end < ROOM {
            held.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        let n = read(&mut held[self.end..])?;
        self.end += n;
        self.bytes += n as u64;
        while self.end - self.begin >= MEMBER {
            self.dispatch()?;
        }
        Ok(n)
    }

    /// Ends the member, and adds a text, if it is not empty, as a member of its own that is not compressed:
    /// one that differs in every dump, and must change neither other members nor their places.
    pub fn write_apart(&mut self, text: &[u8]) -> Result<()> {
        self.flush()?;
        if text.is_empty() {
            return Ok(());
        }
        self.bytes += text.len() as u64;
        self.sink.accept(gzip::stored(text))
    }

    fn dispatch(&mut self) -> Result<()> {
        let text = &self.maker.held[self.begin..self.end];
        let text = &text[..boundary::first_member(text)];
        let member = self.maker.deflater.member(text).map_err(compressing)?;
        self.begin += text.len();
        self.sink.accept(member)
    }

    fn flush(&mut self) -> Result<()> {
        while self.begin < self.end {
            self.dispatch()?;
        }
        Ok(())
    }

    /// Compresses the rest; returns the length of the text.
    pub fn finish(mut self) -> Result<u64> {
        self.flush()?;
        Ok(self.bytes)
    }
}

fn compressing(error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("compressing the dump")
}
