//! Filling a table: rows into a COPY, and the server's word for how many it took.

use super::crew::Crew;
use super::repair::{Repair, failure_of};
use super::settings::Seen;
use super::share::Share;
use super::statement::{Statement, classify};
use super::talk::Talk;
use crate::blocks::Blocks;
use crate::index::{self, Section};
use crate::scanner::{Observer, Scanner};
use crate::sql::ident;
use anyhow::{Result, bail, ensure};
use pipe_kit::Stop;
use pipe_kit::progress::Bar;
use std::fs::File;
use std::sync::Arc;

const COPY_END: &[u8] = b" FROM stdin;\n";

/// A table's section of a dump, and how it is loaded.
pub struct Rows<'a> {
    pub section: &'a Section,
    pub file: &'a Arc<File>,
    /// Nobody else fills the table, or has seen it.
    pub freeze: bool,
    pub bar: &'a Bar,
    pub crew: &'a Crew,
}

impl Rows<'_> {
    /// Fills the table; false where the session has ended, and others have filled it.
    ///
    /// # Errors
    /// [`Stop::damaged`] if the section holds anything but one whole COPY block for its table; the
    /// server's, where nothing helps.
    pub fn fill(&self, talk: &mut Talk, repair: &Repair<'_>, settings: &Seen) -> Result<bool> {
        let Err(failure) = failure_of(self.copy(talk))? else { return Ok(true) };
        let name = (
            self.section.schema.clone().unwrap_or_default(),
            self.section.table.clone().unwrap_or_default(),
        );
        repair.rows(&name, failure, settings, |talk| self.copy(talk))?;
        Ok(false)
    }

    fn copy(&self, talk: &mut Talk) -> Result<()> {
        let Self { section, file, freeze, bar, crew } = *self;
        let mut block = Block { talk, section, freeze, bar, head: Vec::new(), rows: 0, blocks: 0 };
        let mut scanner = Scanner::default();
        let mut text = Blocks::new(index::text_of(Arc::clone(file), section));
        while let Some(lines) = text.next()? {
            crew.check()?;
            scanner.scan(lines, &mut block)?;
        }
        let (rows, blocks) = (block.rows, block.blocks);
        if !scanner.is_between_statements() || blocks != 1 || rows != section.rows {
            return Err(block
                .wrong("does not hold the rows that the dump's index tells of")
                .into());
        }
        check_copied(talk, rows, || section.table.clone().unwrap_or_default())
    }
}

struct Block<'a> {
    talk: &'a mut Talk,
    section: &'a Section,
    freeze: bool,
    bar: &'a Bar,
    /// What stands before the data.
    head: Vec<u8>,
    rows: u64,
    /// COPY blocks so far.
    blocks: u32,
}

impl Block<'_> {
    fn wrong(&self, what: &str) -> Stop {
        let name =
            |part: &Option<String>| part.as_deref().unwrap_or_default().escape_debug().to_string();
        let (schema, table) = (name(&self.section.schema), name(&self.section.table));
        Stop::damaged(format!("the dump is damaged: its section of table {schema}.{table} {what}"))
    }

    /// A table that is emptied in the transaction that fills it may be written as if it had always been
    /// there: nobody need look again at who wrote each row.
    fn begin_frozen(&mut self) -> Result<bool> {
        let (Some(schema), Some(table)) = (&self.section.schema, &self.section.table) else {
            return Ok(false);
        };
        let Some(statement) = self.head.strip_suffix(COPY_END) else { return Ok(false) };
        let begin = format!("BEGIN;\nTRUNCATE TABLE ONLY {}.{};\n", ident(schema), ident(table));
        self.talk.send(begin.as_bytes())?;
        self.talk.send(statement)?;
        self.talk.send(b" FROM stdin WITH (FREEZE);\n")?;
        Ok(true)
    }
}

