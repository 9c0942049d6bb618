//! Writes the dump: sections one after another, the end marker, the index.

use super::pg_dump::END_MARKER;
use super::reorder_buffer::SectionLabel;
use crate::gzip::{self, Deflater, Level, MEMBER};
use crate::index::{Index, Kind, Section};
use anyhow::{Context, Result};
use pipe_kit::output::Output;
use std::io::Write;

pub struct DumpWriter {
    out: Output,
    offset: u64,
    /// Where the current section begins.
    begin: u64,
    index: Index,
}

impl DumpWriter {
    pub fn new(out: Output) -> Self {
        Self { out, offset: 0, begin: 0, index: Index::default() }
    }

    /// Writes a member of the current section.
    pub fn member(&mut self, member: &[u8]) -> Result<()> {
        self.out.write_all(member).context("writing the dump")?;
        self.offset += member.len() as u64;
        Ok(())
    }

    /// Ends the section. One without text gets no entry.
    pub fn end(&mut self, label: SectionLabel) {
        let (offset, length) = (self.begin, self.offset - self.begin);
        self.begin = self.offset;
        if length > 0 {
            let SectionLabel { kind, schema, table, root, rows, bytes } = label;
            let section = Section { offset, length, kind, schema, table, root, rows, bytes };
            self.index.sections.push(section);
        }
    }

    /// Writes a whole section.
    pub fn section(&mut self, label: SectionLabel, members: &[Vec<u8>]) -> Result<()> {
        members.iter().try_for_each(|member| self.member(member))?;
        self.end(label);
        Ok(())
    }

    /// Writes the end marker, and after it the index. `key` is that of the `\restrict` line at the head.
    pub fn finish(mut self, key: Option<&[u8]>, level: Level) -> Result<()> {
        let mut end = END_MARKER.to_vec();
        if let Some(key) = key {
            end.extend_from_slice(&[b"\\unrestrict ", key, b"\n\n"].concat());
        }
        // Not compressed, because the key would change the length, and so the index.
        let member = gzip::stored(&end);
        self.section(SectionLabel::of(Kind::End, end.len() as u64), &[member])?;
        let begin = self.offset;
        let mut deflater = Deflater::new(level);
        for block in self.index.to_text()?.as_bytes().chunks(MEMBER) {
            let member = deflater.member(block).context("compressing the dump")?;
            self.member(&member)?;
        }
        self.member(&Index::locator(begin))?;
        self.out.finish()
    }
}
