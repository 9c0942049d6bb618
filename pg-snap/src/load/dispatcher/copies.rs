//! How a dispatcher assigns rows.

use super::{Dispatcher, Transaction};
use crate::index::Section;
use crate::load::row_queue::RowQueue;
use crate::load::rows;
use crate::load::schedule::AccessMode;
use crate::load::settings::SessionSettings;
use crate::load::statement_reader::{DumpStatement, StatementReader};
use crate::load::worker_pool::Work;
use crate::sql::{Name, StatementKind};
use anyhow::Result;
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

impl Dispatcher<'_> {
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
            let settings = match &copy {
                StatementKind::Copy { table } => self.settings_for_rows(table),
                _ => self.settings_for_rows(&table),
            };
            let work = Work::Section { section, file: Arc::clone(file), freeze };
            self.add_job(&uses, weight, work, settings)?;
        }
        Ok(())
    }

    /// The settings under which a table's rows are copied.
    fn settings_for_rows(&mut self, table: &Name) -> Arc<SessionSettings> {
        let path = self.repair.paths.of_functions();
        let Some(path) = path.filter(|_| self.relations.needs_others(table)) else {
            return Arc::clone(&self.settings);
        };
        if self.relations.calls(table) {
            self.report.add_rows(table, self.repair.paths);
        }
        let settings = &self.settings;
        let others =
            self.settings_of_functions.get_or_insert_with(|| Arc::new(settings.under(Some(path))));
        Arc::clone(others)
    }

    pub(super) fn assign_copy<R: Read>(
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
        let settings = self.settings_for_rows(&table);
        let budget = Arc::clone(&self.budget);
        let (sender, queue) = RowQueue::new(statement.text, table, repeatable, budget);
        self.add_job(uses, 0, Work::Rows(Arc::clone(&queue)), Arc::clone(&settings))?;
        let alone = uses.iter().any(|(_, mode)| *mode == AccessMode::Alone);
        let mut helpers = if alone { 0 } else { self.workers - 1 };
        while let Some(lines) = reader.next_rows()? {
            let needs_helper = !self.wait_for_room(helpers > 0)?;
            sender.push(lines);
            if needs_helper {
                helpers -= 1;
                let work = Work::Rows(Arc::clone(&queue));
                self.add_job(uses, u64::MAX, work, Arc::clone(&settings))?;
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
}

/// Stands for all tables that this load has not created, such as those of extensions.
fn others() -> Name {
    (String::new(), "others".into())
}
