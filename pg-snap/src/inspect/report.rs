//! The report on a dump, as data and as text.

use crate::database_state::DatabaseState;
use crate::index::Section;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::mem::take;

/// The report. Field names are the JSON's.
#[derive(Debug, Default, Serialize)]
pub struct InspectReport {
    /// Whether the dump is whole.
    pub complete: bool,
    /// Why it is not.
    pub problem: Option<String>,
    /// Of the server that was dumped.
    pub server_version: Option<String>,
    /// What `pg-snap dump` wrote down of the database itself; none for another tool's dump.
    pub database: Option<DatabaseState>,
    /// What can cause trouble when the dump is loaded, a line each.
    pub warnings: Vec<String>,
    schemas: BTreeSet<String>,
    tables: Vec<TableSummary>,
    rows: u64,
    /// Of the tables' data as it stands in the dump.
    bytes: u64,
    #[serde(skip)]
    places: HashMap<(String, String), usize>,
    #[serde(skip)]
    current: Option<usize>,
}

#[derive(Debug, Serialize)]
struct TableSummary {
    schema: String,
    name: String,
    rows: u64,
    bytes: u64,
}

/// Schema and name.
pub type TableName = (String, String);

impl InspectReport {
    pub(super) fn set_database(&mut self, state: Option<DatabaseState>) {
        self.database = state;
        self.warnings = self.database.as_mut().map(|d| take(&mut d.warnings)).unwrap_or_default();
    }

    pub(super) fn add_schema(&mut self, schema: &str) {
        self.schemas.insert(schema.to_owned());
    }

    pub(super) fn add_table(&mut self, name: TableName) -> usize {
        if let Some(at) = self.places.get(&name) {
            return *at;
        }
        let at = self.tables.len();
        if !name.0.is_empty() {
            self.schemas.insert(name.0.clone());
        }
        self.places.insert(name.clone(), at);
        self.tables.push(TableSummary { schema: name.0, name: name.1, rows: 0, bytes: 0 });
        at
    }

    /// Data of that table follows, or, as an INSERT, was this statement itself.
    pub(super) fn begin_data(&mut self, name: TableName, insert: bool) {
        let at = self.add_table(name);
        self.current = Some(at);
        if insert {
            self.add_rows(1, 0);
        }
    }

    /// Data that lies in a section of its own.
    pub(super) fn add_data(&mut self, section: &Section) {
        let name = |part: &Option<String>| part.clone().unwrap_or_default();
        let own = || (name(&section.schema), name(&section.table));
        self.begin_data(section.root.clone().unwrap_or_else(own), false);
        self.add_rows(section.rows, section.bytes);
    }

    pub(super) fn add_rows(&mut self, rows: u64, bytes: u64) {
        self.rows += rows;
        self.bytes += bytes;
        if let Some(table) = self.current.and_then(|at| self.tables.get_mut(at)) {
            table.rows += rows;
            table.bytes += bytes;
        }
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let unknown = "unknown";
        let version = self.server_version.as_deref().unwrap_or(unknown);
        let complete = self.problem.as_deref().map_or("yes".into(), |p| format!("NO: {p}"));
        let _ = writeln!(text, "Complete: {complete}\nServer: PostgreSQL {version}");
        if let Some(database) = &self.database {
            let _ = writeln!(
                text,
                "Database: {} (owner {}, {}, {})",
                database.name.escape_debug(),
                database.owner.escape_debug(),
                database.encoding,
                database.collate
            );
        }
        let (tables, rows, bytes) = (self.tables.len(), self.rows, self.bytes);
        let _ = writeln!(text, "Schemas: {}", self.schemas.len());
        let _ = writeln!(text, "Tables: {tables}\nRows: {rows}\nBytes: {bytes}");
        for warning in &self.warnings {
            let line = warning.replace(char::is_control, " ");
            let _ = writeln!(text, "Warning: {line}");
        }
        let _ = writeln!(text, "\n{:>12} {:>14}  table", "rows", "bytes");
        for t in &self.tables {
            let (schema, name) = (t.schema.escape_debug(), t.name.escape_debug());
            let _ = writeln!(text, "{:>12} {:>14}  {schema}.{name}", t.rows, t.bytes);
        }
        text
    }
}
