//! `pg-snap dump`: the database as one gzipped plain-SQL stream, copied out by several sessions
//! under one snapshot.
//!
//! One session holds the snapshot. Under it, pg_dump writes the definitions and workers copy the tables,
//! each table in a transaction of its own, so that no session holds many locks. The reorder buffer puts
//! the sections that the workers make into the order of the plan.

mod boundary;
mod catalog;
mod copy;
mod passes;
mod pg_dump;
mod plan;
mod reorder_buffer;
mod run;
mod section_writer;
mod snapshot_holder;
mod survey;
mod warnings;
mod writer;

use crate::client::{Client, Clients};
use crate::database_state::DatabaseState;
use crate::gzip::{Deflater, Level};
use crate::index::Kind;
use crate::psql::{self, Server, Sessions};
use crate::sql;
use anyhow::{Context, Error, Result};
use catalog::Contents;
use copy::Copier;
use passes::{PASSES, Passes};
pub use pg_dump::END_MARKER;
use pg_dump::PgDumpSection;
use pipe_kit::{cleanup, progress};
use plan::DumpTask;
use reorder_buffer::{Abandoned, OutputPiece, ReorderBuffer, SectionLabel};
use run::DumpRun;
use section_writer::{BufferedSection, SectionWriter};
use snapshot_holder::SnapshotHolder;
use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use survey::Survey;
use writer::DumpWriter;

/// Bytes of compressed sections that may wait in memory to be written.
const BUFFER_LIMIT: usize = 48 << 20;

pub struct DumpOptions {
    pub level: Level,
    /// Number of sessions that copy tables.
    pub jobs: NonZero<usize>,
    /// How long to wait for a table that another session holds locked: a dump that hangs for ever is a
    /// backup that silently stopped happening.
    pub lock_wait: Duration,
}

/// Dumps `PGDATABASE` to standard output.
///
/// # Errors
/// What was written by then has no end marker, so that every reader sees that it is incomplete.
pub fn run(clients: &Clients, options: &DumpOptions) -> Result<()> {
    let out = pipe_kit::output::binary()?;
    let database = psql::wanted_database()?;
    let name = run::session_name();
    let server = Server::connect(clients, &database)?.naming_sessions(&name);
    let Prepared { state, pg_dump, backslashes_escape } = prepare(clients, &server, &database)?;
    let ending = server.clone();
    let ended = name.clone();
    let sessions =
        cleanup::on_failure(move || ending.end_sessions_or_warn(Sessions::Named(&ended)));
    let run = DumpRun {
        server: &server,
        database: &database,
        name: name.clone(),
        pg_dump,
        encoding: state.encoding.clone(),
        backslashes_escape,
        lock_wait: options.lock_wait,
        buffer: ReorderBuffer::new(BUFFER_LIMIT),
        bar: progress::bytes(None, "dump"),
    };
    let mut writer = DumpWriter::new(out);
    let dump = Dump { run: &run, options, failed: Mutex::new(None) };
    let key = dump.write(&state, &mut writer)?;
    run.bar.finish_and_clear();
    sessions.disarm();
    state.warnings.iter().for_each(|warning| pipe_kit::warning!("{warning}"));
    writer.finish(key.as_deref(), options.level)
}

/// Read in a session in which nothing was set.
const SEARCH_PATH: &str = "SELECT pg_catalog.current_setting('search_path')";

/// What must be known before a dump begins.
struct Prepared {
    state: DatabaseState,
    pg_dump: Client,
    backslashes_escape: bool,
}

