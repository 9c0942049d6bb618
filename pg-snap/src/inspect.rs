//! `pg-snap inspect`: what a dump holds, and whether it is whole, without a server.

mod report;

use crate::database_state::DatabaseState;
use crate::gzip;
use crate::index::{self, Kind};
use crate::lines::Blocks;
use crate::load::reading;
use crate::scanner::{Observer, Scanner};
use anyhow::Result;
use pipe_kit::{Exit, Stop};
pub use report::{Report, name_after};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Prints the report of a dump. Where it has an index, that tells, unless all of it is to be read.
///
/// # Errors
/// If the input cannot be read at all; a dump that is not whole is a report, and status 4.
pub fn run(path: &Path, json: bool, full: bool) -> Result<Exit> {
    let report = if full { None } else { from_index(path)? };
    let report = report.map_or_else(|| read(path), Ok)?;
    let text =
        if json { format!("{}\n", serde_json::to_string(&report)?) } else { report.to_text() };
    pipe_kit::output::print(&text)?;
    match &report.found.problem {
        Some(problem) => Err(Stop::damaged(format!("{}: {problem}", path.display())).into()),
        None => Ok(Exit::Done),
    }
}

/// Reads a dump to its end to see whether it is whole.
///
/// # Errors
/// [`Stop::damaged`] if it is not.
pub fn check(path: &Path) -> Result<()> {
    match read(path)?.found.problem {
        Some(problem) => Err(Stop::damaged(problem).into()),
        None => Ok(()),
    }
}

/// What the index tells, and the definitions before the data. None where there is no index that fits
/// the file, or where anything that is read of it is damaged: then all of it must be read.
fn from_index(path: &Path) -> Result<Option<Report>> {
    let Some((file, index)) = index::of(path)? else { return Ok(None) };
    let mut report = Report::default();
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

fn read(path: &Path) -> Result<Report> {
    let input = pipe_kit::input::open(path)?;
    let text = gzip::ReadAhead::new(gzip::text_of(input)?);
    let (mut scanner, mut report) = (Scanner::default(), Report::default());
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

fn scan(scanner: &mut Scanner, report: &mut Report, text: impl Read) -> Result<()> {
    let bar = pipe_kit::progress::bytes(None, "inspect");
    let mut blocks = Blocks::new(text);
    while let Some(block) = blocks.next().map_err(reading)? {
        if report.found.database.is_none() {
            report.set_database(DatabaseState::from_head(block.bytes)?);
        }
        bar.inc(block.bytes.len() as u64);
        scanner.scan(block.bytes, report)?;
    }
    bar.finish_and_clear();
    Ok(())
}

impl Observer for Report {
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
