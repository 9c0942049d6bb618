//! `inspect --definitions`: the entries of a dump's definitions, each with a hash of its statements, so that two dumps
//! can be compared by what they define.

mod parts;

use crate::blocks::Blocks;
use crate::compare::{DumpStatement, parse_statement};
use crate::database_state::{DatabaseState, Grant, Setting};
use crate::extract::likeliest;
use crate::gzip;
use crate::index::{self, Kind};
use crate::sql::scanner::{Observer, Scanner};
use crate::sql::{StatementKind, classify};
use anyhow::{Context, Result};
use bundle_format::report::DumpDefinition;
use pipe_kit::text::{hex, one_line};
use pipe_kit::{Exit, Stop};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Entries that hold data, or values that change with the data.
const DATA: [&str; 8] = [
    "TABLE DATA",
    "SEQUENCE SET",
    "BLOB",
    "BLOBS",
    "BLOB METADATA",
    "LARGE OBJECT",
    "MATERIALIZED VIEW DATA",
    "STATISTICS DATA",
];

/// Prints a line for each definition, in the dump's order. Of a dump with an index, only the sections with definitions
/// are read.
///
/// # Errors
/// [`Stop::damaged`] if the dump is incomplete; what was printed by then is not all of it.
pub fn run(path: &Path, json: bool) -> Result<Exit> {
    let mut out = pipe_kit::output::text()?;
    let mut print = |definition: &DumpDefinition| {
        let line = if json { serde_json::to_string(definition)? } else { to_text(definition) };
        writeln!(out, "{line}").context("writing to standard output")
    };
    let mut reader = DefinitionReader { entry: None, has_head: false, found: &mut print };
    match index::open(path)? {
        Some((file, index)) => {
            for section in &index.sections {
                if !matches!(section.kind, Kind::PreData | Kind::PostData | Kind::End) {
                    continue;
                }
                let mut scanner = Scanner::default();
                reader.scan(&mut scanner, index::text_of(Arc::clone(&file), section))?;
                if !scanner.is_between_statements() {
                    return Err(cut().into());
                }
                reader.end_entry()?;
            }
        }
        None => {
            let text = gzip::text_of(pipe_kit::input::open(path)?)?;
            let mut scanner = Scanner::default();
            reader.scan(&mut scanner, gzip::ReadAhead::new(text))?;
            scanner.finish()?;
            reader.end_entry()?;
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn cut() -> Stop {
    Stop::damaged("the dump is damaged: a section with definitions ends inside a statement")
}

fn to_text(definition: &DumpDefinition) -> String {
    let DumpDefinition { kind, schema, name, sha256, .. } = definition;
    let schema = if schema.is_empty() { String::new() } else { format!("{schema}.") };
    format!("{sha256}  {kind}  {}", one_line(&format!("{schema}{name}")))
}

/// The definitions of a dump in pieces; why it cannot be read, if it cannot.
#[cfg(any(test, fuzzing))]
pub fn of_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> std::result::Result<Vec<DumpDefinition>, String> {
    let mut all = Vec::new();
    let mut found = |definition: &DumpDefinition| {
        all.push(definition.clone());
        Ok(())
    };
    let mut reader = DefinitionReader { entry: None, has_head: true, found: &mut found };
    let mut scanner = Scanner::default();
    for piece in pieces {
        scanner.scan(piece, &mut reader).map_err(|error| error.to_string())?;
    }
    reader.end_entry().map_err(|error| error.to_string())?;
    Ok(all)
}

/// Passes on each definition once its entry has ended.
struct DefinitionReader<'a> {
    entry: Option<Entry>,
    /// Whether the head of the dump was searched for the database's state.
    has_head: bool,
    found: &'a mut dyn FnMut(&DumpDefinition) -> Result<()>,
}

/// The entry that is being read.
struct Entry {
    kind: String,
    schema: String,
    name: String,
    table: Option<String>,
    hash: Sha256,
    /// Whether it has a statement that counts.
    is_defined: bool,
}

impl Entry {
    fn new(kind: String, schema: &str, name: String) -> Self {
        let schema = match (kind.as_str(), name.strip_prefix("SCHEMA ")) {
            ("SCHEMA", _) => name.as_str(),
            (_, Some(of)) if schema == "-" => of,
            _ if schema == "-" => "",
            _ => schema,
        };
        let schema = schema.to_owned();
        Self { kind, schema, name, table: None, hash: Sha256::new(), is_defined: false }
    }

    fn definition(
        &self,
        kind: &str,
        name: String,
        table: Option<String>,
        text: &str,
    ) -> DumpDefinition {
        let sha256 = hex(&Sha256::digest(text));
        DumpDefinition { kind: kind.to_owned(), schema: self.schema.clone(), table, name, sha256 }
    }
}

impl DefinitionReader<'_> {
    fn scan(&mut self, scanner: &mut Scanner, text: impl Read) -> Result<()> {
        let mut blocks = Blocks::new(text);
        if !std::mem::replace(&mut self.has_head, true)
            && let Some(state) = DatabaseState::from_head(blocks.head()?)?
        {
            self.of_database(&state)?;
        }
        while let Some(block) = blocks.next()? {
            scanner.scan(block, self)?;
        }
        Ok(())
    }

    /// What pg_dump of one database leaves out, and `pg-snap dump` records beside it.
    fn of_database(&mut self, state: &DatabaseState) -> Result<()> {
        let entry = Entry::new("DATABASE".to_owned(), "-", String::new());
        let grants = state.grants.iter().flatten().map(right_of_database);
        let settings = state.settings.iter().map(setting_of_database);
        for (name, text) in grants.map(|name| (name.clone(), name)).chain(settings) {
            (self.found)(&entry.definition("DATABASE", name, None, &text))?;
        }
        Ok(())
    }

    fn end_entry(&mut self) -> Result<()> {
        let Some(entry) = self.entry.take().filter(|entry| entry.is_defined) else { return Ok(()) };
        (self.found)(&DumpDefinition {
            kind: entry.kind,
            schema: entry.schema,
            table: entry.table,
            name: entry.name,
            sha256: hex(&entry.hash.finalize()),
        })
    }
}

fn right_of_database(grant: &Grant) -> String {
    let to = grant.grantee.as_deref().unwrap_or("PUBLIC");
    let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
    let by = grant.grantor.as_ref().map(|role| format!(" GRANTED BY {role}")).unwrap_or_default();
    format!("GRANT {} ON DATABASE TO {to}{option}{by}", grant.privilege)
}

fn setting_of_database(setting: &Setting) -> (String, String) {
    let role = setting.role.as_deref().map(|role| format!(" FOR ROLE {role}")).unwrap_or_default();
    (format!("SET {}{role}", setting.name), setting.value.clone())
}

impl Observer for DefinitionReader<'_> {
    fn comment(&mut self, comment: &str) -> Result<()> {
        let Some((reading, name)) = likeliest(comment) else { return Ok(()) };
        self.end_entry()?;
        let is_data = DATA.contains(&reading.kind.as_str());
        self.entry = (!is_data).then(|| Entry::new(reading.kind, &reading.schema, name));
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let Some(entry) = &mut self.entry else { return Ok(()) };
        // Of the session: which of them stand in an entry depends on the entries before it.
        if matches!(classify(sql), StatementKind::Setting(_)) {
            return Ok(());
        }
        let text = String::from_utf8_lossy(sql);
        let text = text.trim();
        if parts::sets_owner(text) {
            return Ok(());
        }
        let table = parts::table_of(text);
        if matches!(entry.kind.as_str(), "ACL" | "DEFAULT ACL") {
            for right in parts::rights(text) {
                (self.found)(&entry.definition(&entry.kind, right.clone(), table.clone(), &right))?;
            }
            return Ok(());
        }
        for (kind, name, definition) in parts_of_relation(text) {
            (self.found)(&entry.definition(kind, name, table.clone(), &definition))?;
        }
        entry.table = entry.table.take().or(table);
        entry.hash.update(text);
        entry.hash.update(b";\n");
        entry.is_defined = true;
        Ok(())
    }
}

/// The columns and the named constraints that a statement makes together with a table or a domain: kind, name, and
/// what of them is compared.
fn parts_of_relation(text: &str) -> Vec<(&'static str, String, String)> {
    let (of, constraints, columns) = match parse_statement(text, false) {
        Some(DumpStatement::Relation { name, constraints, .. }) => {
            (name.1, constraints, parts::columns(text))
        }
        Some(DumpStatement::Domain { name, constraints }) => (name.1, constraints, Vec::new()),
        _ => return Vec::new(),
    };
    let column = |column: String| ("COLUMN", format!("{of} {column}"), String::new());
    let columns: Vec<_> = columns.into_iter().map(column).collect();
    let constraints = constraints.into_iter().map(|constraint| {
        let compared = format!("{} {}", constraint.not_valid, constraint.not_enforced);
        ("CONSTRAINT", format!("{of} {}", constraint.name), compared)
    });
    columns.into_iter().chain(constraints).collect()
}

#[cfg(test)]
mod tests;
