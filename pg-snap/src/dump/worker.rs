//! A worker: takes tasks in their order, and makes the section of each.

use super::catalog::{Contents, SourceTable};
use super::copy::{Copied, Copier};
use super::pg_dump::{self, PgDump, PgDumpSection};
use super::plan::DumpTask;
use super::reorder_buffer::SectionLabel;
use super::run::DumpRun;
use super::section_writer::{BufferedSection, MemberMaker, SectionWriter};
use crate::gzip::Level;
use crate::index::Kind;
use crate::sql;
use anyhow::Result;
use pipe_kit::progress;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tables that are copied in one transaction, if they are small. A session keeps the locks of so many, and
/// of what they have out of line, to itself: they take no place among those that all sessions share.
const TOGETHER: usize = 8;
/// Bytes on the server's disk of a small table, at most.
const SMALL: u64 = 128 << 10;
/// Bytes of names in the statements that are sent together, at most: they must fit into the smallest pipe
/// to psql, of two pages, because psql may be writing rows and reads no statement meanwhile.
const NAMES: usize = 5 << 10;

/// The tasks that no worker has taken yet, with the numbers of their sections.
///
/// Sequences have the last section and are read before any table: once a table's lock is released, a
/// TRUNCATE that restarts its sequence would show in the sequence, and not in the rows.
pub struct Tasks(Mutex<VecDeque<(usize, DumpTask)>>);

impl Tasks {
    pub fn new(tasks: Vec<DumpTask>) -> Self {
        let mut tasks: Vec<_> = tasks.into_iter().enumerate().collect();
        if let Some(at) = tasks.iter().position(|(_, task)| *task == DumpTask::Sequences) {
            tasks[..=at].rotate_right(1);
        }
        Self(Mutex::new(tasks.into()))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(usize, DumpTask)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task, or several small tables; empty at the end.
    fn take(&self) -> Vec<(usize, DumpTask)> {
        let mut tasks = self.lock();
        let together = together(tasks.iter().map(|(_, task)| task));
        let number = together.max(1).min(tasks.len());
        tasks.drain(..number).collect()
    }

    /// Has the sequences read, if that is the next task. Nobody else can take a task until that is done.
    fn read_sequences_first(&self, read: impl FnOnce(usize) -> Result<()>) -> Result<()> {
        let mut tasks = self.lock();
        match tasks.front() {
            Some((number, DumpTask::Sequences)) => {
                let number = *number;
                tasks.pop_front();
                read(number)
            }
            _ => Ok(()),
        }
    }
}

/// How many of the next tasks are small tables that are copied in one transaction.
fn together<'a>(tasks: impl Iterator<Item = &'a DumpTask>) -> usize {
    let mut names = 0;
    tasks
        .take(TOGETHER)
        .take_while(|task| match task {
            DumpTask::Copy { table, pages: None } => {
                names += table.quoted.len() + table.columns.len();
                table.bytes <= SMALL && names <= NAMES && table.filter.is_none()
            }
            _ => false,
        })
        .count()
}

/// Runs a worker until there are no more tasks.
pub fn run(
    run: &DumpRun<'_>,
    level: Level,
    tasks: &Tasks,
    contents: &Contents,
    snapshot: &str,
) -> Result<()> {
    let open = || -> Result<Worker<'_>> {
        let copier = Copier::open(run, snapshot)?;
        Ok(Worker { run, contents, snapshot, copier, maker: MemberMaker::new(level) })
    };
    let mut opened = None;
    tasks.read_sequences_first(|number| {
        opened.insert(open()?).perform(number, &DumpTask::Sequences)
    })?;
    let mut taken = tasks.take();
    let mut worker = match opened {
        Some(worker) => worker,
        // A session costs something, and one that is late finds nothing to do.
        None if taken.is_empty() => return Ok(()),
        None => open()?,
    };
    while !taken.is_empty() {
        run.fail_if_abandoned()?;
        match taken.as_slice() {
            [(number, task)] => worker.perform(*number, task)?,
            several => worker.copy_together(several)?,
        }
        taken = tasks.take();
    }
    worker.copier.close()
}

struct Worker<'a> {
    run: &'a DumpRun<'a>,
    contents: &'a Contents,
    snapshot: &'a str,
    copier: Copier<'a>,
    maker: MemberMaker,
}

