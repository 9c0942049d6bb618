//! How much a bundle holds: schemas, rows of tables, objects; from the dump's and the mirror's
//! indexes alone.

use crate::manifest::DATABASE;
use crate::objects;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

/// Schema and name.
pub type TableName = (String, String);

/// How much a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Their bytes in the dump.
    pub bytes: u64,
}

/// What a dump holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Schemas.
    pub schemas: BTreeSet<String>,
    /// Tables.
    pub tables: BTreeMap<TableName, Amount>,
}

/// What a bundle holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The dump.
    pub dump: Dump,
    /// Objects by the first part of their keys; none at all where there is no mirror.
    pub objects: BTreeMap<String, u64>,
}

/// A report of `pg-snap inspect --json`, as far as it matters here.
#[derive(Deserialize)]
struct Inspected {
    schemas: BTreeSet<String>,
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    schema: String,
    name: String,
    rows: u64,
    bytes: u64,
}

impl Dump {
    /// Asks `pg-snap` what the dump of a bundle holds, by its index where it has one.
    ///
    /// # Errors
    /// If it does not answer, or the dump is not whole.
    pub fn read(bundle: &Path) -> Result<Self> {
        let path = bundle.join(DATABASE);
        let mut command = Command::new("pg-snap");
        command.args(["inspect", "--json"]).arg(&path).stdin(Stdio::null());
        let text = pipe_kit::child::capture(&mut command, "pg-snap inspect")?;
        Self::from_json(&text).with_context(|| {
            format!("pg-snap inspect --json {}: its answer is not understood", path.display())
        })
    }

    fn from_json(text: &str) -> Result<Self> {
        let Inspected { schemas, tables } = serde_json::from_str(text)?;
        let amount = |t: Table| ((t.schema, t.name), Amount { rows: t.rows, bytes: t.bytes });
        Ok(Self { schemas, tables: tables.into_iter().map(amount).collect() })
    }

    /// The rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|amount| amount.rows).sum()
    }

    /// The rows of one schema's tables.
    #[must_use]
    pub fn rows_of(&self, schema: &str) -> u64 {
        let from = self.tables.range((schema.to_owned(), String::new())..);
        let own = from.take_while(|((own, _), _)| own == schema);
        own.map(|(_, amount)| amount.rows).sum()
    }
}

impl Figures {
    /// Reads them.
    ///
    /// # Errors
    /// If the dump or the mirror's index cannot be read.
    pub fn read(bundle: &Path) -> Result<Self> {
        let mut counted = BTreeMap::new();
        objects::each(bundle, |object| {
            *counted.entry(objects::prefix(&object.key).to_owned()).or_default() += 1;
        })?;
        Ok(Self { dump: Dump::read(bundle)?, objects: counted })
    }

    /// All objects.
    #[must_use]
    pub fn object_count(&self) -> u64 {
        self.objects.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_far_as_it_matters_and_no_further() {
        let text = r#"{"complete":true,"schemas":["a","empty"],"more":1,"rows":5,"bytes":9,
            "tables":[{"schema":"a","name":"t","rows":3,"bytes":7,"x":0},{"schema":"b","name":"t","rows":2,"bytes":2}]}"#;
        let dump = Dump::from_json(text).unwrap();
        assert_eq!((dump.rows(), dump.rows_of("a"), dump.rows_of("empty")), (5, 3, 0));
        assert_eq!(dump.tables[&("a".to_owned(), "t".to_owned())], Amount { rows: 3, bytes: 7 });
        assert!(Dump::from_json("{}").is_err());
    }
}
