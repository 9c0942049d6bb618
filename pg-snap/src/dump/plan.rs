//! The order in which tables are copied, and in which parts: a pure decision.

use super::catalog::{Contents, SourceTable};
use std::cmp::Reverse;
use std::ops::Range;

/// A table with more bytes on the server's disk is copied in parts, so that several sessions share it and
/// less has to wait in memory to be written.
const SPLIT_ABOVE: u64 = 256 << 20;
/// The approximate size of a part.
const PART_BYTES: u64 = 128 << 20;

/// A section of the dump that one worker makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DumpTask {
    /// A table's rows, or those of some of its pages. The last range has no upper bound: the table may
    /// have grown by then.
    Copy {
        table: Box<SourceTable>,
        pages: Option<Range<Option<u64>>>,
    },
    Sequences,
    LargeObjects,
}

impl DumpTask {
    /// How many bytes its text may have: about as many as it has on the server's disk.
    pub fn estimate(&self) -> u64 {
        let Self::Copy { table, pages } = self else { return 0 };
        let Some(range) = pages else { return table.bytes };
        let pages = range.end.unwrap_or(table.pages) - range.start.unwrap_or(0);
        let share = u128::from(table.bytes) * u128::from(pages) / u128::from(table.pages.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// The tasks in the order in which they are begun and written: large objects, which one client
/// copies alone; tables of extensions, each after those that its keys refer to; then the largest
/// tables, so that no large one is left for the end. Tables that call functions come after all that the
/// functions may read, in pg_dump's order, by name.
pub fn tasks(contents: &Contents) -> Vec<DumpTask> {
    let mut tables: Vec<&SourceTable> = contents.tables.iter().collect();
    tables.sort_by_key(|table| {
        let rank = (table.rank.is_none(), table.rank);
        let bytes = if table.calls { 0 } else { table.bytes };
        (rank, table.calls, Reverse(bytes), table.schema.as_str(), table.name.as_str())
    });
    let mut tasks = Vec::new();
    tasks.extend(contents.large_objects.then_some(DumpTask::LargeObjects));
    for table in tables {
        for pages in page_ranges(table) {
            tasks.push(DumpTask::Copy { table: Box::new(table.clone()), pages });
        }
    }
    tasks.extend((!contents.sequences.is_empty()).then_some(DumpTask::Sequences));
    tasks
}

fn page_ranges(table: &SourceTable) -> Vec<Option<Range<Option<u64>>>> {
    let parts = table.bytes.div_ceil(PART_BYTES).min(table.pages);
    let plain = table.rank.is_none() && table.root.is_none() && !table.calls;
    if !table.ranges || !plain || table.bytes <= SPLIT_ABOVE || parts < 2 {
        return vec![None];
    }
    let bound = |part: u64| Some(table.pages * part / parts);
    (0..parts)
        .map(|part| {
            let start = bound(part).filter(|page| *page > 0);
            let end = if part + 1 < parts { bound(part + 1) } else { None };
            Some(start..end)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::catalog::SourceSequence;

    fn table(name: &str, bytes: u64) -> SourceTable {
        SourceTable {
            oid: 1,
            schema: "s".into(),
            name: name.into(),
            owner: "o".into(),
            quoted: format!("s.{name}"),
            columns: String::new(),
            filenode: 1,
            ranges: true,
            pages: bytes / 8192,
            bytes,
            filter: None,
            rank: None,
            root: None,
            calls: false,
        }
    }

    fn describe(tasks: &[DumpTask]) -> Vec<String> {
        let one = |task: &DumpTask| match task {
            DumpTask::Copy { table, pages: None } => table.name.clone(),
            DumpTask::Copy { table, pages: Some(range) } => format!("{} {range:?}", table.name),
            other => format!("{other:?}"),
        };
        tasks.iter().map(one).collect()
    }

    #[test]
    fn the_parts_of_a_table_are_estimated_at_its_size() {
        for bytes in [0, 8192, 3 << 28, 1 << 40] {
            let contents = Contents { tables: vec![table("t", bytes)], ..Contents::default() };
            let tasks = tasks(&contents);
            let estimated: u64 = tasks.iter().map(DumpTask::estimate).sum();
            let lost = bytes - estimated;
            assert!(lost < u64::try_from(tasks.len()).unwrap().max(1), "{bytes}: {estimated}");
        }
        assert_eq!(DumpTask::Sequences.estimate(), 0);
    }

    #[test]
    fn the_largest_come_first_and_the_order_is_the_same_each_time() {
        let mut contents = Contents {
            tables: vec![table("b", 8192), table("a", 8192), table("c", 1 << 20)],
            ..Contents::default()
        };
        assert_eq!(describe(&tasks(&contents)), ["c", "a", "b"]);
        contents.tables.extend([table("y", 8192), table("x", 8192)]);
        contents.tables[3].rank = Some(0);
        contents.tables[4].rank = Some(1);
        assert_eq!(describe(&tasks(&contents)), ["y", "x", "c", "a", "b"]);
        contents.tables.truncate(3);
        contents.tables[0].calls = true;
        contents.tables[2].calls = true;
        assert_eq!(describe(&tasks(&contents)), ["a", "b", "c"]);
        contents.tables.iter_mut().for_each(|table| table.calls = false);
        contents.large_objects = true;
        contents.sequences.push(SourceSequence {
            schema: "s".into(),
            name: "q".into(),
            owner: "o".into(),
            quoted: "s.q".into(),
            plain: true,
        });
        assert_eq!(describe(&tasks(&contents)), ["LargeObjects", "c", "a", "b", "Sequences"]);
    }

    #[test]
    fn a_huge_table_is_parted_without_a_gap_and_without_an_end() {
        let huge = Contents { tables: vec![table("h", 300 << 20)], ..Contents::default() };
        assert_eq!(
            describe(&tasks(&huge)),
            ["h None..Some(12800)", "h Some(12800)..Some(25600)", "h Some(25600)..None"]
        );
        let mut whole = huge;
        whole.tables[0].ranges = false;
        assert_eq!(describe(&tasks(&whole)), ["h"]);
        // Few pages with huge values out of line.
        whole.tables[0].ranges = true;
        whole.tables[0].pages = 1;
        assert_eq!(describe(&tasks(&whole)), ["h"]);
    }
}
