//! Opening a dump: what it needs of a server, and where its text comes from.

use crate::blocks::Blocks;
use crate::gzip;
use crate::head::{Head, Needs};
use crate::index::{self, Index};
use anyhow::Result;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Input that may be read in another thread.
type Input = Box<dyn Read + Send>;

/// Where the dump's text comes from.
pub enum Source {
    /// From a file, section by section.
    Indexed { file: Arc<File>, index: Index },
    /// From a stream, whose beginning has been read already.
    Stream { head: Vec<u8>, blocks: Blocks<Input> },
}

impl Source {
    /// The bytes of the whole text, where an index has them.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Indexed { index, .. } => Some(index.sections.iter().map(|s| s.bytes).sum()),
            Self::Stream { .. } => None,
        }
    }
}

/// An open dump.
pub struct DumpFile {
    /// What its head names.
    pub needs: Needs,
    pub source: Source,
}

impl DumpFile {
    /// Opens a dump (`-` is standard input) and reads its head.
    ///
    /// # Errors
    /// [`pipe_kit::Stop::damaged`] if it is empty, cut, or no dump.
    pub fn open(path: &Path) -> Result<Self> {
        let text = gzip::text_of(pipe_kit::input::open(path)?)?;
        Self::read(path, Box::new(gzip::ReadAhead::new(text)))
    }

    /// Reads the head of a dump that is open already; `text` is uncompressed.
    ///
    /// # Errors
    /// As [`DumpFile::open`].
    pub fn read(path: &Path, text: Input) -> Result<Self> {
        let mut blocks = Blocks::new(text);
        let Head { bytes: head, needs } = Head::read(&mut blocks)?;
        let source = match index::open(path)? {
            Some((file, index)) => Source::Indexed { file, index },
            None => Source::Stream { head, blocks },
        };
        Ok(Self { needs, source })
    }
}
