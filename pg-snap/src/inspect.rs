//! `pg-snap inspect`: what a dump holds, and whether it is whole, without a server.

mod report;

use crate::database_state::DatabaseState;
use crate::gzip;
use crate::lines::Blocks;
use crate::load::reading;
use crate::scanner::{Observer, Scanner};
use anyhow::Result;
use pipe_kit::{Exit, Stop};
pub use report::{Report, name_after};
use std::path::Path;

/// Prints the report of a dump.
///
/// # Errors
/// If the input cannot be read at all; a dump that is not whole is a report, and status 4.
pub fn run(file: &Path, json: bool) -> Result<Exit> {
    let report = read(file)?;
    let text =
        if json { format!("{}\n", serde_json::to_string(&report)?) } else { report.to_text() };
    pipe_kit::output::print(&text)?;
    match &report.problem {
        Some(problem) => Err(Stop::damaged(format!("{}: {problem}", file.display())).into()),
        None => Ok(Exit::Done),
    }
}

/// Reads a dump to its end to see whether it is whole.
///
/// # Errors
/// [`Stop::damaged`] if it is not.
pub fn check(file: &Path) -> Result<()> {
    match read(file)?.problem {
        Some(problem) => Err(Stop::damaged(problem).into()),
        None => Ok(()),
    }
}

fn read(file: &Path) -> Result<Report> {
    let input = pipe_kit::input::open(file)?;
    let text = gzip::ReadAhead::new(gzip::text_of(input)?);
    let bar = pipe_kit::progress::bytes(None, "inspect");
    let (mut scanner, mut report) = (Scanner::default(), Report::default());
    let mut blocks = Blocks::new(text);
    let mut first = true;
    let scanned = loop {
        match blocks.next().map_err(reading) {
            Ok(Some(block)) => {
                if std::mem::take(&mut first) {
                    report.database = DatabaseState::from_head(block.bytes)?;
                }
                bar.inc(block.bytes.len() as u64);
                if let Err(error) = scanner.scan(block.bytes, &mut report) {
                    break Err(error);
                }
            }
            Ok(None) => break scanner.finish().map_err(anyhow::Error::from),
            Err(error) => break Err(error),
        }
    };
    bar.finish_and_clear();
    match scanned {
        Err(error) if pipe_kit::status::of(&error) == Exit::Damaged => {
            report.problem = Some(format!("{error:#}"));
        }
        scanned => scanned?,
    }
    report.complete = report.problem.is_none();
    Ok(report)
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
        self.server_version.get_or_insert_with(|| version.to_owned());
    }
}
