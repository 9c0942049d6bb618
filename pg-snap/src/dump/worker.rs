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
use std::sync::{Mutex, PoisonError};

/// Tables that are copied in one transaction, if they are small. A session keeps the locks of so many, and
/// of what they have out of line, to itself: they take no place among those that all sessions share.
const TOGETHER: usize = 8;
/// Bytes on the server's disk of a small table, at most.
const SMALL: u64 = 128 << 10;
/// The length of a small table's list of columns, at most: the statements for all of them must fit into
/// the pipe to psql, which may be writing.
const COLUMNS: usize = 4 << 10;

/// The tasks that no worker has taken yet, with the numbers of their sections.
pub struct Tasks(Mutex<VecDeque<(usize, DumpTask)>>);

impl Tasks {
    pub fn new(tasks: Vec<DumpTask>) -> Self {
        Self(Mutex::new(tasks.into_iter().enumerate().collect()))
    }

    /// The next task, or several small tables; empty at the end.
    fn take(&self) -> Vec<(usize, DumpTask)> {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let small = tasks.iter().take(TOGETHER).take_while(|(_, task)| is_small(task)).count();
        let number = small.max(1).min(tasks.len());
        tasks.drain(..number).collect()
    }
}

fn is_small(task: &DumpTask) -> bool {
    match task {
        DumpTask::Copy { table, pages: None } => {
            table.bytes <= SMALL && table.columns.len() <= COLUMNS && table.filter.is_none()
        }
        _ => false,
    }
}

/// Runs a worker until there are no more tasks.
pub fn run(
    run: &DumpRun<'_>,
    level: Level,
    tasks: &Tasks,
    contents: &Contents,
    snapshot: &str,
) -> Result<()> {
    let mut taken = tasks.take();
    // A session costs something, and one that is late finds nothing to do.
    if taken.is_empty() {
        return Ok(());
    }
    let copier = Copier::open(run, snapshot)?;
    let mut worker = Worker { run, contents, snapshot, copier, maker: MemberMaker::new(level) };
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