/// Asks all questions at the same time: starting a client in a container takes a tenth of a second. Also
/// ends the sessions that earlier runs have left.
fn prepare(clients: &Clients, server: &Server, database: &str) -> Result<Prepared> {
    std::thread::scope(|scope| {
        let leftovers = scope.spawn(|| run::end_leftover_sessions(server, database));
        let pg_dump = scope.spawn(|| clients.pg_dump(server.version));
        let search_path = scope.spawn(|| server.query_only(database, SEARCH_PATH));
        let survey = scope.spawn(|| Survey::run(server, database));
        let state = DatabaseState::read(server, database)
            .and_then(|state| {
                state.with_context(|| format!("the server has no database {database}"))
            })
            .and_then(|state| state.with_contents(server));
        let mut state = state?;
        let pg_dump = join(pg_dump)?;
        join(leftovers)?;
        state.search_path = Some(join(search_path)?.trim_end_matches('\n').to_owned());
        let Survey { backslashes_escape, warnings, requirements } = join(survey)?;
        state.warnings = warnings;
        state.require(requirements);
        Ok(Prepared { state, pg_dump, backslashes_escape })
    })
}

/// The result of a thread; a panic of the thread is resumed.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Dump<'a> {
    run: &'a DumpRun<'a>,
    options: &'a DumpOptions,
    /// The first failure: later ones follow from it.
    failed: Mutex<Option<Error>>,
}

