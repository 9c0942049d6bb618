//! Feeding a dump to the server, and believing it only when both ends say that it was whole.

use super::crew::Crew;
use super::director::Director;
use super::omitted::Omitted;
use super::repair::Repair;
use super::settings;
use crate::blocks::Blocks;
use crate::dump_file::Source;
use crate::index::{self, Index, Kind};
use crate::psql::{MAY_END, Server};
use crate::scanner::Scanner;
use crate::sql::literal;
use anyhow::Result;
use pipe_kit::{Stop, warning};
use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::sync::Arc;

/// How a dump is loaded.
pub struct Plan<'a> {
    /// An empty database.
    pub database: &'a str,
    /// Sessions that load at the same time.
    pub jobs: NonZero<usize>,
    /// The elements of the search path that the source database had.
    pub search_path: &'a [String],
    /// Whether what is derived from rows may be left out where it cannot be made.
    pub keep_going: bool,
}

/// Loads the dump; gives what was left out.
///
/// # Errors
/// [`Stop::damaged`] if it is not whole or holds a psql command; the server's own error.
pub fn feed(server: &Server, plan: &Plan<'_>, source: Source) -> Result<Vec<Omitted>> {
    let crew = Crew::default();
    let begin = settings::begin(server, plan.jobs.get());
    let repair = Repair::new(server, plan.database, &begin, plan.search_path, plan.keep_going);
    let bar = pipe_kit::progress::bytes(None, "load");
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.get() {
            scope.spawn(|| crew.work(&repair, &bar));
        }
        let done =
            Director::open(&crew, &repair, plan.jobs.get(), &bar).and_then(
                |director| match source {
                    Source::Indexed { file, index } => indexed(server, director, &file, index),
                    Source::Stream { head, blocks } => streamed(server, director, &head, blocks),
                },
            );
        if let Err(error) = done {
            crew.fail(error);
            // Whoever waits for the server would not hear of it otherwise.
            end_sessions(server, plan.database);
        }
    });
    bar.finish_and_clear();
    match crew.failure() {
        Some(error) => Err(error),
        None => Ok(repair.into_omitted()),
    }
}

/// A server that is down has none.
fn end_sessions(server: &Server, database: &str) {
    let ended = server.query(
        &server.maintenance,
        &format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
             WHERE datname = {} AND pid <> pg_catalog.pg_backend_pid() AND ({MAY_END})",
            literal(database)
        ),
    );
    if let Err(error) = ended
        && server.query(&server.maintenance, "SELECT 1").is_ok()
    {
        warning!("sessions in {database} may still be at work: {error:#}");
    }
}

/// What reads a dump for the server's psql.
pub fn scanner(server: &Server) -> Scanner {
    match server.psql().version.knows_restrict() {
        true => Scanner::default(),
        false => Scanner::for_open_psql(),
    }
}

fn scan<R: Read>(
    scanner: &mut Scanner,
    blocks: &mut Blocks<R>,
    director: &mut Director<'_>,
) -> Result<()> {
    while let Some(block) = blocks.next()? {
        scanner.scan(block, director)?;
    }
    Ok(())
}

/// A dump that comes as a stream: its text in its order.
fn streamed<R: Read>(
    server: &Server,
    mut director: Director<'_>,
    head: &[u8],
    mut blocks: Blocks<R>,
) -> Result<()> {
    let mut scanner = scanner(server);
    scanner.scan(head, &mut director)?;
    scan(&mut scanner, &mut blocks, &mut director)?;
    scanner.finish()?;
    director.finish()
}

/// A dump whose index tells where everything lies: definitions first, then, while the workers fetch
/// the tables' rows, what comes after them.
fn indexed(
    server: &Server,
    mut director: Director<'_>,
    file: &Arc<File>,
    index: Index,
) -> Result<()> {
    let (rows, others): (Vec<_>, Vec<_>) =
        index.sections.into_iter().partition(|section| section.kind == Kind::TableData);
    let read = |kind: Kind, director: &mut Director<'_>| -> Result<()> {
        for section in others.iter().filter(|section| section.kind == kind) {
            let mut scanner = scanner(server);
            let mut blocks = Blocks::new(index::text_of(Arc::clone(file), section));
            scan(&mut scanner, &mut blocks, director)?;
            if kind == Kind::End {
                scanner.finish()?;
            } else if !scanner.is_between_statements() {
                return Err(cut(kind).into());
            }
        }
        Ok(())
    };
    read(Kind::PreData, &mut director)?;
    director.add_sections(rows, file)?;
    read(Kind::PostData, &mut director)?;
    director.set_beside(true);
    read(Kind::LargeObjects, &mut director)?;
    read(Kind::Sequences, &mut director)?;
    director.set_beside(false);
    read(Kind::End, &mut director)?;
    director.finish()
}

fn cut(kind: Kind) -> Stop {
    Stop::damaged(format!("the dump is not whole: its section of {kind:?} ends within a statement"))
}
