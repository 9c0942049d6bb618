//! Reads a dump and has it done: what may run beside other things goes to the workers, the rest, in
//! its order, to one session.

mod text;

use super::crew::{Crew, Job, Work};
use super::definition::{Definition, Object};
use super::relations::Relations;
use super::repair::Repair;
use super::rows;
use super::schedule::Way;
use super::sequence::Sequence;
use super::settings::Seen;
use super::share::{Held, Share};
use super::statement::{self, Statement};
use super::statistics;
use crate::index::Section;
use crate::words::Name;
use anyhow::{Result, bail};
use pipe_kit::progress::Bar;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// Rows that were read and not yet taken by a worker, in bytes, at most; a longer row comes on top.
const AHEAD: usize = 32 << 20;
/// Rows that are dealt out at once, in bytes.
const DEAL: usize = 256 << 10;
/// Rows of a smaller table are not written frozen, in bytes: its transaction would wait for the disk,
/// since it replaces a file, and for small tables those waits cost more than a later vacuum does.
const FREEZE: u64 = 64 << 20;
const MOMENT: Duration = Duration::from_millis(5);

/// Where rows go that are being read.
enum Rows {
    /// To the one session, inside a transaction of the dump's own.
    Main,
    /// To whoever has time.
    Dealt { share: Arc<Share>, uses: Vec<(Name, Way)>, workers: usize, lines: Vec<u8> },
}

/// A transaction of the dump's own.
#[derive(PartialEq, Eq)]
enum Transaction {
    None,
    /// Its BEGIN is held back until it is known what it is about.
    Begun(Vec<u8>),
    Open,
}

/// See the module. As an [`Observer`] it takes the dump's text.
pub struct Director<'a> {
    crew: &'a Crew,
    repair: &'a Repair<'a>,
    main: Sequence<'a>,
    /// Whether the session has done all that workers may need.
    caught_up: bool,
    workers: usize,
    server_major: u32,
    bar: &'a Bar,
    relations: Relations,
    settings: Arc<Seen>,
    /// Text since the last statement's end.
    text: Vec<u8>,
    /// What the last comment of pg_dump names.
    object: Option<Arc<Object>>,
    /// Statements so far.
    number: u64,
    rows: Option<Rows>,
    /// Rows that the one session was sent.
    main_rows: u64,
    /// Whose rows come next.
    copying: Option<Statement>,
    transaction: Transaction,
    /// Statements that wait until the workers are done.
    late: Vec<Definition>,
    /// Whether the workers were given anything yet.
    shared: bool,
    /// Whether what is read now concerns nobody else.
    beside: bool,
    held: Arc<Held>,
}

impl<'a> Director<'a> {
    /// Opens the one session.
    ///
    /// # Errors
    /// If psql cannot be started.
    pub fn open(
        crew: &'a Crew,
        repair: &'a Repair<'a>,
        workers: usize,
        bar: &'a Bar,
    ) -> Result<Self> {
        Ok(Self {
            crew,
            repair,
            main: Sequence::open(repair)?,
            caught_up: false,
            workers,
            server_major: repair.server.version.major,
            bar,
            relations: Relations::default(),
            settings: Arc::default(),
            text: Vec::new(),
            object: None,
            number: 0,
            rows: None,
            main_rows: 0,
            copying: None,
            transaction: Transaction::None,
            late: Vec::new(),
            shared: false,
            beside: false,
            held: Arc::default(),
        })
    }

    /// A statement as it is repeated where it fails.
    fn definition(&mut self, text: Vec<u8>) -> Definition {
        self.number += 1;
        let text = without_comments(text);
        Definition {
            number: self.number,
            object: self.object.clone(),
            text,
            settings: Arc::clone(&self.settings),
        }
    }

    /// From now on, or no more, what is read concerns nothing that the workers do.
    pub fn set_beside(&mut self, beside: bool) {
        self.beside = beside;
    }

