//! `pg-snap dump`: the database as one gzipped plain-SQL stream, copied out by several sessions
//! under one snapshot.
//!
//! One session holds the snapshot. Under it, pg_dump reads the catalog once and, beside it, workers copy the
//! tables, a few in a transaction, so that no worker holds many locks. The reorder buffer puts the sections
//! that the workers make into the order of the plan.

mod boundary;
mod catalog;
mod copy;
mod definitions;
mod passes;
mod pg_dump;
mod plan;
mod public_schema;
mod reorder_buffer;
mod run;
mod section_writer;
mod session;
mod snapshot_holder;
mod survey;
mod warnings;
mod worker;
mod writer;

use crate::client::{Client, Clients};
use crate::connections;
use crate::database_state::DatabaseState;
use crate::gzip::Level;
use crate::psql::{self, Server, Sessions};
use anyhow::{Context, Error, Result};
use catalog::Contents;
use definitions::Definitions;
pub use pg_dump::END_MARKER;
use pg_dump::PgDump;
use pipe_kit::child::Words;
use pipe_kit::{cleanup, progress};
use plan::DumpTask;
use reorder_buffer::{Abandoned, OutputPiece, ReorderBuffer};
use run::DumpRun;
use snapshot_holder::SnapshotHolder;
use std::collections::HashSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;
use survey::Survey;
use worker::Tasks;
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
    let (server, pg_dump) = connect(clients, &database)?;
    let server = server.naming_sessions(&name);
    let ending = server.clone();
    let ended = name.clone();
    let sessions =
        cleanup::on_failure(move || ending.end_sessions_or_warn(Sessions::Named(&ended)));
    let mut writer = DumpWriter::new(out);
    let warnings = OnceLock::new();
    let words = Words::default();
    let key = thread::scope(|scope| {
        // All questions at the same time: starting a client in a container takes a tenth of a second.
        let state = scope.spawn(|| read_state(&server, &database));
        let pg_restore = scope.spawn(|| Ok(pg_dump.same_release("pg_restore")));
        let holder = match SnapshotHolder::open(&server, &database) {
            Ok(holder) => holder,
            Err(error) => return Err(join(state).err().unwrap_or(error)),
        };
        let settings = holder.settings.clone();
        let (ending, names) = (&server, holder.dump_sessions.clone());
        let leftovers = scope.spawn(move || run::end_leftover_sessions(ending, &names));
        let run = DumpRun {
            server: &server,
            database: &database,
            name,
            pg_dump: pg_dump.clone(),
            pg_restore: join(pg_restore)?,
            encoding: settings.encoding,
            backslashes_escape: settings.backslashes_escape,
            lock_wait: options.lock_wait,
            buffer: ReorderBuffer::new(BUFFER_LIMIT),
            words: Arc::clone(&words),
            bar: progress::bytes(None, "dump"),
            defined: AtomicBool::new(false),
        };
        let head = || {
            join(leftovers)?;
            let mut state = join(state)?;
            state.search_path = Some(settings.search_path);
            let _ = warnings.set(state.warnings.clone());
            let version = env!("CARGO_PKG_VERSION");
            Ok(format!("--\n-- Dumped by pg-snap {version}\n{}--\n\n", state.to_comment()?))
        };
        let dump = Dump { run: &run, options, failed: Mutex::new(None), ending: Mutex::new(()) };
        let key = dump.write(holder, head, &mut writer)?;
        run.bar.finish_and_clear();
        Ok(key)
    })?;
    sessions.disarm();
    let warnings: Vec<String> = warnings.into_inner().unwrap_or_default();
    let words = std::mem::take(&mut *words.lock().unwrap_or_else(PoisonError::into_inner));
    warnings.iter().for_each(|warning| pipe_kit::warning!("{warning}"));
    // Not all of it applies: a part of the dump that one of them writes is called a --data-only dump.
    distinct(words).iter().for_each(|line| pipe_kit::info!("{line}"));
    writer.finish(key.as_deref(), options.level)
}

/// Each line once: several programs may have the same to say.
fn distinct(lines: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    lines.into_iter().filter(|line| !line.is_empty() && seen.insert(line.clone())).collect()
}

/// Finds the clients, and the server.
fn connect(clients: &Clients, database: &str) -> Result<(Server, Client)> {
    thread::scope(|scope| {
        let found = scope.spawn(|| clients.pg_dumps());
        let server = Server::connect(clients, database)?;
        let pg_dump = clients.pg_dump(&join(found)?, server.version)?;
        Ok((server, pg_dump))
    })
}

