//! The text of a dump in blocks of whole lines, in bounded memory.

use anyhow::{Result, anyhow};
use pipe_kit::Stop;
use std::io::{self, Read};

/// Bytes read ahead. A longer line comes in several pieces.
const BLOCK: usize = 256 * 1024;

/// Cuts a stream into blocks: whole lines, or a piece of a line longer than a block.
pub struct Blocks<R> {
    input: R,
    buffer: Vec<u8>,
    /// `buffer[..start]` was handed out, `buffer[start..end]` is still to be.
    start: usize,
    end: usize,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    pub fn new(input: R) -> Self {
        Self::with_capacity(input, BLOCK)
    }

    fn with_capacity(input: R, capacity: usize) -> Self {
        Self { input, buffer: vec![0; capacity], start: 0, end: 0, ended: false }
    }

    /// The next block; none at the end of the input.
    ///
    /// # Errors
    /// [`Stop::damaged`] if the gzip stream is cut or damaged.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while !self.ended && self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(read_error(e)),
            }
        }
        let filled = &self.buffer[..self.end];
        // The last piece of a stream, and a line that fills the buffer, go as they are.
        let cut = memchr::memrchr(b'\n', filled).map_or(filled.len(), |at| at + 1);
        self.start = if self.ended { self.end } else { cut };
        Ok((self.start > 0).then(|| &self.buffer[..self.start]))
    }
}

/// An error of the gzip stream is damage; any other is a failure to read.
fn read_error(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Stop::damaged(format!(
                "the dump is incomplete: its gzip stream is truncated or damaged: {error}"
            ))
            .into()
        }
        _ => anyhow!(error).context("reading the dump"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_are_the_input_and_break_at_line_ends_where_lines_fit(
            text in "([a-c]{0,9}\n){0,30}[a-c]{0,9}"
        ) {
            let mut blocks = Blocks::with_capacity(text.as_bytes(), 16);
            let mut whole = Vec::new();
            while let Some(block) = blocks.next().unwrap() {
                whole.extend_from_slice(block);
                prop_assert!(block.ends_with(b"\n") || whole.len() == text.len());
            }
            prop_assert_eq!(whole, text.as_bytes());
        }
    }
}
