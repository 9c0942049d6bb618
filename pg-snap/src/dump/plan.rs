//! The order in which tables are copied, and in which parts: a pure decision.

use super::catalog::{Contents, SourceTable};
use std::ops::Range;

/// A table with more bytes on the server's disk is copied in parts, so that several sessions share it and
/// less has to wait in memory to be written.
const SPLIT_ABOVE: u64 = 256 << 20;
/// The approximate size of a part. A table without values out of line has parts of this size, and is far
/// from the ratio of bytes to pages at which they would change.
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

/// The tasks in the order in which they are written: large objects, which one client
/// copies alone; tables of extensions, each after those that its keys refer to; then the other tables by
/// schema and name, and those last that call functions, after all that the functions may read. The order
/// is the same in the next dump, however the tables have grown, and what changes together is together.
/// The sequences are written last and read first (see [`super::worker::Tasks`]).
pub fn tasks(contents: &Contents) -> Vec<DumpTask> {
    let mut tables: Vec<&SourceTable> = contents.tables.iter().collect();
    tables.sort_by_key(|table| {
        let rank = (table.rank.is_none(), table.rank);
        (rank, table.calls, table.schema.as_str(), table.name.as_str())
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

/// Parts of a fixed number of pages: a table that has grown has the same parts and others behind them.
fn page_ranges(table: &SourceTable) -> Vec<Option<Range<Option<u64>>>> {
    let pages = part_pages(table);
    let parts = table.pages.div_ceil(pages);
    let plain = table.rank.is_none() && table.root.is_none() && !table.calls;
    if !table.ranges || !plain || table.bytes <= SPLIT_ABOVE || parts < 2 {
        return vec![None];
    }
    (0..parts)
        .map(|part| {
            let start = (part > 0).then_some(part * pages);
            let end = (part + 1 < parts).then_some((part + 1) * pages);
            Some(start..end)
        })
        .collect()
}

/// The power of two that is between two thirds and four thirds of the pages that a part should have:
/// it stays the same unless the ratio of bytes to pages changes much.
fn part_pages(table: &SourceTable) -> u64 {
    let bytes = u128::from(table.bytes.max(1));
    let wanted = u128::from(table.pages) * u128::from(PART_BYTES) * 4 / 3 / bytes;
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    1 << wanted.max(1).ilog2().min(62)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::dump::catalog::SourceSequence;

    pub fn table(name: &str, bytes: u64) -> SourceTable {
        SourceTable {
            oid: 1,
            schema: "s".into(),
            name: name.into(),
            owner: "o".into(),
            quoted: format!("s.{name}"),
            columns: String::new(),
            filenode: 1,
            attributes: 1,
            attribute_names: 1,
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
    fn the_order_is_by_name_whatever_the_sizes() {
        let mut contents = Contents {
            tables: vec![table("b", 8192), table("a", 8192), table("c", 1 << 20)],
            ..Contents::default()
        };
        assert_eq!(describe(&tasks(&contents)), ["a", "b", "c"]);
        contents.tables.extend([table("y", 8192), table("x", 8192)]);
        contents.tables[3].rank = Some(0);
        contents.tables[4].rank = Some(1);
        assert_eq!(describe(&tasks(&contents)), ["y", "x", "a", "b", "c"]);
        contents.tables[1].schema = "r".into();
        contents.tables[2].schema = "t".into();
        assert_eq!(describe(&tasks(&contents)), ["y", "x", "a", "b", "c"]);
        contents.tables[2].schema = "q".into();
        assert_eq!(describe(&tasks(&contents)), ["y", "x", "c", "a", "b"]);
        contents.tables.truncate(3);
        contents.tables[0].calls = true;
        contents.tables[2].calls = true;
        assert_eq!(describe(&tasks(&contents)), ["a", "c", "b"]);
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
            ["h None..Some(16384)", "h Some(16384)..Some(32768)", "h Some(32768)..None"]
        );
        let mut whole = huge;
        whole.tables[0].ranges = false;
        assert_eq!(describe(&tasks(&whole)), ["h"]);
        // Few pages with huge values out of line.
        whole.tables[0].ranges = true;
        whole.tables[0].pages = 1;
        assert_eq!(describe(&tasks(&whole)), ["h"]);
    }

    #[test]
    fn a_table_that_has_grown_has_the_same_parts_and_others_behind_them() {
        // With and without values out of line, and with a free space map.
        for bytes_per_page in [8192, 8194, 9000, 40_000, 3 << 20] {
            let parts = |pages: u64| {
                let table = SourceTable { pages, ..table("t", pages * bytes_per_page) };
                page_ranges(&table)
            };
            let pages = (1 << 30) / bytes_per_page;
            let mut before = parts(pages);
            assert!((6..=12).contains(&before.len()), "{bytes_per_page}: {}", before.len());
            for more in [1, pages / 3, pages, 9 * pages] {
                let after = parts(pages + more);
                assert!(after.len() >= before.len());
                let last = before.len() - 1;
                assert_eq!(after[..last], before[..last]);
                assert_eq!(
                    after[last].as_ref().unwrap().start,
                    before[last].as_ref().unwrap().start
                );
                before = after;
            }
        }
    }
}