    /// Gives the workers all tables' sections of an indexed dump.
    ///
    /// # Errors
    /// If the session fails.
    pub fn add_sections(&mut self, sections: Vec<Section>, file: &Arc<File>) -> Result<()> {
        let name = |s: &Section| {
            (s.schema.clone().unwrap_or_default(), s.table.clone().unwrap_or_default())
        };
        for section in &sections {
            self.relations.add_bytes(&name(section), section.bytes);
        }
        let mut parts = std::collections::HashMap::<Name, u32>::new();
        sections.iter().for_each(|section| *parts.entry(name(section)).or_default() += 1);
        for section in sections {
            let table = name(&section);
            // Through its root a row may come into any of its partitions.
            let target = section.root.clone().unwrap_or_else(|| table.clone());
            // Definitions are in the dump's encoding, the index is not.
            let plain = target.0.is_ascii() && target.1.is_ascii();
            let copy = match plain || self.relations.has_made(&target) {
                true => Statement::Copy { table: target },
                false => rows::statement_of(&section, file)?,
            };
            // Keys of a table that was there before look at other tables' rows: one at a time, in order.
            let uses = self.relations.uses(&copy).unwrap_or_else(|| vec![(others(), Way::Alone)]);
            let freeze = section.bytes >= FREEZE
                && parts.get(&table) == Some(&1)
                && section.root.is_none()
                && self.relations.has_made(&table)
                && !self.relations.is_partitioned(&table);
            let weight = section.bytes;
            self.give(&uses, weight, Work::Section { section, file: Arc::clone(file), freeze })?;
        }
        Ok(())
    }

    fn give(&mut self, uses: &[(Name, Way)], weight: u64, work: Work) -> Result<()> {
        if !std::mem::replace(&mut self.caught_up, true) {
            self.main.settle()?;
        }
        self.shared = true;
        self.crew.add(
            uses,
            weight,
            Job { work, settings: Arc::clone(&self.settings), awaited: true },
        );
        Ok(())
    }

    /// For the one session, before everything that comes after and after everything before.
    fn in_order(&mut self, text: Vec<u8>) -> Result<()> {
        self.wait_for_workers()?;
        let definition = self.definition(text);
        self.main.run(definition)
    }

    /// The same for what cannot be repeated.
    fn in_order_once(&mut self, text: &[u8]) -> Result<()> {
        self.wait_for_workers()?;
        self.main.settle()?;
        self.send_once(text)
    }

    /// Sends rows, or a part of a transaction, to the one session.
    fn send_once(&mut self, text: &[u8]) -> Result<()> {
        let object = self.object.as_ref();
        self.main.send(text, || object.map_or_else(|| "a statement".into(), |o| o.to_string()))
    }

