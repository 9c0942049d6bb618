//! `pg-snap status`, `pg-snap preflight`, `pg-snap inspect` and `pg-snap compare`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// `pg-snap status --json`. What decides over a database is null, never absent: a report without it is
/// an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseStatus {
    /// The server's version.
    pub server_version: String,
    /// Which server it is, whatever its address; null where the role may not ask.
    #[serde(deserialize_with = "Option::deserialize")]
    pub system_identifier: Option<String>,
    /// The database's name.
    pub database: String,
    /// Whether there is such a database.
    pub exists: bool,
    /// Its number, by which a database of the same name is known as another one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub oid: Option<u32>,
    /// Whether it is a template.
    pub is_template: bool,
    /// Prepared transactions in the database; they keep it from being renamed or dropped.
    pub prepared_transactions: u64,
    /// Whether the connected role may create databases, as a load must.
    pub may_create: bool,
    /// Why it cannot be opened, where it is there and cannot: files are lost, or it allows no connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unopened: Option<String>,
    /// Its size; null where there is no such database, or it cannot be opened.
    #[serde(deserialize_with = "Option::deserialize")]
    pub size_bytes: Option<u64>,
    /// Sessions in the database, the tool's own not counted; null where there is no such database.
    pub connections: Option<u64>,
    /// Schemas, without the system's.
    pub schemas: Vec<String>,
    /// Databases that earlier loads kept or left beside this one.
    pub beside: Vec<DatabaseBeside>,
}

/// A database that an earlier load kept or left beside the current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseBeside {
    /// Its name.
    pub name: String,
    /// Its number.
    pub oid: u32,
    /// Whether a load has kept it, so that it can be swapped back.
    pub kept: bool,
}

/// `pg-snap load --record FILE`: what the load puts in place, written before it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// The number of the loaded database. As long as another one is in place, the load has not replaced it.
    pub oid: u32,
    /// How many objects of the dump it lacks.
    pub left_out: usize,
}

/// `pg-snap preflight --json`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPreflight {
    /// The server's version.
    pub server_version: String,
    /// The version of the server that was dumped; null where the dump does not name it.
    pub dump_version: Option<String>,
    /// Whether there is a database to be replaced.
    pub exists: bool,
    /// The owner of that database.
    pub owner: Option<String>,
    /// What keeps the dump from being loaded, a line each.
    pub problems: Vec<String>,
    /// What the operator should know, a line each.
    pub notes: Vec<String>,
    /// Roles that the dump names and the server lacks.
    pub roles_missing: Vec<MissingRole>,
    /// Roles of the dump that could log in where it was made, and cannot here.
    pub roles_without_login: Vec<String>,
    /// The owner of the database that was dumped; null where the dump does not name it.
    pub dump_owner: Option<String>,
    /// Extensions of the dump that are not installed on the server.
    pub extensions_missing_on_server: Vec<String>,
}

/// A role that a dump names and the server lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingRole {
    /// Its name.
    pub name: String,
    /// Whether it could log in where the dump was made.
    pub login: bool,
}

/// `pg-snap inspect --json`. What `Database` is, `pg-snap` alone knows; another reader ignores it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DumpReport<Database = serde::de::IgnoredAny> {
    /// Whether the dump is whole.
    pub complete: bool,
    /// Why it is not.
    pub problem: Option<String>,
    /// The version of the server that was dumped.
    pub server_version: Option<String>,
    /// What `pg-snap dump` recorded of the database itself; null for another tool's dump.
    pub database: Option<Database>,
    /// What will cause trouble when the dump is loaded, a line each.
    pub warnings: Vec<String>,
    /// Every schema, one without a table too.
    pub schemas: BTreeSet<String>,
    /// Tables, in the dump's order.
    pub tables: Vec<DumpTable>,
    /// The rows of all tables.
    pub rows: u64,
    /// The bytes of the rows as the dump holds them, uncompressed.
    pub bytes: u64,
    /// Whether the dump has the index that `pg-snap dump` writes.
    #[serde(default)]
    pub indexed: bool,
}

/// A line of `pg-snap inspect --definitions --json`: an entry of the dump, a right that it grants or revokes, or a
/// column or a named constraint of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpDefinition {
    /// As the dump names it: `TABLE`, `FK CONSTRAINT`, `ACL`; `COLUMN` for a column, `DATABASE` for what belongs to
    /// the database itself.
    pub kind: String,
    /// The schema; empty for what belongs to none.
    pub schema: String,
    /// The table that it belongs to, where its statement names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// As the dump names it; of a right, its statement.
    pub name: String,
    /// The SHA-256 of its statements, without those that set an owner, in hexadecimal.
    pub sha256: String,
}

impl<Database> Default for DumpReport<Database> {
    fn default() -> Self {
        Self {
            complete: false,
            problem: None,
            server_version: None,
            database: None,
            warnings: Vec::new(),
            schemas: BTreeSet::new(),
            tables: Vec::new(),
            rows: 0,
            bytes: 0,
            indexed: false,
        }
    }
}

/// A table of a [`DumpReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The rows' bytes as the dump holds them, uncompressed.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_the_databases_number_is_an_error() {
        let status = |oid: &str| {
            serde_json::from_str::<DatabaseStatus>(&format!(
                r#"{{"server_version":"15.18","system_identifier":null,"database":"d","exists":true,{oid}"is_template":false,"prepared_transactions":0,"may_create":true,"size_bytes":1,"connections":0,"schemas":[],"beside":[]}}"#
            ))
        };
        assert_eq!(status(r#""oid":null,"#).unwrap().oid, None);
        assert!(status("").is_err());
    }

    #[test]
    fn a_dumps_report_is_read_whatever_it_records_of_the_database() {
        let text = r#"{"complete":true,"problem":null,"server_version":"15.18","database":{"name":"d","more":[1]},"warnings":[],"schemas":["a"],"tables":[{"schema":"a","name":"t","rows":3,"bytes":7}],"rows":3,"bytes":7}"#;
        let report: DumpReport = serde_json::from_str(text).unwrap();
        assert!(report.complete && report.database.is_some());
        assert_eq!((report.tables[0].rows, report.bytes), (3, 7));
        assert!(!report.indexed);
        let own = DumpReport { database: Some("d"), rows: 3, ..DumpReport::default() };
        let text = serde_json::to_string(&own).unwrap();
        assert!(
            text.starts_with(
                r#"{"complete":false,"problem":null,"server_version":null,"database":"d","#
            ),
            "{text}"
        );
    }

    #[test]
    fn a_database_that_is_not_there_has_nulls() {
        let text = r#"{"server_version":"15.18","system_identifier":null,"database":"d","exists":false,"oid":null,"is_template":false,"prepared_transactions":0,"may_create":true,"size_bytes":null,"connections":null,"schemas":[],"beside":[{"name":"d_previous","oid":7,"kept":true}]}"#;
        let status: DatabaseStatus = serde_json::from_str(text).unwrap();
        assert_eq!(status.beside[0].oid, 7);
        assert_eq!(serde_json::to_string(&status).unwrap(), text);
    }
}
