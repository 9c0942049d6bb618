//! Assigns the statements and rows of a dump: those that may run at the same time go to the workers, the
//! rest, in its order, to the ordered session.

use super::definition::{Definition, ObjectName};
use super::ordered_session::OrderedSession;
use super::relations::Relations;
use super::repair::Repair;
use super::row_queue::{RowBudget, RowQueue};
use super::rows;
use super::schedule::AccessMode;
use super::settings::{self, SessionSettings};
use super::statement_reader::{DumpPart, DumpStatement, StatementReader};
use super::statistics;
use super::worker_pool::{Job, Work, WorkerPool};
use crate::index::Section;
use crate::sql::{Name, StatementKind, properties};
use anyhow::{Result, bail};
use pipe_kit::progress::Bar;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// How many bytes of rows may wait for workers. A longer row comes on top.
const AHEAD: usize = 32 << 20;
/// The rows of a smaller table are not frozen, in bytes: its transaction would wait for the disk, since it
/// replaces a file. For small tables these waits cost more than a later vacuum.
const FREEZE: u64 = 64 << 20;
/// How long to wait for room before the workers are looked at again.
const MOMENT: Duration = Duration::from_millis(5);

/// A transaction of the dump itself.
#[derive(PartialEq, Eq)]
enum Transaction {
    None,
    /// Its BEGIN is not sent before its first statement shows what it is about.
    Begun(Vec<u8>),
    /// With the rows that it was sent.
    Open(u64),
}

/// What a dispatcher of one load knows.
pub struct Dispatcher<'a> {
    pool: &'a WorkerPool,
    repair: &'a Repair<'a>,
    workers: usize,
    bar: &'a Bar,
    ordered: OrderedSession<'a>,
    /// Whether the ordered session has done everything that jobs may need.
    ordered_is_done: bool,
    /// Whether there were any jobs yet.
    has_jobs: bool,
    /// Statements that wait until the awaited jobs are done.
    late: Vec<Definition>,
    relations: Relations,
    settings: Arc<SessionSettings>,
    transaction: Transaction,
    /// Statements so far.
    count: u64,
    budget: Arc<RowBudget>,
}

impl<'a> Dispatcher<'a> {
    /// Opens the ordered session.
    pub fn open(
        pool: &'a WorkerPool,
        repair: &'a Repair<'a>,
        workers: usize,
        bar: &'a Bar,
    ) -> Result<Self> {
        Ok(Self {
            pool,
            repair,
            workers,
            bar,
            ordered: OrderedSession::open(repair)?,
            ordered_is_done: false,
            has_jobs: false,
            late: Vec::new(),
            relations: Relations::default(),
            settings: Arc::default(),
            transaction: Transaction::None,
            count: 0,
            budget: Arc::default(),
        })
    }

    /// Assigns all parts that a reader gives. `independent`: no job depends on them, so their statements
    /// do not wait for the workers.
    pub fn dispatch<R: Read>(
        &mut self,
        reader: &mut StatementReader<R>,
        independent: bool,
    ) -> Result<()> {
        while let Some(part) = reader.next()? {
            match part {
                DumpPart::Statement(statement) if independent => self.run_at_once(statement)?,
                DumpPart::Statement(statement) => self.assign_statement(statement)?,
                DumpPart::Copy(statement) => self.assign_copy(statement, reader)?,
                DumpPart::Rows(_) | DumpPart::EndOfRows => {}
            }
        }
        Ok(())
    }

    fn run_at_once(&mut self, statement: DumpStatement) -> Result<()> {
        if self.transaction != Transaction::None || statement.kind == StatementKind::Begin {
            return self.assign_statement(statement);
        }
        self.bar.inc(statement.length as u64);
        let definition = self.definition(statement);
        self.ordered.run(definition)
    }

    /// Assigns all tables' sections of an indexed dump.
    pub fn add_sections(&mut self, sections: Vec<Section>, file: &Arc<File>) -> Result<()> {
        let mut counts = HashMap::<Name, u32>::new();
        for section in &sections {
            self.relations.add_bytes(&section.name(), section.bytes);
            *counts.entry(section.name()).or_default() += 1;
        }
        for section in sections {
            let table = section.name();
            // Through its root, a row may come into any partition.
            let target = section.root.clone().unwrap_or_else(|| table.clone());
            // Definitions are in the dump's encoding, the index is not.
            let is_same_name = target.0.is_ascii() && target.1.is_ascii();
            let copy = match is_same_name || self.relations.has_created(&target) {
                true => StatementKind::Copy { table: target },
                false => rows::first_statement(&section, file)?,
            };
            // The keys of a table that existed before look at other tables' rows: one job at a time.
            let uses =
                self.relations.uses(&copy).unwrap_or_else(|| vec![(others(), AccessMode::Alone)]);
            let freeze = section.bytes >= FREEZE
                && counts.get(&table) == Some(&1)
                && section.root.is_none()
                && self.relations.has_created(&table)
                && !self.relations.is_partitioned(&table);
            let weight = section.bytes;
            self.add_job(&uses, weight, Work::Section { section, file: Arc::clone(file), freeze })?;
        }
        Ok(())
    }