impl Observer for Block<'_> {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        match self.blocks {
            0 => self.head.extend_from_slice(bytes),
            _ => {
                self.talk.send(bytes)?;
                self.bar.inc(bytes.len() as u64);
            }
        }
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        match classify(sql) {
            Statement::Copy { .. } if self.blocks == 0 => Ok(()),
            _ => Err(self.wrong("holds more than the table's rows").into()),
        }
    }

    fn copy_begins(&mut self) -> Result<()> {
        self.freeze = self.freeze && self.begin_frozen()?;
        if !self.freeze {
            self.talk.send(&self.head)?;
        }
        self.blocks += 1;
        Ok(())
    }

    fn copy_ends(&mut self) -> Result<()> {
        if self.freeze { self.talk.send(b"COMMIT;\n") } else { Ok(()) }
    }

    fn copy_rows(&mut self, rows: u64, _bytes: u64) {
        self.rows += rows;
    }
}

/// The statement that a section begins with, which names its table as the definitions do.
///
/// # Errors
/// If the section cannot be read.
pub fn statement_of(section: &Section, file: &Arc<File>) -> Result<Statement> {
    let mut first = First(None);
    let mut scanner = Scanner::default();
    let mut text = Blocks::new(index::text_of(Arc::clone(file), section));
    while first.0.is_none()
        && let Some(lines) = text.next()?
    {
        scanner.scan(lines, &mut first)?;
    }
    Ok(first.0.unwrap_or(Statement::Other))
}

struct First(Option<Statement>);

impl Observer for First {
    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        self.0.get_or_insert_with(|| classify(sql));
        Ok(())
    }
}

/// Fills a table with a share of its rows, if any is left; false where the session has ended.
///
/// # Errors
/// The server's, where nothing helps.
pub fn of_share(
    talk: &mut Talk,
    share: &Share,
    bar: &Bar,
    repair: &Repair<'_>,
    settings: &Seen,
) -> Result<bool> {
    let Some(mut lines) = share.take() else { return Ok(true) };
    if share.repeatable {
        return of_share_by_chunks(talk, share, lines, bar, repair, settings);
    }
    let mut rows = 0;
    let mut copy = || -> Result<()> {
        talk.send(&share.statement)?;
        loop {
            rows += memchr::memchr_iter(b'\n', &lines).count() as u64;
            talk.send(&lines)?;
            bar.inc(lines.len() as u64);
            match share.take() {
                Some(more) => lines = more,
                None => break,
            }
        }
        talk.send(b"\\.\n")
    };
    let sent = copy();
    let done = sent.and_then(|()| check_copied(talk, rows, || share.what()));
    match failure_of(done)? {
        Ok(()) => Ok(true),
        Err(failure) => Err(repair.rows_error(&share.what(), failure)),
    }
}

/// Each chunk by a COPY of its own, so that it can be repeated.
fn of_share_by_chunks(
    talk: &mut Talk,
    share: &Share,
    first: Vec<u8>,
    bar: &Bar,
    repair: &Repair<'_>,
    settings: &Seen,
) -> Result<bool> {
    let mut next = Some(first);
    let mut repaired: Option<Talk> = None;
    while let Some(lines) = next {
        let copy = |talk: &mut Talk| copy_chunk(talk, share, &lines);
        let done = failure_of(copy(repaired.as_mut().unwrap_or(talk)))?;
        if let Err(failure) = done {
            repaired = Some(repair.rows(&share.table, failure, settings, copy)?);
        }
        bar.inc(lines.len() as u64);
        next = share.take();
    }
    Ok(repaired.is_none())
}

fn copy_chunk(talk: &mut Talk, share: &Share, lines: &[u8]) -> Result<()> {
    talk.send(&share.statement)?;
    talk.send(lines)?;
    talk.send(b"\\.\n")?;
    let rows = memchr::memchr_iter(b'\n', lines).count() as u64;
    check_copied(talk, rows, || share.what())
}

/// What the server has taken must be what it was given.
fn check_copied(talk: &mut Talk, rows: u64, what: impl Fn() -> String) -> Result<()> {
    let copied = talk.sync()?;
    ensure!(
        copied.len() == 1,
        "psql reports {} COPYs where there was one: {}",
        copied.len(),
        what()
    );
    if copied[0] != rows {
        bail!("of {rows} rows the server took {}: {}", copied[0], what());
    }
    Ok(())
}
