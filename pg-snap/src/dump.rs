//! `pg-snap dump`: the database as one gzipped plain-SQL stream, copied out by several sessions
//! under one snapshot.
//!
//! A keeper holds the snapshot. pg_dump writes the definitions under it; workers copy the tables, each
//! in a transaction of its own, so that no session holds many locks. What they make is written in the
//! order in which it was begun.

mod assembly;
mod catalog;
mod copy;
mod definitions;
mod keeper;
mod passes;
mod plan;
mod run;
mod section;
mod survey;
mod warnings;
mod writer;

use crate::client::{Client, Clients};
use crate::database_state::DatabaseState;
use crate::gzip::{Deflater, Level};
use crate::index::Kind;
use crate::psql::{self, Server, Sessions};
use crate::sql;
use anyhow::{Context, Error, Result, anyhow};
use assembly::{Abandoned, Assembly, Label, Piece};
use catalog::Contents;
use copy::Copier;
pub use definitions::END_MARKER;
use definitions::Part;
use keeper::Keeper;
use passes::{PASSES, Passes};
use pipe_kit::cleanup;
use plan::Task;
use run::Run;
use section::Section;
use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use survey::Survey;
use writer::Writer;

/// Bytes of compressed sections that may wait for their turn to be written.
const WAITING: usize = 48 << 20;

/// What `dump` is told.
pub struct Options {
    pub level: Level,
    /// Sessions that copy tables.
    pub jobs: NonZero<usize>,
    /// How long to wait for a table that somebody holds locked: a dump that hangs for ever is a
    /// backup that silently stopped happening.
    pub lock_wait: Duration,
}

/// Dumps `PGDATABASE` to standard output.
///
/// # Errors
/// If there is no fitting client, the server does not answer or goes away, a session ends, a table is
/// not as the snapshot saw it, or the output cannot be written. What was written by then is visibly
/// cut: it has no end marker.
pub fn run(clients: &Clients, options: &Options) -> Result<()> {
    let out = pipe_kit::output::binary()?;
    let database = psql::wanted_database()?;
    let name = run::name();
    let server = Server::connect(clients, &database)?.naming_sessions(&name);
    let Found { state, pg_dump, backslashes_escape } = look(clients, &server, &database)?;
    let ending = server.clone();
    let ended = name.clone();
    let sessions =
        cleanup::on_failure(move || ending.end_sessions_or_warn(Sessions::Named(&ended)));
    let run = Run {
        server: &server,
        database: &database,
        name: name.clone(),
        pg_dump,
        encoding: state.encoding.clone(),
        backslashes_escape,
        lock_wait: options.lock_wait,
        assembly: Assembly::new(WAITING),
        bar: pipe_kit::progress::bytes(None, "dump"),
    };
    let mut writer = Writer::new(out);
    let dump = Dump { run: &run, options, failed: Mutex::new(None) };
    let key = dump.write(&state, &mut writer)?;
    run.bar.finish_and_clear();
    sessions.disarm();
    state.warnings.iter().for_each(|warning| pipe_kit::warning!("{warning}"));
    writer.finish(key.as_deref(), options.level)
}

/// Asked in a session in which nothing was set.
const SEARCH_PATH: &str = "SELECT pg_catalog.current_setting('search_path')";

/// What a dump has to know before it begins.
struct Found {
    state: DatabaseState,
    pg_dump: Client,
    backslashes_escape: bool,
}

/// Finds it out, all at once: where clients are started in a container, each start takes a tenth of a
/// second. Ends what earlier runs have left, too.
fn look(clients: &Clients, server: &Server, database: &str) -> Result<Found> {
    std::thread::scope(|scope| {
        let leftovers = scope.spawn(|| run::end_leftovers(server, database));
        let pg_dump = scope.spawn(|| clients.pg_dump(server.version));
        let search_path = scope.spawn(|| server.query_only(database, None, SEARCH_PATH));
        let survey = scope.spawn(|| Survey::ask(server, database));
        let state = DatabaseState::read(server, database)
            .and_then(|state| {
                state.with_context(|| format!("the server has no database {database}"))
            })
            .and_then(|state| state.with_contents(server));
        let mut state = state?;
        let pg_dump = joined(pg_dump)?;
        joined(leftovers)?;
        state.search_path = Some(joined(search_path)?.trim_end_matches('\n').to_owned());
        let Survey { backslashes_escape, warnings, requirements } = joined(survey)?;
        state.warnings = warnings;
        state.require(requirements);
        Ok(Found { state, pg_dump, backslashes_escape })
    })
}

/// What a thread has found out; it panics if that did.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Another part of the run has failed, and tells why.
fn abandoned() -> Error {
    anyhow!("another part of the dump has failed")
}

struct Dump<'a> {
    run: &'a Run<'a>,
    options: &'a Options,
    /// The first failure: those after it follow from it.
    failed: Mutex<Option<Error>>,
}

