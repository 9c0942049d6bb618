//! Assigns the statements and rows of a dump: those that may run at the same time go to the workers, the
//! rest, in its order, to the ordered session.

mod copies;

use super::definition::{Definition, ObjectName};
use super::ordered_session::OrderedSession;
use super::relations::Relations;
use super::repair::Repair;
use super::row_queue::RowBudget;
use super::schedule::AccessMode;
use super::search_paths::PathReport;
use super::settings::{self, SessionSettings};
use super::statement_reader::{DumpPart, DumpStatement, StatementReader};
use super::statistics;
use super::worker_pool::{Job, Work, WorkerPool};
use crate::sql::{Name, StatementKind, properties};
use anyhow::{Result, bail};
use pipe_kit::progress::Bar;
use std::io::Read;
use std::sync::Arc;

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
    /// Event triggers, which wait for everything else of the dump.
    event_triggers: Vec<Definition>,
    relations: Relations,
    settings: Arc<SessionSettings>,
    /// The same for rows that need functions or types that are not the server's own.
    settings_of_functions: Option<Arc<SessionSettings>>,
    report: PathReport,
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
            event_triggers: Vec::new(),
            relations: Relations::default(),
            settings: Arc::default(),
            settings_of_functions: None,
            report: PathReport::default(),
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

    fn add_job(
        &mut self,
        uses: &[(Name, AccessMode)],
        weight: u64,
        work: Work,
        settings: Arc<SessionSettings>,
    ) -> Result<()> {
        if !self.ordered_is_done {
            self.ordered.wait()?;
            self.ordered_is_done = true;
        }
        self.has_jobs = true;
        self.pool.add(uses, weight, Job { work, settings, awaited: true });
        Ok(())
    }

    /// A statement with all that is needed to repeat it.
    fn definition(&mut self, statement: DumpStatement) -> Definition {
        let calls = self.relations.evaluates(&statement.kind, &statement.text);
        let refreshes = matches!(statement.kind, StatementKind::Refresh { .. });
        let definition = self.definition_of(statement.text, statement.object);
        let definition = Definition { calls, ..definition };
        self.report.add(&definition, self.repair.paths);
        // Policies of the tables that it reads, or views that are replaced later, may call functions, too.
        Definition { calls: calls || refreshes, ..definition }
    }

    fn definition_of(&mut self, text: Vec<u8>, object: Option<Arc<ObjectName>>) -> Definition {
        self.count += 1;
        let settings = Arc::clone(&self.settings);
        Definition { number: self.count, object, text, settings, calls: false }
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
            StatementKind::Late | StatementKind::Refresh { .. } if self.has_jobs => {
                let definition = self.definition(statement);
                self.late.push(definition);
                Ok(())
            }
            StatementKind::EventTrigger => {
                let definition = self.definition(statement);
                self.event_triggers.push(definition);
                Ok(())
            }
            kind => match self.relations.uses(kind) {
                Some(uses) => {
                    let weight = uses.first().map_or(0, |(table, _)| self.relations.bytes(table));
                    let definition = self.definition(statement);
                    let settings = Arc::clone(&self.settings);
                    self.add_job(&uses, weight, Work::Statement(definition), settings)
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
        self.settings_of_functions = None;
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

    /// Runs what creates event triggers, each with the settings that it had in its place.
    fn run_event_triggers(&mut self) -> Result<()> {
        let mut now = Arc::clone(&self.settings);
        for definition in std::mem::take(&mut self.event_triggers) {
            self.count += 1;
            let definition = Definition { number: self.count, ..definition };
            let text = definition.settings.changes_since(&now);
            now = Arc::clone(&definition.settings);
            if !text.is_empty() {
                self.ordered.run(Definition { text, object: None, ..definition.clone() })?;
            }
            self.ordered.run(definition)?;
        }
        Ok(())
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

    /// After the last part: finishes everything, and gathers statistics, which nothing waits for. Returns what is to be
    /// reported once the workers have ended well, too.
    pub fn finish(mut self) -> Result<PathReport> {
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
        self.run_event_triggers()?;
        self.ordered.retry_omitted()?;
        self.repair.require_all()?;
        let views: Vec<Name> = self.relations.views().cloned().collect();
        views.iter().for_each(|view| self.analyze(view));
        self.pool.wait_for_all()?;
        self.pool.close();
        self.ordered.wait()?;
        Ok(self.report)
    }

    fn analyze(&mut self, table: &Name) {
        let family = self.relations.family(table).into_iter();
        let uses: Vec<_> = family.map(|name| (name, AccessMode::Alone)).collect();
        let path = self.repair.paths.of_functions();
        let work = Work::Statistics(statistics::analyze(table, path.as_deref()));
        let job = Job { work, settings: Arc::clone(&self.settings), awaited: false };
        self.pool.add(&uses, self.relations.bytes(table), job);
    }
}