impl Worker<'_> {
    fn perform(&mut self, number: usize, task: &DumpTask) -> Result<()> {
        let mut sink = BufferedSection { buffer: &self.run.buffer, number };
        let mut section = SectionWriter::new(&mut self.maker, &mut sink);
        let label = match task {
            DumpTask::Copy { table, pages } => {
                let copied = self.copier.copy(table, pages.as_ref(), &mut section)?;
                section.finish()?;
                progress::correct(&self.run.bar, task.estimate(), copied.bytes);
                label_of(table, copied)
            }
            DumpTask::Sequences => {
                self.copier.sequences(&self.contents.sequences, &mut section)?;
                SectionLabel::of(Kind::Sequences, section.finish()?)
            }
            DumpTask::LargeObjects => {
                let pg_dump = PgDump { run: self.run, snapshot: self.snapshot, excluded: &[] };
                let source = pg_dump.section(PgDumpSection::LargeObjects)?;
                let large_objects = PgDumpSection::LargeObjects;
                pg_dump::write_section(self.run, large_objects, source, &mut section)?;
                SectionLabel::of(Kind::LargeObjects, section.finish()?)
            }
        };
        sink.end(label);
        Ok(())
    }

    /// Copies small tables in one transaction, or each by itself if one of them cannot be locked at once:
    /// that one is waited for, and an error names it.
    fn copy_together(&mut self, several: &[(usize, DumpTask)]) -> Result<()> {
        let tables: Vec<(usize, &SourceTable, u64)> = several
            .iter()
            .filter_map(|(number, task)| match task {
                DumpTask::Copy { table, .. } => Some((*number, &**table, task.estimate())),
                _ => None,
            })
            .collect();
        let wanted: Vec<&SourceTable> = tables.iter().map(|(_, table, _)| *table).collect();
        let Some(heads) = self.copier.request_all(&wanted)? else {
            return several.iter().try_for_each(|(number, task)| self.perform(*number, task));
        };
        for ((number, table, estimate), head) in tables.into_iter().zip(heads) {
            let mut sink = BufferedSection { buffer: &self.run.buffer, number };
            let mut section = SectionWriter::new(&mut self.maker, &mut sink);
            let copied = self.copier.receive(table, &head, &mut section)?;
            section.finish()?;
            progress::correct(&self.run.bar, estimate, copied.bytes);
            sink.end(label_of(table, copied));
        }
        Ok(())
    }
}

fn label_of(table: &SourceTable, copied: Copied) -> SectionLabel {
    SectionLabel {
        kind: Kind::TableData,
        schema: Some(table.schema.clone()),
        root: table.root.as_deref().and_then(sql::name),
        table: Some(table.name.clone()),
        rows: copied.rows,
        bytes: copied.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::plan::tests::table;

    fn copies(tables: impl IntoIterator<Item = SourceTable>) -> Vec<DumpTask> {
        let task = |table| DumpTask::Copy { table: Box::new(table), pages: None };
        tables.into_iter().map(task).collect()
    }

    #[test]
    fn sequences_are_read_before_tables_and_only_once_and_keep_the_last_section() {
        let mut all = vec![DumpTask::LargeObjects];
        all.extend(copies([table("a", 1 << 20)]));
        all.push(DumpTask::Sequences);
        let tasks = Tasks::new(all);
        let mut read = Vec::new();
        for _ in 0..2 {
            let first = tasks.read_sequences_first(|number| {
                read.push(number);
                Ok(())
            });
            assert!(first.is_ok());
        }
        assert_eq!(read, [2]);
        let numbers = || tasks.take().iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!([numbers(), numbers(), numbers()], [vec![0], vec![1], vec![]]);
    }

    #[test]
    fn what_is_sent_together_fits_into_the_smallest_pipe() {
        let wide = |name: &str| SourceTable { columns: "c".repeat(2000), ..table(name, 1) };
        for (tables, expected) in [
            (["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|name| table(name, 1)).to_vec(), 8),
            (["a", "b", "c"].map(wide).to_vec(), 2),
            (vec![table("a", 1), table("b", 1 << 20)], 1),
            (vec![table("b", 1 << 20)], 0),
        ] {
            assert_eq!(together(copies(tables).iter()), expected);
        }
    }
}
