//! Bytes that several sinks share.

use crate::place::directory::ALIGNMENT;
use std::io::{ErrorKind, Read, Result};
use std::sync::Arc;

/// A piece of the sealed bundle. It is aligned so that a directory can write it without copying it.
#[derive(Clone)]
pub struct Block {
    memory: Arc<Vec<u8>>,
    start: usize,
    length: usize,
}

impl Block {
    /// Reads the next bytes, as many as asked for unless the stream ends.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub fn read(from: &mut impl Read, most: usize) -> Result<Self> {
        let mut memory = vec![0; most + ALIGNMENT];
        let address = memory.as_ptr().addr();
        let start = address.next_multiple_of(ALIGNMENT) - address;
        let mut length = 0;
        while length < most {
            match from.read(&mut memory[start + length..start + most]) {
                Ok(0) => break,
                Ok(n) => length += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { memory: Arc::new(memory), start, length })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_aligned_and_as_long_as_asked_for_until_the_end() {
        let text: Vec<u8> = (0..25_000).map(|at| (at / 3) as u8).collect();
        // A source that gives little at a time.
        let (first, second) = text.split_at(11);
        let mut from = first.chain(second);
        let blocks: Vec<_> = (0..4).map(|_| Block::read(&mut from, 10_000).unwrap()).collect();
        let lengths: Vec<_> = blocks.iter().map(|block| block.bytes().len()).collect();
        assert_eq!(lengths, [10_000, 10_000, 5_000, 0]);
        assert!(blocks.iter().flat_map(Block::bytes).eq(&text));
        for block in blocks {
            assert!(block.clone().bytes().as_ptr().addr().is_multiple_of(ALIGNMENT));
        }
    }
}
