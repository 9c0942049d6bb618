//! Makes a section of the dump: text in, gzip members out.

use super::reorder_buffer::{ReorderBuffer, SectionLabel};
use crate::gzip::{Deflater, MEMBER};
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

/// Cuts text into blocks and compresses each.
pub struct SectionWriter<'a, S> {
    deflater: &'a mut Deflater,
    sink: &'a mut S,
    block: Vec<u8>,
    /// Bytes of the block that are text.
    used: usize,
    /// Bytes of text so far.
    pub bytes: u64,
}

impl<'a, S: Sink> SectionWriter<'a, S> {
    pub fn new(deflater: &'a mut Deflater, sink: &'a mut S) -> Self {
        Self { deflater, sink, block: vec![0; MEMBER], used: 0, bytes: 0 }
    }

    pub fn write(&mut self, mut text: &[u8]) -> Result<()> {
        while !text.is_empty() {
            let n = text.len().min(MEMBER - self.used);
            self.fill(|block| {
                block[..n].copy_from_slice(&text[..n]);
                Ok(n)
            })?;
            text = &text[n..];
        }
        Ok(())
    }

    /// Adds what `read` puts into the buffer; returns how much that was.
    pub fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<usize> {
        let n = read(&mut self.block[self.used..])?;
        self.used += n;
        self.bytes += n as u64;
        if self.used == MEMBER {
            self.dispatch()?;
        }
        Ok(n)
    }

    fn dispatch(&mut self) -> Result<()> {
        let member = self.deflater.member(&self.block[..self.used]).map_err(compressing)?;
        self.used = 0;
        self.sink.accept(member)
    }

    /// Compresses the rest; returns the length of the text.
    pub fn finish(mut self) -> Result<u64> {
        if self.used > 0 {
            self.dispatch()?;
        }
        Ok(self.bytes)
    }
}

fn compressing(error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("compressing the dump")
}