/// What belongs to the database but lies outside it, and what a load must know of it.
fn read_state(server: &Server, database: &str) -> Result<DatabaseState> {
    thread::scope(|scope| {
        let survey = scope.spawn(|| Survey::run(server, database));
        let mut state = DatabaseState::read(server, database)?
            .with_context(|| format!("the server has no database {database}"))?;
        let Survey { contents, warnings, requirements } = join(survey)?;
        state.add_contents(contents);
        state.warnings = warnings;
        state.require(requirements);
        Ok(state)
    })
}

/// The result of a thread; a panic of the thread is resumed.
fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Dump<'a> {
    run: &'a DumpRun<'a>,
    options: &'a DumpOptions,
    /// The first failure: later ones follow from it.
    failed: Mutex<Option<Error>>,
    /// Held by who ends the sessions.
    ending: Mutex<()>,
}

/// Of the `\restrict` line, if there is one.
type Key = Option<Vec<u8>>;

impl Dump<'_> {
    /// Writes everything but the end. `head` is asked for the text before the definitions, when these are
    /// complete.
    fn write(
        &self,
        mut holder: SnapshotHolder,
        head: impl FnOnce() -> Result<String> + Send,
        writer: &mut DumpWriter,
    ) -> Result<Key> {
        let mut contents = Contents::default();
        holder.list_sequences(self.run, &mut contents)?;
        let excluded = contents.sequence_patterns();
        let snapshot = holder.snapshot.clone();
        let pg_dump = PgDump { run: self.run, snapshot: &snapshot, excluded: &excluded };
        let key = thread::scope(|scope| {
            let defining = scope.spawn(|| {
                let made = definitions::make(pg_dump, self.options.level, head);
                self.run.defined.store(true, Ordering::SeqCst);
                self.record_or_end(made)
            });
            let copied = self.copy_beside(&mut holder, contents, defining, writer);
            self.record_or_end(copied).flatten()
        });
        if let Some(error) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        holder.close()?;
        key.ok_or_else(|| Abandoned.into())
    }

    /// Copies the tables while pg_dump reads the catalog and holds its locks: afterwards somebody may have
    /// dropped what it defines. Writes all sections; none if that has failed.
    fn copy_beside(
        &self,
        holder: &mut SnapshotHolder,
        mut contents: Contents,
        defining: ScopedJoinHandle<'_, Option<Definitions>>,
        writer: &mut DumpWriter,
    ) -> Result<Option<Key>> {
        holder.list_tables(self.run, &mut contents)?;
        if !contents.leave_room_for_locks() {
            holder.wait_for_locks(self.run, &contents)?;
        }
        let tasks = plan::tasks(&contents);
        self.run.buffer.expect_sections(tasks.len());
        progress::set_total(&self.run.bar, tasks.iter().map(DumpTask::estimate).sum());
        let beside = connections::BESIDE_DUMP;
        let jobs = connections::limit_jobs(self.options.jobs, beside, holder.connections).get();
        let workers = jobs.min(tasks.len());
        // While pg_dump reads the catalog, it is one of those that work at the same time.
        let beside = workers.min((jobs - 1).max(1));
        let tasks = Tasks::new(tasks);
        let snapshot = holder.snapshot.as_str();
        let work = || {
            let worked = worker::run(self.run, self.options.level, &tasks, &contents, snapshot);
            // What follows from another failure ends nothing again.
            match self.run.buffer.is_abandoned() {
                true => self.record_failure(worked),
                false => self.record_or_end(worked),
            }
        };
        thread::scope(|scope| {
            (0..beside).for_each(|_| drop(scope.spawn(work)));
            let defined = defining.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let Some(defined) = defined else { return Ok(None) };
            (beside..workers).for_each(|_| drop(scope.spawn(work)));
            Ok(self.record_or_end(self.write_sections(defined, writer)))
        })
    }

    /// Records the first failure, and ends what waits for the server: it would not notice otherwise.
    fn record_or_end<T>(&self, result: Result<T>) -> Option<T> {
        let value = self.record_failure(result);
        if value.is_none() {
            // The sessions that end others have the same name.
            let _one_at_a_time = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            self.run.server.end_sessions_or_warn(Sessions::Named(&self.run.name));
        }
        value
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

    /// Writes the definitions and, between them, the sections of the workers.
    fn write_sections(&self, defined: Definitions, writer: &mut DumpWriter) -> Result<Key> {
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
