//! Schemas and tables that were added, removed and changed.

use super::change::Change;
use crate::bundle::contents::{Amount, Dump, TableName};
use serde::Serialize;
use std::collections::BTreeSet;

/// How a table changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TableChange {
    Added,
    Removed,
    Changed,
}

/// A table that changed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub change: TableChange,
    pub rows: Change,
    pub bytes: Change,
}

/// What changed in the database.
#[derive(Debug, Serialize)]
pub struct Tables {
    pub rows: Change,
    pub bytes: Change,
    pub schemas_added: Vec<String>,
    pub schemas_removed: Vec<String>,
    /// The greatest change first; tables with as many rows and bytes as before are left out.
    pub tables: Vec<Table>,
}

impl Tables {
    pub fn between(before: &Dump, after: &Dump) -> Self {
        let names: BTreeSet<&TableName> = before.tables.keys().chain(after.tables.keys()).collect();
        let mut tables: Vec<_> =
            names.into_iter().filter_map(|name| table(name, before, after)).collect();
        tables.sort_by_key(|table| std::cmp::Reverse((table.rows.size(), table.bytes.size())));
        let bytes = |dump: &Dump| dump.tables.values().map(|amount| amount.bytes).sum();
        let missing = |from: &Dump, other: &Dump| {
            from.schemas.difference(&other.schemas).cloned().collect::<Vec<_>>()
        };
        Self {
            rows: Change { before: before.rows(), after: after.rows() },
            bytes: Change { before: bytes(before), after: bytes(after) },
            schemas_added: missing(after, before),
            schemas_removed: missing(before, after),
            tables,
        }
    }
}

fn table(name: &TableName, before: &Dump, after: &Dump) -> Option<Table> {
    let (old, new) = (before.tables.get(name), after.tables.get(name));
    let change = match (old, new) {
        (None, _) => TableChange::Added,
        (_, None) => TableChange::Removed,
        (Some(old), Some(new)) if old == new => return None,
        _ => TableChange::Changed,
    };
    let (old, new) = (old.copied().unwrap_or_default(), new.copied().unwrap_or_default());
    let of = |part: fn(Amount) -> u64| Change { before: part(old), after: part(new) };
    let (rows, bytes) = (of(|amount| amount.rows), of(|amount| amount.bytes));
    let (schema, name) = name.clone();
    Some(Table { schema, name, change, rows, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(tables: &[(&str, &str, u64, u64)]) -> Dump {
        let mut dump = Dump::default();
        for (schema, name, rows, bytes) in tables {
            dump.schemas.insert((*schema).to_owned());
            let amount = Amount { rows: *rows, bytes: *bytes };
            dump.tables.insert(((*schema).to_owned(), (*name).to_owned()), amount);
        }
        dump
    }

    #[test]
    fn the_greatest_change_comes_first_and_what_is_as_before_is_left_out() {
        let before =
            dump(&[("a", "t", 10, 100), ("a", "u", 5, 50), ("a", "w", 1, 9), ("b", "t", 90, 900)]);
        let after =
            dump(&[("a", "t", 12, 120), ("a", "u", 5, 50), ("a", "w", 1, 8), ("c", "t", 0, 0)]);
        let tables = Tables::between(&before, &after);
        assert_eq!(
            (&tables.schemas_added, &tables.schemas_removed),
            (&vec!["c".into()], &vec!["b".into()])
        );
        let lines: Vec<_> =
            tables.tables.iter().map(|t| (&*t.schema, &*t.name, t.change)).collect();
        assert_eq!(
            lines,
            [
                ("b", "t", TableChange::Removed),
                ("a", "t", TableChange::Changed),
                ("a", "w", TableChange::Changed),
                ("c", "t", TableChange::Added)
            ]
        );
        assert_eq!(tables.rows, Change { before: 106, after: 18 });
    }
}
