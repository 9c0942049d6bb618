//! A dump as a sequence of statements and rows. What psql would misread is corrected.

use super::definition::ObjectName;
use crate::blocks::Blocks;
use crate::sql::scanner::{Observer, Scanner};
use crate::sql::{self, StatementKind, classify};
use anyhow::{Error, Result};
use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

/// Rows are passed on in pieces of at least so many bytes, but for the last of a table.
const ROWS: usize = 256 << 10;

/// A part of a dump.
pub enum DumpPart {
    Statement(DumpStatement),
    /// A `COPY … FROM stdin`. Its rows follow.
    Copy(DumpStatement),
    /// Whole lines of the last COPY.
    Rows(Vec<u8>),
    /// The last COPY has no more rows.
    EndOfRows,
}

/// A statement as psql is sent it.
pub struct DumpStatement {
    pub kind: StatementKind,
    /// With its semicolon and line feed, without the comments above it.
    pub text: Vec<u8>,
    /// The object that pg_dump's comment above it names.
    pub object: Option<Arc<ObjectName>>,
    /// Bytes of the dump that it takes, with the comments.
    pub length: usize,
}

impl DumpStatement {
    /// What it is about, for an error.
    pub fn what(&self) -> String {
        self.object.as_ref().map_or_else(|| "a statement".into(), |object| object.to_string())
    }
}

/// Reads a dump, or one of its sections, part by part.
pub struct StatementReader<R> {
    blocks: Blocks<R>,
    scanner: Scanner,
    collector: Collector,
    /// Why scanning stopped. Reported once all parts before that are taken.
    failure: Option<Error>,
}

impl<R: Read> StatementReader<R> {
    pub fn new(scanner: Scanner, blocks: Blocks<R>) -> Self {
        Self { blocks, scanner, collector: Collector::default(), failure: None }
    }

    /// Reads text that comes before the blocks.
    pub fn read_first(&mut self, text: &[u8]) {
        self.failure = self.scanner.scan(text, &mut self.collector).err();
    }

    /// The next part; none at the end.
    ///
    /// # Errors
    /// [`pipe_kit::Stop::damaged`] if the dump is damaged or holds a psql command.
    pub fn next(&mut self) -> Result<Option<DumpPart>> {
        loop {
            if let Some(part) = self.collector.parts.pop_front() {
                return Ok(Some(part));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            let Some(block) = self.blocks.next()? else { return Ok(None) };
            self.failure = self.scanner.scan(block, &mut self.collector).err();
        }
    }

    /// The next rows of a COPY; none at their end.
    pub fn next_rows(&mut self) -> Result<Option<Vec<u8>>> {
        match self.next()? {
            Some(DumpPart::Rows(lines)) => Ok(Some(lines)),
            // Without an end of the rows, the dump is cut, which the scanner reports at its end.
            _ => Ok(None),
        }
    }

    /// The scanner, which knows whether the text read so far is whole.
    pub fn scanner(&self) -> &Scanner {
        &self.scanner
    }
}

/// Collects the parts of a block.
#[derive(Default)]
struct Collector {
    parts: VecDeque<DumpPart>,
    /// Text since the last part.
    text: Vec<u8>,
    in_copy: bool,
    /// The COPY whose rows come next.
    copy: Option<StatementKind>,
    object: Option<Arc<ObjectName>>,
}

impl Collector {
    fn take_statement(&mut self, kind: StatementKind) -> DumpStatement {
        let mut text = std::mem::take(&mut self.text);
        let length = text.len();
        text.drain(..sql::length_of_comments(&text));
        DumpStatement { kind, text, object: self.object.clone(), length }
    }

    fn take_rows(&mut self) {
        let lines = std::mem::take(&mut self.text);
        if !lines.is_empty() {
            self.parts.push_back(DumpPart::Rows(lines));
        }
    }
}

impl Observer for Collector {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        // What was collected before is whole lines, and not the end of the rows.
        if self.in_copy && self.text.len() >= ROWS && self.text.ends_with(b"\n") {
            self.take_rows();
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let kind = classify(sql);
        if let StatementKind::Copy { .. } = kind {
            self.copy = Some(kind);
            return Ok(());
        }
        let mut statement = self.take_statement(kind);
        statement.text = sql::loadable(statement.text);
        if statement.text.is_empty() {
            return Ok(());
        }
        // psql reads lines. What follows on this one belongs to the next statement.
        statement.text.push(b'\n');
        self.parts.push_back(DumpPart::Statement(statement));
        Ok(())
    }

    fn comment(&mut self, text: &str) -> Result<()> {
        if let Some(object) = ObjectName::of_comment(text) {
            self.object = Some(Arc::new(object));
        }
        Ok(())
    }

    fn copy_begins(&mut self) -> Result<()> {
        let kind = self.copy.take().unwrap_or(StatementKind::Other);
        let statement = self.take_statement(kind);
        self.parts.push_back(DumpPart::Copy(statement));
        self.in_copy = true;
        Ok(())
    }

    fn copy_ends(&mut self) -> Result<()> {
        // Whoever copies the rows sends the line that ends them.
        let end = memchr::memrchr(b'\n', self.text.trim_ascii_end()).map_or(0, |at| at + 1);
        self.text.truncate(end);
        self.take_rows();
        self.in_copy = false;
        self.parts.push_back(DumpPart::EndOfRows);
        Ok(())
    }
}
