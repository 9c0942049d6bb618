//! `pg-snap extract`: one schema of a dump, as plain SQL.

mod heading;
mod nearest;
mod outside_schema;
mod schema_filter;
mod subject;
mod wanted_schema;

use crate::blocks::Blocks;
use crate::dump::END_MARKER;
use crate::dump_file::{DumpFile, Source};
use crate::index::{self, Index, Kind, Section};
use crate::random_token::random_token;
use crate::sql::scanner::{Observer, Scanner};
use anyhow::{Context, Result};
pub use heading::{likeliest, readings};
use pipe_kit::output::Output;
use pipe_kit::progress::Bar;
use pipe_kit::{Stop, info};
pub use schema_filter::SchemaFilter;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
pub use wanted_schema::WantedSchema;

/// Writes one schema of a dump to standard output.
///
/// # Errors
/// [`Stop::refused`] if the dump holds no such schema, and nothing was written then;
/// [`Stop::damaged`] if it is incomplete: what was written has no end marker then.
pub fn run(file: &Path, schema: &str) -> Result<()> {
    let DumpFile { needs, source } = DumpFile::open(file)?;
    let wanted = WantedSchema::new(schema, needs.encoding.as_deref(), |encoding| {
        Err(wanted_schema::not_convertible(schema, encoding).into())
    })?;
    let key = if needs.restrict { Some(random_token()?) } else { None };
    let mut writer = ExtractWriter { out: pipe_kit::output::text()?, key, begun: false };
    read(source, &wanted, Scanner::default(), &mut writer)?;
    writer.finish()
}

/// Writes text as it comes, and what makes it a complete dump.
struct ExtractWriter {
    out: Output,
    /// Of the `\restrict` line, where the dump has one.
    key: Option<String>,
    begun: bool,
}

impl ExtractWriter {
    fn finish(mut self) -> Result<()> {
        self.text(END_MARKER)?;
        if let Some(key) = self.key.take() {
            self.text(format!("\\unrestrict {key}\n\n").as_bytes())?;
        }
        self.out.finish()
    }
}

impl Observer for ExtractWriter {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        if let (false, Some(key)) = (self.begun, &self.key) {
            write!(self.out, "\\restrict {key}\n\n").context("writing to standard output")?;
        }
        self.begun = true;
        self.out.write_all(bytes).context("writing to standard output")
    }
}

/// Passes on the text of one schema, and logs what was omitted. If the dump has an index, the rows of
/// other schemas are not read.
///
/// # Errors
/// [`Stop::refused`] if there is no such schema; [`Stop::damaged`] if the dump is not whole, holds a
/// psql command, or cannot be divided.
pub fn read(
    source: Source,
    wanted: &WantedSchema,
    scanner: Scanner,
    observer: &mut impl Observer,
) -> Result<()> {
    let bar = pipe_kit::progress::bytes(None, "extract");
    let mut reader =
        ExtractReader { scanner, filter: SchemaFilter::new(wanted, observer), bar: &bar };
    match source {
        Source::Indexed { file, index } => reader.indexed(&file, &index, wanted)?,
        Source::Stream { head, mut blocks } => {
            reader.scanner.scan(&head, &mut reader.filter)?;
            reader.scan(&mut blocks)?;
        }
    }
    reader.scanner.finish()?;
    reader.filter.finish()?;
    bar.finish_and_clear();
    let filter = reader.filter;
    if !filter.has_schema() {
        return Err(no_such_schema(wanted, filter.schemas()).into());
    }
    if let Some(outside) = filter.outside.summary() {
        info!("omitted, because not in the schema: {outside}");
    }
    Ok(())
}

struct ExtractReader<'a, O> {
    scanner: Scanner,
    filter: SchemaFilter<'a, O>,
    bar: &'a Bar,
}

impl<O: Observer> ExtractReader<'_, O> {
    fn scan<R: Read>(&mut self, blocks: &mut Blocks<R>) -> Result<()> {
        while let Some(block) = blocks.next()? {
            self.bar.inc(block.len() as u64);
            self.scanner.scan(block, &mut self.filter)?;
        }
        Ok(())
    }

    fn indexed(&mut self, file: &Arc<File>, index: &Index, wanted: &WantedSchema) -> Result<()> {
        for section in &index.sections {
            match section.kind {
                Kind::TableData if section.schema.as_deref() != Some(wanted.in_index()) => continue,
                Kind::LargeObjects => {
                    self.filter.outside.note_large_objects();
                    continue;
                }
                _ => {}
            }
            let rows = self.filter.rows();
            self.scan(&mut Blocks::new(index::text_of(Arc::clone(file), section)))?;
            let whole = self.scanner.is_between_statements();
            if !whole || self.filter.rows() - rows != expected(section) {
                return Err(Stop::damaged(
                    "the dump is damaged: a section does not match the index",
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

const LISTED: usize = 5;

fn no_such_schema(wanted: &WantedSchema, schemas: &BTreeSet<String>) -> Stop {
    let schemas: BTreeSet<String> = schemas.iter().map(|name| wanted.readable(name)).collect();
    let schema = wanted.readable(wanted.name());
    let held = match schemas.len() {
        0 => "it contains none".to_owned(),
        count => match nearest::nearest(&schema, schemas.iter()).as_slice() {
            [] => {
                let some: Vec<&str> = schemas.iter().take(LISTED).map(String::as_str).collect();
                let more = if count > LISTED { ", …" } else { "" };
                format!("it contains {count}: {}{more}", some.join(", "))
            }
            near => format!("it contains {count}, the most similar: {}", near.join(", ")),
        },
    };
    Stop::refused(format!("the dump contains no schema {schema}; {held}"))
}