    fn add_job(&mut self, uses: &[(Name, AccessMode)], weight: u64, work: Work) -> Result<()> {
        if !self.ordered_is_done {
            self.ordered.wait()?;
            self.ordered_is_done = true;
        }
        self.has_jobs = true;
        let job = Job { work, settings: Arc::clone(&self.settings), awaited: true };
        self.pool.add(uses, weight, job);
        Ok(())
    }

    /// A statement with all that is needed to repeat it.
    fn definition(&mut self, statement: DumpStatement) -> Definition {
        self.definition_of(statement.text, statement.object)
    }

    fn definition_of(&mut self, text: Vec<u8>, object: Option<Arc<ObjectName>>) -> Definition {
        self.count += 1;
        Definition { number: self.count, object, text, settings: Arc::clone(&self.settings) }
    }

    fn assign_statement(&mut self, statement: DumpStatement) -> Result<()> {
        self.bar.inc(statement.length as u64);
        if self.transaction != Transaction::None {
            return self.run_in_transaction(&statement);
        }
        self.relations.record(&statement.kind);
        match &statement.kind {
            StatementKind::Setting(name) => {
                let name = name.clone();
                self.set(name, statement)
            }
            StatementKind::Free => {
                let definition = self.definition(statement);
                self.ordered.run(definition)
            }
            StatementKind::Begin => {
                self.transaction = Transaction::Begun(statement.text);
                Ok(())
            }
            StatementKind::Late if self.has_jobs => {
                let definition = self.definition(statement);
                self.late.push(definition);
                Ok(())
            }
            kind => match self.relations.uses(kind) {
                Some(uses) => {
                    let weight = uses.first().map_or(0, |(table, _)| self.relations.bytes(table));
                    let definition = self.definition(statement);
                    self.add_job(&uses, weight, Work::Statement(definition))
                }
                None => self.run_in_order(statement),
            },
        }
    }

    fn set(&mut self, name: String, statement: DumpStatement) -> Result<()> {
        if settings::is_ignored(&name, self.repair.server.version.major) {
            return Ok(());
        }
        let text = statement.text.clone();
        let definition = self.definition(statement);
        Arc::make_mut(&mut self.settings).set(name, text);
        if !self.has_jobs {
            return self.ordered.run(definition);
        }
        // Late statements depend on it, too: it keeps its place among them.
        self.late.push(definition);
        Ok(())
    }

    /// Runs a statement after everything before it and before everything after it.
    fn run_in_order(&mut self, statement: DumpStatement) -> Result<()> {
        self.wait_for_jobs()?;
        let definition = self.definition(statement);
        let may_set_anything = properties::may_set_anything(&definition.text);
        self.ordered.run(definition)?;
        if may_set_anything {
            self.ordered.set_irreplaceable();
        }
        Ok(())
    }

    fn wait_for_jobs(&mut self) -> Result<()> {
        if self.has_jobs {
            self.pool.wait_for_awaited()?;
            self.run_late()?;
        }
        self.ordered_is_done = false;
        Ok(())
    }

    fn run_late(&mut self) -> Result<()> {
        std::mem::take(&mut self.late).into_iter().try_for_each(|late| self.ordered.run(late))
    }

    /// Large objects come in transactions, and no job depends on them. Any other transaction keeps its
    /// place among all statements.
    fn run_in_transaction(&mut self, statement: &DumpStatement) -> Result<()> {
        let transaction = std::mem::replace(&mut self.transaction, Transaction::None);
        let rows = match transaction {
            Transaction::Open(rows) => rows,
            Transaction::Begun(begin) => {
                if !statement.text.trim_ascii_start().starts_with(b"SELECT pg_catalog.lo_open(") {
                    self.wait_for_jobs()?;
                }
                self.ordered.wait()?;
                self.ordered.send_unrepeatable(&begin, || statement.what())?;
                0
            }
            Transaction::None => 0,
        };
        self.ordered.send_unrepeatable(&statement.text, || statement.what())?;
        if let StatementKind::Setting(_) = statement.kind {
            self.ordered.set_irreplaceable();
        }
        if statement.kind == StatementKind::End {
            return self.wait_unrepeatable(rows);
        }
        self.transaction = Transaction::Open(rows);
        Ok(())
    }

