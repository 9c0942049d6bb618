//! The text of a dump in blocks of whole lines, in bounded memory.

use anyhow::{Result, anyhow};
use pipe_kit::Stop;
use std::io::{self, Read};

/// Bytes read ahead. A longer line comes in several pieces.
const BLOCK: usize = 256 * 1024;
/// Bytes that the comments at the head of a dump may have: those of 100,000 roles with a grant and a setting each.
const HEAD_LIMIT: usize = 64 << 20;

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

    /// The comments at the head of the dump, whole, and some text after them; to be asked for before any
    /// block. The blocks begin with it again.
    ///
    /// # Errors
    /// As [`Blocks::next`].
    pub fn head(&mut self) -> Result<&[u8]> {
        self.fill()?;
        while !self.ended && self.end < HEAD_LIMIT && is_comments(&self.buffer[..self.end]) {
            self.buffer.resize(2 * self.buffer.len(), 0);
            self.fill()?;
        }
        Ok(&self.buffer[..self.end])
    }

    /// The next block; none at the end of the input.
    ///
    /// # Errors
    /// [`Stop::damaged`] if the gzip stream is cut or damaged.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.fill()?;
        let filled = &self.buffer[..self.end];
        // The last piece of a stream, and a line that fills the buffer, go as they are.
        let cut = memchr::memrchr(b'\n', filled).map_or(filled.len(), |at| at + 1);
        self.start = if self.ended { self.end } else { cut };
        Ok((self.start > 0).then(|| &self.buffer[..self.start]))
    }

    fn fill(&mut self) -> Result<()> {
        while !self.ended && self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(read_error(e)),
            }
        }
        Ok(())
    }
}

/// The comment lines at the head of a dump, and the empty ones; the last may lack its end.
pub fn comments(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|b| *b == b'\n').take_while(|line| line.is_empty() || line.starts_with(b"--"))
}

/// Whether all of the text is comments, of which more may follow.
fn is_comments(text: &[u8]) -> bool {
    comments(text).count() == memchr::memchr_iter(b'\n', text).count() + 1
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

    #[test]
    fn the_head_is_as_long_as_its_comments_and_comes_again_in_the_blocks() {
        let long = format!("--\n-- {}\n\n", "x".repeat(3 * BLOCK));
        for rest in ["SET a = 1;\n", "", "--"] {
            let text = format!("{long}{rest}");
            let mut blocks = Blocks::new(text.as_bytes());
            assert!(blocks.head().unwrap().starts_with(long.as_bytes()));
            let mut whole = Vec::new();
            while let Some(block) = blocks.next().unwrap() {
                whole.extend_from_slice(block);
            }
            assert_eq!(whole, text.as_bytes());
        }
    }

    #[test]
    fn the_head_has_a_limit_and_is_read_no_further_than_its_block() {
        let endless = io::Read::chain(&b"-- "[..], io::repeat(b'x'));
        assert_eq!(Blocks::new(endless).head().unwrap().len(), HEAD_LIMIT);
        let rows = "SET a = 1;\n".repeat(BLOCK);
        assert_eq!(Blocks::new(rows.as_bytes()).head().unwrap().len(), BLOCK);
    }

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
