//! The load of a dump into an empty database by several sessions. It succeeds only if the dump is whole
//! and the server has executed all of it.

use super::definition::Definition;
use super::dispatcher::Dispatcher;
use super::omitted::Omitted;
use super::plan::LoadPlan;
use super::repair::Repair;
use super::search_paths::PathReport;
use super::settings;
use super::statement_reader::StatementReader;
use super::worker;
use super::worker_pool::WorkerPool;
use crate::blocks::Blocks;
use crate::dump_file::Source;
use crate::index::{self, Index, Kind};
use crate::psql::{Server, Sessions};
use crate::sql::scanner::Scanner;
use anyhow::Result;
use pipe_kit::Stop;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// What a load differs in from its dump.
pub struct Loaded {
    pub omitted: Vec<Omitted>,
    /// Statements about what reads the name of the database: those that have added checks as not valid, and those that were
    /// not executed.
    pub postponed: Vec<Definition>,
}

/// Loads the dump.
///
/// # Errors
/// [`Stop::damaged`] if the dump is not whole or holds a psql command.
pub fn load(server: &Server, plan: &LoadPlan<'_>, source: Source) -> Result<Loaded> {
    let pool = WorkerPool::default();
    let begin = settings::for_incoming(server, plan.jobs.get());
    let repair = Repair::new(server, &begin, plan);
    let bar = pipe_kit::progress::bytes(source.bytes(), "load");
    let report = std::thread::scope(|scope| {
        for _ in 0..plan.jobs.get() {
            scope.spawn(|| worker::work(&pool, &repair, &bar));
        }
        let result = Dispatcher::open(&pool, &repair, plan.jobs.get(), &bar)
            .and_then(|dispatcher| read(server, dispatcher, source));
        result.unwrap_or_else(|error| {
            pool.fail(error);
            // Workers that wait for the server would not notice the failure.
            server.end_sessions_or_warn(Sessions::InDatabases(&[plan.database]));
            PathReport::default()
        })
    });
    bar.finish_and_clear();
    match pool.take_failure() {
        Some(error) => Err(error),
        None => {
            report.report(plan.paths, |what| repair.has_failed(what));
            let (omitted, postponed) = repair.into_parts();
            Ok(Loaded { omitted, postponed })
        }
    }
}

/// The scanner of a dump for the server's psql.
pub fn scanner(server: &Server) -> Scanner {
    match server.psql().version.knows_restrict() {
        true => Scanner::default(),
        false => Scanner::for_open_psql(),
    }
}

fn read(server: &Server, dispatcher: Dispatcher<'_>, source: Source) -> Result<PathReport> {
    match source {
        Source::Indexed { file, index } => read_sections(server, dispatcher, &file, index),
        Source::Stream { head, blocks } => read_stream(server, dispatcher, &head, blocks),
    }
}

fn read_stream<R: Read>(
    server: &Server,
    mut dispatcher: Dispatcher<'_>,
    head: &[u8],
    blocks: Blocks<R>,
) -> Result<PathReport> {
    let mut reader = StatementReader::new(scanner(server), blocks);
    reader.read_first(head);
    dispatcher.dispatch(&mut reader, false)?;
    reader.scanner().finish()?;
    dispatcher.finish()
}

/// Reads the definitions, gives the workers the tables' sections, and reads everything else while they
/// copy the rows.
fn read_sections(
    server: &Server,
    mut dispatcher: Dispatcher<'_>,
    file: &Arc<File>,
    index: Index,
) -> Result<PathReport> {
    let (rows, others): (Vec<_>, Vec<_>) =
        index.sections.into_iter().partition(|section| section.kind == Kind::TableData);
    let read = |kind: Kind, dispatcher: &mut Dispatcher<'_>| -> Result<()> {
        for section in others.iter().filter(|section| section.kind == kind) {
            let blocks = Blocks::new(index::text_of(Arc::clone(file), section));
            let mut reader = StatementReader::new(scanner(server), blocks);
            let independent = matches!(kind, Kind::LargeObjects | Kind::Sequences);
            dispatcher.dispatch(&mut reader, independent)?;
            if kind == Kind::End {
                reader.scanner().finish()?;
            } else if !reader.scanner().is_between_statements() {
                return Err(cut(kind).into());
            }
        }
        Ok(())
    };
    read(Kind::PreData, &mut dispatcher)?;
    dispatcher.add_sections(rows, file)?;
    for kind in [Kind::PostData, Kind::LargeObjects, Kind::Sequences, Kind::End] {
        read(kind, &mut dispatcher)?;
    }
    dispatcher.finish()
}

fn cut(kind: Kind) -> Stop {
    Stop::damaged(format!(
        "the dump is incomplete: its section of {kind:?} ends within a statement"
    ))
}