    /// The rows that the one session was sent, and whatever else cannot be repeated, must be done.
    fn settle_once(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.main_rows);
        let copied: u64 = self.main.settle_once()?.iter().sum();
        if copied != rows {
            bail!("of {rows} rows the server took {copied}");
        }
        Ok(())
    }

    fn wait_for_workers(&mut self) -> Result<()> {
        if self.shared {
            self.crew.awaited()?;
            self.flush_late()?;
        }
        self.caught_up = false;
        Ok(())
    }

    fn flush_late(&mut self) -> Result<()> {
        std::mem::take(&mut self.late).into_iter().try_for_each(|late| self.main.run(late))
    }

    fn run(&mut self, statement: &Statement, text: Vec<u8>) -> Result<()> {
        self.relations.note(statement);
        match statement {
            Statement::Setting(name) => {
                // A pg_dump newer than the server sets what the server has never heard of.
                let unknown = name == ".transaction_timeout" && self.server_major < 17;
                // A load that waits for others must not wait for ever: that limit is ours.
                if unknown || name == ".lock_timeout" {
                    return Ok(());
                }
                let definition = self.definition(text.clone());
                Arc::make_mut(&mut self.settings).set(name.clone(), text);
                if !self.shared {
                    return self.main.run(definition);
                }
                // It holds for what is late, too, and from where it stands.
                self.late.push(definition);
                Ok(())
            }
            Statement::Free => {
                let definition = self.definition(text);
                self.main.run(definition)
            }
            Statement::Begin => {
                self.transaction = Transaction::Begun(text);
                Ok(())
            }
            Statement::Late if self.shared => {
                let definition = self.definition(text);
                self.late.push(definition);
                Ok(())
            }
            statement => match self.relations.uses(statement) {
                Some(uses) => {
                    let weight = uses.first().map_or(0, |(table, _)| self.relations.bytes(table));
                    let definition = self.definition(text);
                    self.give(&uses, weight, Work::Run(definition))
                }
                None => {
                    let opaque = statement::may_set_anything(&text);
                    self.in_order(text)?;
                    if opaque {
                        self.main.set_opaque();
                    }
                    Ok(())
                }
            },
        }
    }

    /// Large objects come in transactions, and nobody waits for them; any other keeps its place.
    fn run_in_transaction(&mut self, statement: &Statement, sql: &[u8], text: &[u8]) -> Result<()> {
        if let Transaction::Begun(begin) =
            std::mem::replace(&mut self.transaction, Transaction::Open)
        {
            let large_object = sql.trim_ascii().starts_with(b"SELECT pg_catalog.lo_open(");
            if large_object {
                self.main.settle()?;
                self.send_once(&begin)?;
            } else {
                self.in_order_once(&begin)?;
            }
        }
        self.send_once(text)?;
        if let Statement::Setting(_) = statement {
            self.main.set_opaque();
        }
        if *statement == Statement::End {
            self.transaction = Transaction::None;
            self.settle_once()?;
        }
        Ok(())
    }

    /// Deals out what has been read of a table's rows, when there is room.
    fn deal(&mut self) -> Result<()> {
        let Some(Rows::Dealt { share, uses, workers, lines }) = &mut self.rows else {
            return Ok(());
        };
        let mut helper = None;
        while helper.is_none() && !self.held.are_fewer_than(AHEAD, MOMENT) {
            self.crew.check()?;
            if *workers < self.workers && self.crew.has_idle() {
                *workers += 1;
                helper = Some((uses.clone(), Work::Share(Arc::clone(share))));
            }
        }
        share.push(std::mem::take(lines));
        match helper {
            Some((uses, work)) => self.give(&uses, u64::MAX, work),
            None => Ok(()),
        }
    }

    /// The dump has ended: the rest is done, and statistics are gathered, which nobody waits for.
    ///
    /// # Errors
    /// If anybody fails.
    pub fn finish(mut self) -> Result<()> {
        if self.transaction != Transaction::None {
            bail!("the dump ends within a transaction");
        }
        // Tables now, while their last keys are made; what is filled late, afterwards.
        self.crew.awaited()?;
        let tables: Vec<Name> = self.relations.tables().cloned().collect();
        tables.iter().for_each(|table| self.analyze(table));
        self.repair.constraints()?;
        self.repair.try_again()?;
        let watched = self.late.iter().any(Definition::makes_event_trigger);
        self.flush_late()?;
        self.main.settle()?;
        if !watched {
            // An event trigger of the dump's own would take these for what its application does.
            self.repair.try_again()?;
        }
        let views: Vec<Name> = self.relations.views().cloned().collect();
        views.iter().for_each(|view| self.analyze(view));
        self.crew.idle()?;
        self.crew.close();
        self.main.settle()
    }

    fn analyze(&mut self, table: &Name) {
        let uses: Vec<_> =
            self.relations.family(table).into_iter().map(|name| (name, Way::Alone)).collect();
        let work = Work::Run(self.definition(statistics::gather(table).into_bytes()));
        let job = Job { work, settings: Arc::clone(&self.settings), awaited: false };
        self.crew.add(&uses, self.relations.bytes(table), job);
    }
}

/// A statement without the comments above it.
fn without_comments(mut text: Vec<u8>) -> Vec<u8> {
    let above: usize = text
        .split_inclusive(|byte| *byte == b'\n')
        .take_while(|line| line.trim_ascii().is_empty() || line.starts_with(b"--"))
        .map(<[u8]>::len)
        .sum();
    text.drain(..above);
    text
}

/// Stands for all tables that this load has not made, such as those of extensions.
fn others() -> Name {
    (String::new(), "others".into())
}

impl Drop for Director<'_> {
    fn drop(&mut self) {
        if let Some(Rows::Dealt { share, .. }) = &self.rows {
            // Workers that wait for its rest must not wait for ever.
            share.close();
        }
    }
}
