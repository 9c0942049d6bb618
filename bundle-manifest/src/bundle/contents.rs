//! How much a bundle holds: schemas, rows of tables, objects, by the indexes of the dump and the mirror alone; and the
//! names of its secrets and certificates.

use crate::bundle::{config, objects};
use anyhow::{Context, Result};
use bundle_format::layout::DATABASE;
use bundle_format::report::{DumpReport, DumpTable};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

/// The directories of the secrets and of the certificates.
pub const SECRETS: &str = "secrets/";
pub const CERTIFICATES: &str = "certs/";

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

/// The contents of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Schemas.
    pub schemas: BTreeSet<String>,
    /// Tables.
    pub tables: BTreeMap<TableName, Amount>,
}

/// The contents of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The dump.
    pub dump: Dump,
    /// Objects by the first part of their keys; none at all where there is no mirror.
    pub objects: BTreeMap<String, u64>,
    /// The files with content below [`SECRETS`] and [`CERTIFICATES`].
    pub files: BTreeSet<String>,
}

impl Dump {
    /// Asks `pg-snap` what the dump of a bundle holds. A dump that is not whole is an error.
    pub fn read(bundle: &Path) -> Result<Self> {
        let path = bundle.join(DATABASE);
        let mut command = Command::new("pg-snap");
        command.args(["inspect", "--json"]).arg(&path).stdin(Stdio::null());
        let text = pipe_kit::child::capture(&mut command, "pg-snap inspect")?;
        Self::from_json(&text).with_context(|| {
            format!("pg-snap inspect --json {}: its report cannot be read", path.display())
        })
    }

    fn from_json(text: &str) -> Result<Self> {
        let DumpReport { schemas, tables, .. } = serde_json::from_str::<DumpReport>(text)?;
        let amount = |t: DumpTable| ((t.schema, t.name), Amount { rows: t.rows, bytes: t.bytes });
        Ok(Self { schemas, tables: tables.into_iter().map(amount).collect() })
    }

    /// The rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|amount| amount.rows).sum()
    }

    /// The rows of one schema's tables.
    pub fn rows_of(&self, schema: &str) -> u64 {
        let from = self.tables.range((schema.to_owned(), String::new())..);
        let own = from.take_while(|((own, _), _)| own == schema);
        own.map(|(_, amount)| amount.rows).sum()
    }
}

impl Contents {
    /// Reads the indexes of a bundle and the names in its config archive.
    pub fn read(bundle: &Path) -> Result<Self> {
        let mut counted = BTreeMap::new();
        objects::each(bundle, |object| {
            *counted.entry(objects::prefix(&object.key).to_owned()).or_default() += 1;
        })?;
        let mut files = BTreeSet::new();
        config::each(bundle, |name, entry| {
            let is_watched = name.starts_with(SECRETS) || name.starts_with(CERTIFICATES);
            if is_watched && !entry.is_empty() {
                files.insert(name.to_owned());
            }
            Ok(())
        })?;
        Ok(Self { dump: Dump::read(bundle)?, objects: counted, files })
    }

    /// The number of files with content below a directory.
    pub fn files_below(&self, directory: &str) -> usize {
        self.files.iter().filter(|name| name.starts_with(directory)).count()
    }

    /// All objects.
    pub fn object_count(&self) -> u64 {
        self.objects.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_far_as_it_matters_and_no_further() {
        let text = r#"{"complete":true,"warnings":[],"schemas":["a","empty"],"more":1,"rows":5,"bytes":9,
            "tables":[{"schema":"a","name":"t","rows":3,"bytes":7,"x":0},{"schema":"b","name":"t","rows":2,"bytes":2}]}"#;
        let dump = Dump::from_json(text).unwrap();
        assert_eq!((dump.rows(), dump.rows_of("a"), dump.rows_of("empty")), (5, 3, 0));
        assert_eq!(dump.tables[&("a".to_owned(), "t".to_owned())], Amount { rows: 3, bytes: 7 });
        assert!(Dump::from_json("{}").is_err());
    }
}
