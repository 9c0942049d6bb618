//! `pg-snap inspect`: shows what a dump contains and whether it is complete, without a server.

mod definitions;
mod report;

use crate::blocks::Blocks;
use crate::database_state::DatabaseState;
use crate::gzip;
use crate::index::{self, Kind};
use crate::sql::name_after;
use crate::sql::scanner::{Observer, Scanner};
use anyhow::Result;
#[cfg(any(test, fuzzing))]
pub use definitions::of_pieces as definitions_of_pieces;
pub use definitions::run as list_definitions;
use pipe_kit::{Exit, Stop};
pub use report::InspectReport;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Prints the report of a dump, from its index if it has one, unless `full`.
///
/// # Errors
/// [`Stop::damaged`] if the dump is incomplete; then there is a report, too.
pub fn run(path: &Path, json: bool, full: bool) -> Result<Exit> {
    let report = if full { None } else { from_index(path)? };
    let mut report = report.map_or_else(|| read_in_full(path), Ok)?;
    report.found.indexed = index::open(path)?.is_some();
    let text =
        if json { format!("{}\n", serde_json::to_string(&report)?) } else { report.to_text() };
    pipe_kit::output::print(&text)?;
    match &report.found.problem {
        Some(problem) => Err(Stop::damaged(format!("{}: {problem}", path.display())).into()),
        None => Ok(Exit::Done),
    }
}

/// Reads a dump to its end to check whether it is complete.
///
/// # Errors
/// [`Stop::damaged`] if it is not.
pub fn check(path: &Path) -> Result<()> {
    match read_in_full(path)?.found.problem {
        Some(problem) => Err(Stop::damaged(problem).into()),
        None => Ok(()),
    }
}

/// The report from the index and the definitions before the data. None if no index fits the file, or if
/// anything read of it is damaged: then the dump must be read in full.
fn from_index(path: &Path) -> Result<Option<InspectReport>> {
    let Some((file, index)) = index::open(path)? else { return Ok(None) };
    let mut report = InspectReport::default();
    for section in &index.sections {
        match section.kind {
            Kind::PreData | Kind::End => {
                let mut scanner = Scanner::default();
                let text = index::text_of(Arc::clone(&file), section);
                let whole = match scan(&mut scanner, &mut report, text) {
                    Ok(()) if section.kind == Kind::End => scanner.finish().is_ok(),
                    Ok(()) => scanner.is_between_statements(),
                    Err(_) => false,
                };
                if !whole {
                    return Ok(None);
                }
            }
            Kind::TableData => report.add_data(section),
            Kind::Sequences | Kind::LargeObjects | Kind::PostData => {}
        }
    }
    report.found.complete = true;
    Ok(Some(report))
}

fn read_in_full(path: &Path) -> Result<InspectReport> {
    let input = pipe_kit::input::open(path)?;
    let text = gzip::ReadAhead::new(gzip::text_of(input)?);
    let (mut scanner, mut report) = (Scanner::default(), InspectReport::default());
    let scanned = scan(&mut scanner, &mut report, text).and_then(|()| Ok(scanner.finish()?));
    match scanned {
        Err(error) if pipe_kit::status::of(&error) == Exit::Damaged => {
            report.found.problem = Some(format!("{error:#}"));
        }
        scanned => scanned?,
    }
    report.found.complete = report.found.problem.is_none();
    Ok(report)
}

fn scan(scanner: &mut Scanner, report: &mut InspectReport, text: impl Read) -> Result<()> {
    let bar = pipe_kit::progress::bytes(None, "inspect");
    let mut blocks = Blocks::new(text);
    if report.found.database.is_none() {
        report.set_database(DatabaseState::from_head(blocks.head()?)?);
    }
    while let Some(block) = blocks.next()? {
        bar.inc(block.len() as u64);
        scanner.scan(block, report)?;
    }
    bar.finish_and_clear();
    Ok(())
}

impl Observer for InspectReport {
    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(&sql[..sql.len().min(1024)]);
        let text = text.trim_start();
        if let Some(name) = name_after(text, &["COPY"]) {
            self.begin_data(name, false);
        } else if let Some(name) = name_after(text, &["INSERT INTO"]) {
            self.begin_data(name, true);
        } else if let Some((_, schema)) = name_after(text, &["CREATE SCHEMA"]) {
            self.add_schema(&schema);
        } else if let Some(name) = name_after(text, &["CREATE TABLE", "CREATE UNLOGGED TABLE"]) {
            self.add_table(name);
        }
        Ok(())
    }

    fn copy_rows(&mut self, rows: u64, bytes: u64) {
        self.add_rows(rows, bytes);
    }

    fn server_version(&mut self, version: &str) {
        self.found.server_version.get_or_insert_with(|| version.to_owned());
    }
}