impl Dump<'_> {
    /// Writes all but the end; gives the key of the `\restrict` line.
    fn write(&self, state: &DatabaseState, writer: &mut Writer) -> Result<Option<Vec<u8>>> {
        let mut keeper = Keeper::open(self.run)?;
        let contents = keeper.contents(self.run)?;
        let tasks = plan::tasks(&contents);
        self.run.assembly.expect(tasks.len());
        let workers = self.options.jobs.get().min(tasks.len());
        let tasks = Mutex::new(tasks.into_iter().enumerate().collect());
        let snapshot = keeper.snapshot.as_str();
        let define = || self.definitions(state, snapshot, &contents.sequence_patterns());
        let before = if contents.leave_room_for_locks() { None } else { Some(define()?) };
        let key = std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| self.noting(self.work(&tasks, &contents, snapshot)));
            }
            let defined = before.map_or_else(define, Ok);
            let key = self.noting(defined.and_then(|defined| self.assemble(defined, writer)));
            if key.is_none() {
                // Whoever waits for the server would not hear of it otherwise.
                self.run.server.end_sessions_or_warn(Sessions::Named(&self.run.name));
            }
            key
        });
        if let Some(error) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        keeper.close()?;
        key.ok_or_else(abandoned)
    }

    /// Notes a failure, and frees whoever waits for what will not come.
    fn noting<T>(&self, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.run.assembly.abandon();
        None
    }

    /// A worker: takes one task after the other.
    fn work(
        &self,
        tasks: &Mutex<VecDeque<(usize, Task)>>,
        contents: &Contents,
        snapshot: &str,
    ) -> Result<()> {
        let mut copier = Copier::open(self.run, snapshot)?;
        let mut deflater = Deflater::new(self.options.level);
        loop {
            let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((number, task)) = next else { break };
            self.run.check()?;
            let mut part = section::Part { assembly: &self.run.assembly, number };
            let mut section = Section::new(&mut deflater, &mut part);
            let label = match task {
                Task::Copy { table, pages } => {
                    let copied = copier.copy(&table, pages.as_ref(), &mut section)?;
                    section.finish()?;
                    Label {
                        kind: Kind::TableData,
                        schema: Some(table.schema),
                        root: table.root.as_deref().and_then(sql::name),
                        table: Some(table.name),
                        rows: copied.rows,
                        bytes: copied.bytes,
                    }
                }
                Task::Sequences => {
                    copier.sequences(&contents.sequences, &mut section)?;
                    Label::of(Kind::Sequences, section.finish()?)
                }
                Task::LargeObjects => {
                    definitions::write(self.run, Part::LargeObjects, snapshot, &[], &mut section)?;
                    Label::of(Kind::LargeObjects, section.finish()?)
                }
            };
            part.end(label);
        }
        copier.close()
    }

    /// Has pg_dump write the definitions: both parts before any table is copied, or while they are, not
    /// after, when somebody may have dropped what they define.
    fn definitions(
        &self,
        state: &DatabaseState,
        snapshot: &str,
        left_out: &[String],
    ) -> Result<Definitions> {
        let (mut pre, mut post) = (Written::default(), Written::default());
        let key = pre.fill(self.options.level, |passes| {
            let version = env!("CARGO_PKG_VERSION");
            let comment = state.to_comment()?;
            passes
                .head(format!("--\n-- Dumped by pg-snap {version}\n{comment}--\n\n").as_bytes())?;
            definitions::write(self.run, Part::PreData, snapshot, left_out, passes)
                .with_context(|| format!("dumping definitions{}", self.run.locked(None)))
        })?;
        post.fill(self.options.level, |passes| {
            definitions::write(self.run, Part::PostData, snapshot, left_out, passes)
                .with_context(|| format!("dumping definitions{}", self.run.locked(None)))
        })?;
        let [objects, privileges, late] = pre.passes;
        let before = (Label::of(Kind::PreData, pre.bytes[0]), objects);
        let bytes = post.bytes.iter().sum::<u64>() + pre.bytes[1] + pre.bytes[2];
        let [after, more_privileges, later] = post.passes;
        let own_locale = match late.is_empty() && later.is_empty() {
            true => Vec::new(),
            false => vec![
                Deflater::new(self.options.level)
                    .member(definitions::OWN_LOCALE)
                    .context("compressing the dump")?,
            ],
        };
        let bytes = bytes + own_locale.len() as u64 * definitions::OWN_LOCALE.len() as u64;
        let after = [after, privileges, more_privileges, own_locale, late, later].concat();
        Ok(Definitions { before, after: (Label::of(Kind::PostData, bytes), after), key })
    }

    /// Writes the definitions and, between them, what the workers make.
    fn assemble(&self, defined: Definitions, writer: &mut Writer) -> Result<Option<Vec<u8>>> {
        writer.section(defined.before.0, &defined.before.1)?;
        while let Some(piece) = self.run.assembly.next().map_err(|Abandoned| abandoned())? {
            match piece {
                Piece::Member(member) => writer.member(&member)?,
                Piece::End(label) => writer.end(label),
            }
        }
        writer.section(defined.after.0, &defined.after.1)?;
        Ok(defined.key)
    }
}

/// What pg_dump has written, compressed.
struct Definitions {
    before: (Label, Vec<Vec<u8>>),
    after: (Label, Vec<Vec<u8>>),
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
        let sections = [Section::new(a, x), Section::new(b, y), Section::new(c, z)];
        let mut passes = Passes::new(sections);
        let written = write(&mut passes)?;
        self.bytes = passes.finish()?;
        Ok(written)
    }
}
