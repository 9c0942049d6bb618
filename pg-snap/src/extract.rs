//! `pg-snap extract`: one schema's part of a dump, as plain SQL.

mod heading;
mod left;
mod nearest;
mod part;
mod subject;

use crate::blocks::Blocks;
use crate::dump::END_MARKER;
use crate::dump_file::{DumpFile, Source};
use crate::index::{self, Index, Kind, Section};
use crate::random_token::random_token;
use crate::sql::scanner::{Observer, Scanner};
use anyhow::{Context, Result};
pub use heading::readings;
pub use part::Part;
use pipe_kit::output::Output;
use pipe_kit::progress::Bar;
use pipe_kit::{Stop, say};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Writes the part of a dump that is of `schema` to standard output.
///
/// # Errors
/// [`Stop::refused`] if the dump holds no such schema, and nothing was written then;
/// [`Stop::damaged`] if it is not whole: what was written has no end marker then.
pub fn run(file: &Path, schema: &str) -> Result<()> {
    let DumpFile { needs, source } = DumpFile::open(file)?;
    let key = if needs.restrict { Some(random_token()?) } else { None };
    let mut writer = Writer { out: pipe_kit::output::text()?, key, begun: false };
    read(source, schema, Scanner::default(), &mut writer)?;
    writer.finish()
}

/// Text as it comes, and what makes it a whole dump.
struct Writer {
    out: Output,
    /// Of the `\restrict` line, where the dump has one.
    key: Option<String>,
    begun: bool,
}

impl Writer {
    fn finish(mut self) -> Result<()> {
        self.text(END_MARKER)?;
        if let Some(key) = self.key.take() {
            self.text(format!("\\unrestrict {key}\n\n").as_bytes())?;
        }
        self.out.finish()
    }
}

impl Observer for Writer {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        if let (false, Some(key)) = (self.begun, &self.key) {
            write!(self.out, "\\restrict {key}\n\n").context("writing to standard output")?;
        }
        self.begun = true;
        self.out.write_all(bytes).context("writing to standard output")
    }
}

/// Passes a schema's part on, and says what was left out. Where the dump has an index, other tables'
/// rows are not read.
///
/// # Errors
/// [`Stop::refused`] if there is no such schema; [`Stop::damaged`] if the dump is not whole, holds a
/// psql command, or cannot be divided; what `wants` gives.
pub fn read(
    source: Source,
    schema: &str,
    scanner: Scanner,
    wants: &mut impl Observer,
) -> Result<()> {
    let bar = pipe_kit::progress::bytes(None, "extract");
    let mut reader = Reader { scanner, part: Part::new(schema, wants), bar: &bar };
    match source {
        Source::Indexed { file, index } => reader.indexed(&file, &index, schema)?,
        Source::Stream { head, mut blocks } => {
            reader.scanner.scan(&head, &mut reader.part)?;
            reader.scan(&mut blocks)?;
        }
    }
    reader.scanner.finish()?;
    reader.part.finish()?;
    bar.finish_and_clear();
    let part = reader.part;
    if !part.is_there() {
        return Err(absent(schema, part.schemas()).into());
    }
    if let Some(left) = part.left.told() {
        say!("not in a schema's part, and left out: {left}");
    }
    Ok(())
}

struct Reader<'a, O> {
    scanner: Scanner,
    part: Part<'a, O>,
    bar: &'a Bar,
}

impl<O: Observer> Reader<'_, O> {
    fn scan<R: Read>(&mut self, blocks: &mut Blocks<R>) -> Result<()> {
        while let Some(block) = blocks.next()? {
            self.bar.inc(block.len() as u64);
            self.scanner.scan(block, &mut self.part)?;
        }
        Ok(())
    }

    fn indexed(&mut self, file: &Arc<File>, index: &Index, schema: &str) -> Result<()> {
        for section in &index.sections {
            match section.kind {
                Kind::TableData if section.schema.as_deref() != Some(schema) => continue,
                Kind::LargeObjects => {
                    self.part.left.large_objects();
                    continue;
                }
                _ => {}
            }
            let rows = self.part.rows();
            self.scan(&mut Blocks::new(index::text_of(Arc::clone(file), section)))?;
            let whole = self.scanner.is_between_statements();
            if !whole || self.part.rows() - rows != expected(section) {
                return Err(Stop::damaged(
                    "the dump is damaged: a section does not hold what its index tells of",
                )
                .into());
            }
        }
        Ok(())
    }
}

fn expected(section: &Section) -> u64 {
    if section.kind == Kind::TableData { section.rows } else { 0 }
}

/// At most so many schemas are listed.
const LISTED: usize = 5;

fn absent(schema: &str, schemas: &BTreeSet<String>) -> Stop {
    let list = |names: &[&str]| {
        names.iter().map(|name| name.replace(char::is_control, "?")).collect::<Vec<_>>().join(", ")
    };
    let held = match schemas.len() {
        0 => "it holds none".to_owned(),
        count => match nearest::nearest(schema, schemas.iter()).as_slice() {
            [] => {
                let some: Vec<&str> = schemas.iter().take(LISTED).map(String::as_str).collect();
                let more = if count > LISTED { ", …" } else { "" };
                format!("it holds {count}: {}{more}", list(&some))
            }
            near => format!("it holds {count}, the nearest: {}", list(near)),
        },
    };
    Stop::refused(format!(
        "the dump holds no schema {}; {held}",
        schema.replace(char::is_control, "?")
    ))
}
