//! The data of a database: its tables and sequences, chosen as pg_dump chooses them.

use crate::database_state::PLANNED;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeSet;

/// A table whose rows go into the dump.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct SourceTable {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub owner: String,
    /// Schema and name, quoted where they must be.
    pub quoted: String,
    /// `(a, b)`, or empty if no column has data of its own.
    pub columns: String,
    /// The file that held its rows when the snapshot was taken.
    pub filenode: u32,
    /// Columns, dropped ones included, when the snapshot was taken.
    pub attributes: u16,
    /// A hash of their names in their order.
    pub attribute_names: i64,
    /// Whether ranges of its pages can be read, by a query, which is planned.
    pub ranges: bool,
    pub pages: u64,
    /// On the server's disk, out-of-line values included.
    pub bytes: u64,
    /// A WHERE clause for the user's rows of an extension's table.
    pub filter: Option<String>,
    /// Of an extension's table, whose foreign keys exist before its rows: how many other tables must be
    /// filled before it.
    pub rank: Option<u32>,
    /// The partitioned table to load through, if a row's partition differs from server to server.
    pub root: Option<String>,
    /// Whether writing a row calls a function of the database's own, which may look at any other
    /// table's rows.
    pub calls: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct SourceSequence {
    pub schema: String,
    pub name: String,
    pub owner: String,
    pub quoted: String,
    /// Whether its name can be used in a pattern, and is not a materialized view's, too.
    pub plain: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub tables: Vec<SourceTable>,
    pub sequences: Vec<SourceSequence>,
    pub large_objects: bool,
    /// How many locks all sessions of the server may hold together.
    pub locks: u64,
}

/// pg_dump locks every table; the rest is for other sessions.
const LOCKS_A_TABLE: u64 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ContentsLine {
    Table(SourceTable),
    Sequence(SourceSequence),
    LargeObjects(bool),
    Locks(u64),
}

/// Names in a pattern: an argument is limited to 128 KiB.
const NAMES: usize = 1000;
/// Each line of their answers is for [`Contents::add_line`]. pg_dump can be started when the sequences are
/// known; the sizes of thousands of tables take longer.
pub const SEQUENCES: &str = include_str!("catalog/sequences.sql");
pub fn tables() -> String {
    include_str!("catalog/tables.sql").replace("/*planned*/\n", PLANNED)
}

impl Contents {
    /// Adds a line of the answer.
    pub fn add_line(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line)
            .with_context(|| format!("unexpected line in the list of tables: {line}"))?
        {
            ContentsLine::Table(table) => self.tables.push(table),
            ContentsLine::Sequence(sequence) => self.sequences.push(sequence),
            ContentsLine::LargeObjects(any) => self.large_objects = any,
            ContentsLine::Locks(locks) => self.locks = locks,
        }
        Ok(())
    }

    /// Patterns that match the sequences by name, each for one argument.
    pub fn sequence_patterns(&self) -> Vec<String> {
        let names = self.sequences.iter().filter(|s| s.plain).map(|s| s.name.as_str());
        let names: Vec<&str> = names.collect::<BTreeSet<_>>().into_iter().collect();
        names.chunks(NAMES).map(|names| format!("*.({})", names.join("|"))).collect()
    }

    /// Whether tables may be locked while pg_dump is locking all of them: a session that requests one lock
    /// more than the server has room for fails.
    pub fn leave_room_for_locks(&self) -> bool {
        self.tables.len() as u64 * LOCKS_A_TABLE <= self.locks
    }

    /// The table that pg_dump locks last: it goes by oid, and locks no table of an extension.
    pub fn locked_last(&self) -> Option<u32> {
        self.tables.iter().filter(|table| table.rank.is_none()).map(|table| table.oid).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_answer_are_taken() {
        let mut contents = Contents::default();
        for line in [
            r#"{"table":{"oid":1,"schema":"s","name":"t","owner":"o","quoted":"s.t","columns":"(a)","filenode":2,"attributes":1,"attribute_names":-5,"ranges":true,"pages":3,"bytes":4,"filter":null,"rank":null,"root":null,"calls":false}}"#,
            r#"{"sequence":{"schema":"s","name":"q","owner":"o","quoted":"s.q","plain":true}}"#,
            r#"{"large_objects":true}"#,
            r#"{"locks":4}"#,
        ] {
            contents.add_line(line).unwrap();
        }
        assert_eq!((contents.tables.len(), contents.sequences.len()), (1, 1));
        assert!(contents.large_objects && contents.add_line("ERROR").is_err());
        assert_eq!(contents.sequence_patterns(), ["*.(q)"]);
        assert!(contents.leave_room_for_locks());
        assert_eq!(contents.locked_last(), Some(1));
        contents.locks = 3;
        assert!(!contents.leave_room_for_locks());
        contents.tables[0].rank = Some(0);
        assert_eq!(contents.locked_last(), None);
    }
}