    /// Waits for what cannot be repeated, and checks how many rows the server took.
    fn wait_unrepeatable(&mut self, rows: u64) -> Result<()> {
        let copied: u64 = self.ordered.wait_unrepeatable()?.iter().sum();
        if copied != rows {
            bail!("the server accepted {copied} of {rows} rows");
        }
        Ok(())
    }

    fn assign_copy<R: Read>(
        &mut self,
        statement: DumpStatement,
        reader: &mut StatementReader<R>,
    ) -> Result<()> {
        if self.transaction == Transaction::None
            && let Some(uses) = self.relations.uses(&statement.kind)
        {
            return self.copy_by_workers(statement, &uses, reader);
        }
        self.copy_in_order(&statement, reader)
    }

    /// Rows of a table that the load has not created, or inside a transaction of the dump.
    fn copy_in_order<R: Read>(
        &mut self,
        statement: &DumpStatement,
        reader: &mut StatementReader<R>,
    ) -> Result<()> {
        if self.transaction == Transaction::None {
            self.wait_for_jobs()?;
            self.ordered.wait()?;
            self.ordered.send_unrepeatable(&statement.text, || statement.what())?;
        } else {
            self.run_in_transaction(statement)?;
        }
        let (mut rows, mut end) = (0, rows::end_of(b""));
        while let Some(lines) = reader.next_rows()? {
            end = rows::end_of(&lines);
            rows += memchr::memchr_iter(b'\n', &lines).count() as u64;
            self.bar.inc(lines.len() as u64);
            self.ordered.send_unrepeatable(&lines, || statement.what())?;
        }
        self.ordered.send_unrepeatable(end, || statement.what())?;
        match &mut self.transaction {
            Transaction::Open(all) => {
                *all += rows;
                Ok(())
            }
            _ => self.wait_unrepeatable(rows),
        }
    }

    /// One worker copies the rows; others help while they are read faster than it copies them.
    fn copy_by_workers<R: Read>(
        &mut self,
        statement: DumpStatement,
        uses: &[(Name, AccessMode)],
        reader: &mut StatementReader<R>,
    ) -> Result<()> {
        let table = match statement.kind {
            StatementKind::Copy { table } => table,
            _ => Name::default(),
        };
        let repeatable = self.repair.keep_going || self.relations.needs_others(&table);
        let budget = Arc::clone(&self.budget);
        let (sender, queue) = RowQueue::new(statement.text, table, repeatable, budget);
        self.add_job(uses, 0, Work::Rows(Arc::clone(&queue)))?;
        let alone = uses.iter().any(|(_, mode)| *mode == AccessMode::Alone);
        let mut helpers = if alone { 0 } else { self.workers - 1 };
        while let Some(lines) = reader.next_rows()? {
            let needs_helper = !self.wait_for_room(helpers > 0)?;
            sender.push(lines);
            if needs_helper {
                helpers -= 1;
                self.add_job(uses, u64::MAX, Work::Rows(Arc::clone(&queue)))?;
            }
        }
        Ok(())
    }

    /// Waits until there is room for more rows; false if an idle worker could help instead.
    fn wait_for_room(&self, may_help: bool) -> Result<bool> {
        while !self.budget.has_room(AHEAD, MOMENT) {
            self.pool.check()?;
            if may_help && self.pool.has_idle() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// After the last part: finishes everything, and gathers statistics, which nothing waits for.
    pub fn finish(mut self) -> Result<()> {
        if self.transaction != Transaction::None {
            bail!("the dump ends within a transaction");
        }
        // Tables are analyzed while late statements run; views, which those fill, afterwards.
        self.pool.wait_for_awaited()?;
        let tables: Vec<Name> = self.relations.tables().cloned().collect();
        tables.iter().for_each(|table| self.analyze(table));
        self.repair.restore_constraints()?;
        self.ordered.retry_omitted()?;
        self.run_late()?;
        self.ordered.retry_omitted()?;
        self.repair.require_all()?;
        let views: Vec<Name> = self.relations.views().cloned().collect();
        views.iter().for_each(|view| self.analyze(view));
        self.pool.wait_for_all()?;
        self.pool.close();
        self.ordered.wait()
    }

    fn analyze(&mut self, table: &Name) {
        let family = self.relations.family(table).into_iter();
        let uses: Vec<_> = family.map(|name| (name, AccessMode::Alone)).collect();
        let work = Work::Statistics(statistics::analyze(table));
        let job = Job { work, settings: Arc::clone(&self.settings), awaited: false };
        self.pool.add(&uses, self.relations.bytes(table), job);
    }
}

/// Stands for all tables that this load has not created, such as those of extensions.
fn others() -> Name {
    (String::new(), "others".into())
}
