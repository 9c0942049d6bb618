//! Copying rows into a table, and checking how many the server took.

use super::load_session::LoadSession;
use super::repair::{Repair, failure_of};
use super::row_queue::RowQueue;
use super::settings::SessionSettings;
use super::worker_pool::WorkerPool;
use crate::blocks::Blocks;
use crate::index::{self, Section};
use crate::sql::scanner::{Observer, Scanner};
use crate::sql::{StatementKind, classify, ident};
use anyhow::{Result, bail, ensure};
use pipe_kit::Stop;
use pipe_kit::progress::Bar;
use std::fs::File;
use std::sync::Arc;

const COPY_END: &[u8] = b" FROM stdin;\n";

/// A table's section of a dump, and how it is loaded.
pub struct SectionRows<'a> {
    pub section: &'a Section,
    pub file: &'a Arc<File>,
    /// No other job fills the table.
    pub freeze: bool,
    pub bar: &'a Bar,
    pub pool: &'a WorkerPool,
}

impl SectionRows<'_> {
    /// Copies the rows; false if the session has ended, and others have copied them.
    ///
    /// # Errors
    /// [`Stop::damaged`] if the section holds anything but one whole COPY block for its table.
    pub fn copy_in(
        &self,
        session: &mut LoadSession,
        repair: &Repair<'_>,
        settings: &SessionSettings,
    ) -> Result<bool> {
        let Err(failure) = failure_of(self.copy(session))? else { return Ok(true) };
        repair.rows(&self.section.name(), failure, settings, |session| self.copy(session))?;
        Ok(false)
    }

    fn copy(&self, session: &mut LoadSession) -> Result<()> {
        let Self { section, file, freeze, bar, pool } = *self;
        let mut copy =
            SectionCopy { session, section, freeze, bar, head: Vec::new(), rows: 0, blocks: 0 };
        let mut scanner = Scanner::default();
        let mut text = Blocks::new(index::text_of(Arc::clone(file), section));
        while let Some(lines) = text.next()? {
            pool.check()?;
            scanner.scan(lines, &mut copy)?;
        }
        let (rows, blocks) = (copy.rows, copy.blocks);
        if !scanner.is_between_statements() || blocks != 1 || rows != section.rows {
            return Err(copy.damaged("does not hold the rows that the dump's index lists").into());
        }
        check_copied(session, rows, || section.table.clone().unwrap_or_default())
    }
}

/// The COPY block of a section, as it is sent to the server.
struct SectionCopy<'a> {
    session: &'a mut LoadSession,
    section: &'a Section,
    freeze: bool,
    bar: &'a Bar,
    /// The text before the data.
    head: Vec<u8>,
    rows: u64,
    /// COPY blocks so far.
    blocks: u32,
}

impl SectionCopy<'_> {
    fn damaged(&self, what: &str) -> Stop {
        let name =
            |part: &Option<String>| part.as_deref().unwrap_or_default().escape_debug().to_string();
        let (schema, table) = (name(&self.section.schema), name(&self.section.table));
        Stop::damaged(format!("the dump is damaged: its section of table {schema}.{table} {what}"))
    }

    /// A table that is truncated in the transaction that fills it may be frozen: no later vacuum has to
    /// check which transaction wrote each row.
    fn begin_frozen(&mut self) -> Result<bool> {
        let (Some(schema), Some(table)) = (&self.section.schema, &self.section.table) else {
            return Ok(false);
        };
        let Some(statement) = self.head.strip_suffix(COPY_END) else { return Ok(false) };
        let begin = format!("BEGIN;\nTRUNCATE TABLE ONLY {}.{};\n", ident(schema), ident(table));
        self.session.send(begin.as_bytes())?;
        self.session.send(statement)?;
        self.session.send(b" FROM stdin WITH (FREEZE);\n")?;
        Ok(true)
    }
}