impl Dump<'_> {
    /// Writes everything but the end; returns the key of the `\restrict` line.
    fn write(&self, state: &DatabaseState, writer: &mut DumpWriter) -> Result<Option<Vec<u8>>> {
        let mut holder = SnapshotHolder::open(self.run)?;
        let contents = holder.contents(self.run)?;
        let tasks = plan::tasks(&contents);
        self.run.buffer.expect_sections(tasks.len());
        progress::set_total(&self.run.bar, tasks.iter().map(DumpTask::estimate).sum());
        let workers = self.options.jobs.get().min(tasks.len());
        let tasks = Mutex::new(tasks.into_iter().enumerate().collect());
        let snapshot = holder.snapshot.as_str();
        let define = || self.definitions(state, snapshot, &contents.sequence_patterns());
        let before = if contents.leave_room_for_locks() { None } else { Some(define()?) };
        let key = std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| self.record_failure(self.run_worker(&tasks, &contents, snapshot)));
            }
            let defined = before.map_or_else(define, Ok);
            let key = self
                .record_failure(defined.and_then(|defined| self.write_sections(defined, writer)));
            if key.is_none() {
                // Threads that wait for the server would not notice the failure otherwise.
                self.run.server.end_sessions_or_warn(Sessions::Named(&self.run.name));
            }
            key
        });
        if let Some(error) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        holder.close()?;
        key.ok_or_else(|| Abandoned.into())
    }

    /// Records the first failure, and wakes everyone who waits for what will not come.
    fn record_failure<T>(&self, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.run.buffer.abandon();
        None
    }

    /// A worker: takes one task after another.
    fn run_worker(
        &self,
        tasks: &Mutex<VecDeque<(usize, DumpTask)>>,
        contents: &Contents,
        snapshot: &str,
    ) -> Result<()> {
        let mut copier = Copier::open(self.run, snapshot)?;
        let mut deflater = Deflater::new(self.options.level);
        loop {
            let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((number, task)) = next else { break };
            self.run.fail_if_abandoned()?;
            let mut sink = BufferedSection { buffer: &self.run.buffer, number };
            let mut section = SectionWriter::new(&mut deflater, &mut sink);
            let estimate = task.estimate();
            let label = match task {
                DumpTask::Copy { table, pages } => {
                    let copied = copier.copy(&table, pages.as_ref(), &mut section)?;
                    section.finish()?;
                    progress::correct(&self.run.bar, estimate, copied.bytes);
                    SectionLabel {
                        kind: Kind::TableData,
                        schema: Some(table.schema),
                        root: table.root.as_deref().and_then(sql::name),
                        table: Some(table.name),
                        rows: copied.rows,
                        bytes: copied.bytes,
                    }
                }
                DumpTask::Sequences => {
                    copier.sequences(&contents.sequences, &mut section)?;
                    SectionLabel::of(Kind::Sequences, section.finish()?)
                }
                DumpTask::LargeObjects => {
                    pg_dump::write_section(
                        self.run,
                        PgDumpSection::LargeObjects,
                        snapshot,
                        &[],
                        &mut section,
                    )?;
                    SectionLabel::of(Kind::LargeObjects, section.finish()?)
                }
            };
            sink.end(label);
        }
        copier.close()
    }

    /// Runs pg_dump for the definitions, before or while tables are copied. Afterwards somebody may have
    /// dropped what they define.
    fn definitions(
        &self,
        state: &DatabaseState,
        snapshot: &str,
        excluded: &[String],
    ) -> Result<Definitions> {
        let (mut pre, mut post) = (Written::default(), Written::default());
        let key = pre.fill(self.options.level, |passes| {
            let version = env!("CARGO_PKG_VERSION");
            let comment = state.to_comment()?;
            passes
                .head(format!("--\n-- Dumped by pg-snap {version}\n{comment}--\n\n").as_bytes())?;
            pg_dump::write_section(self.run, PgDumpSection::PreData, snapshot, excluded, passes)
                .with_context(|| format!("dumping definitions{}", self.run.lock_holders(None)))
        })?;
        post.fill(self.options.level, |passes| {
            pg_dump::write_section(self.run, PgDumpSection::PostData, snapshot, excluded, passes)
                .with_context(|| format!("dumping definitions{}", self.run.lock_holders(None)))
        })?;
        let [objects, privileges, late] = pre.passes;
        let before = (SectionLabel::of(Kind::PreData, pre.bytes[0]), objects);
        let bytes = post.bytes.iter().sum::<u64>() + pre.bytes[1] + pre.bytes[2];
        let [after, more_privileges, later] = post.passes;
        let own_locale = match late.is_empty() && later.is_empty() {
            true => Vec::new(),
            false => vec![
                Deflater::new(self.options.level)
                    .member(pg_dump::OWN_LOCALE)
                    .context("compressing the dump")?,
            ],
        };
        let bytes = bytes + own_locale.len() as u64 * pg_dump::OWN_LOCALE.len() as u64;
        let after = [after, privileges, more_privileges, own_locale, late, later].concat();
        Ok(Definitions { before, after: (SectionLabel::of(Kind::PostData, bytes), after), key })
    }

    /// Writes the definitions and, between them, the sections of the workers.
    fn write_sections(
        &self,
        defined: Definitions,
        writer: &mut DumpWriter,
    ) -> Result<Option<Vec<u8>>> {
        writer.section(defined.before.0, &defined.before.1)?;
        while let Some(piece) = self.run.buffer.next()? {
            match piece {
                OutputPiece::Member(member) => writer.member(&member)?,
                OutputPiece::End(label) => writer.end(label),
            }
        }
        writer.section(defined.after.0, &defined.after.1)?;
        Ok(defined.key)
    }
}

/// What pg_dump has written, compressed.
struct Definitions {
    before: (SectionLabel, Vec<Vec<u8>>),
    after: (SectionLabel, Vec<Vec<u8>>),
    /// Of the `\restrict` line.
    key: Option<Vec<u8>>,
}

/// What one run of pg_dump has written, compressed, by its passes.
#[derive(Default)]
struct Written {
    passes: [Vec<Vec<u8>>; PASSES],
    bytes: [u64; PASSES],
}

impl Written {
    fn fill<T>(
        &mut self,
        level: Level,
        write: impl FnOnce(&mut Passes<'_, Vec<Vec<u8>>>) -> Result<T>,
    ) -> Result<T> {
        let mut deflaters = [(); PASSES].map(|()| Deflater::new(level));
        let ([a, b, c], [x, y, z]) = (&mut deflaters, &mut self.passes);
        let sections =
            [SectionWriter::new(a, x), SectionWriter::new(b, y), SectionWriter::new(c, z)];
        let mut passes = Passes::new(sections);
        let written = write(&mut passes)?;
        self.bytes = passes.finish()?;
        Ok(written)
    }
}