impl Observer for SectionCopy<'_> {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        match self.blocks {
            0 => self.head.extend_from_slice(bytes),
            _ => {
                self.session.send(bytes)?;
                self.bar.inc(bytes.len() as u64);
            }
        }
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        match classify(sql) {
            StatementKind::Copy { .. } if self.blocks == 0 => Ok(()),
            _ => Err(self.damaged("holds more than the table's rows").into()),
        }
    }

    fn copy_begins(&mut self) -> Result<()> {
        self.freeze = self.freeze && self.begin_frozen()?;
        if !self.freeze {
            self.session.send(&self.head)?;
        }
        self.blocks += 1;
        Ok(())
    }

    fn copy_ends(&mut self) -> Result<()> {
        if self.freeze { self.session.send(b"COMMIT;\n") } else { Ok(()) }
    }

    fn copy_rows(&mut self, rows: u64, _bytes: u64) {
        self.rows += rows;
    }
}

/// The statement that a section begins with, which names its table as the definitions do.
pub fn first_statement(section: &Section, file: &Arc<File>) -> Result<StatementKind> {
    let mut first = FirstStatement(None);
    let mut scanner = Scanner::default();
    let mut text = Blocks::new(index::text_of(Arc::clone(file), section));
    while first.0.is_none()
        && let Some(lines) = text.next()?
    {
        scanner.scan(lines, &mut first)?;
    }
    Ok(first.0.unwrap_or(StatementKind::Other))
}

struct FirstStatement(Option<StatementKind>);

impl Observer for FirstStatement {
    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        self.0.get_or_insert_with(|| classify(sql));
        Ok(())
    }
}

/// The marker after these rows. Its line ends as theirs do: in a file from Windows, as a server wants it.
pub fn end_of(rows: &[u8]) -> &'static [u8] {
    if rows.ends_with(b"\r\n") { b"\\.\r\n" } else { b"\\.\n" }
}

/// Copies rows of a queue, if there are any; false if the session has ended.
pub fn copy_queue(
    session: &mut LoadSession,
    queue: &RowQueue,
    bar: &Bar,
    repair: &Repair<'_>,
    settings: &SessionSettings,
) -> Result<bool> {
    let Some(mut lines) = queue.next() else { return Ok(true) };
    if queue.repeatable {
        return copy_by_chunks(session, queue, lines, bar, repair, settings);
    }
    let mut rows = 0;
    let mut copy = || -> Result<()> {
        session.send(&queue.statement)?;
        loop {
            rows += memchr::memchr_iter(b'\n', &lines).count() as u64;
            session.send(&lines)?;
            bar.inc(lines.len() as u64);
            match queue.next() {
                Some(more) => lines = more,
                None => break,
            }
        }
        session.send(end_of(&lines))
    };
    let sent = copy();
    let done = sent.and_then(|()| check_copied(session, rows, || queue.table_name()));
    match failure_of(done)? {
        Ok(()) => Ok(true),
        Err(failure) => Err(repair.rows_error(&queue.table_name(), failure)),
    }
}

/// Copies each chunk by a statement of its own, so that it can be repeated.
fn copy_by_chunks(
    session: &mut LoadSession,
    queue: &RowQueue,
    first: Vec<u8>,
    bar: &Bar,
    repair: &Repair<'_>,
    settings: &SessionSettings,
) -> Result<bool> {
    let mut next = Some(first);
    let mut repaired: Option<LoadSession> = None;
    while let Some(lines) = next {
        let copy = |session: &mut LoadSession| copy_chunk(session, queue, &lines);
        let done = failure_of(copy(repaired.as_mut().unwrap_or(session)))?;
        if let Err(failure) = done {
            repaired = Some(repair.rows(&queue.table, failure, settings, copy)?);
        }
        bar.inc(lines.len() as u64);
        next = queue.next();
    }
    Ok(repaired.is_none())
}

fn copy_chunk(session: &mut LoadSession, queue: &RowQueue, lines: &[u8]) -> Result<()> {
    session.send(&queue.statement)?;
    session.send(lines)?;
    session.send(end_of(lines))?;
    let rows = memchr::memchr_iter(b'\n', lines).count() as u64;
    check_copied(session, rows, || queue.table_name())
}

/// Checks that the server took as many rows as it was sent.
fn check_copied(session: &mut LoadSession, rows: u64, table: impl Fn() -> String) -> Result<()> {
    let copied = session.sync()?;
    ensure!(
        copied.len() == 1,
        "psql reports {} COPYs where there was one: {}",
        copied.len(),
        table()
    );
    if copied[0] != rows {
        bail!("the server accepted {} of {rows} rows: {}", copied[0], table());
    }
    Ok(())
}
