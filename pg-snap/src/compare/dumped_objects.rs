//! What a dump makes: read from its definitions, and from the index if it has one.

use super::inserts;
use super::statement::{self, DumpConstraint, DumpStatement, RelationKind};
use crate::blocks::Blocks;
use crate::extract::readings;
use crate::gzip;
use crate::index::{self, Index, Section};
use crate::sql::Name;
use crate::sql::scanner::{Observer, Scanner};
use anyhow::Result;
use pipe_kit::Stop;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// A statement is cut at this length.
const CUT: usize = 1 << 20;
const UTF8: &str = "UTF8";

/// An index that the dump makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpIndex {
    pub table: Name,
    /// Made on the table alone; the indexes of its partitions are attached to it.
    pub only: bool,
    pub parts: Vec<Name>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct DumpedObjects {
    pub server_version: Option<String>,
    /// Of the dump's text. If it is not UTF-8, each byte is a character until the names are converted.
    pub encoding: String,
    pub schemas: BTreeSet<String>,
    pub relations: BTreeMap<Name, RelationKind>,
    /// The parent of each partition.
    pub parents: BTreeMap<Name, Name>,
    /// By schema, table or domain, and name.
    pub constraints: BTreeMap<(Name, String), DumpConstraint>,
    pub indexes: BTreeMap<Name, DumpIndex>,
    /// Materialized views that are populated.
    pub filled: BTreeSet<Name>,
    /// Of the tables whose rows the dump contains; none if they cannot be counted.
    pub rows: BTreeMap<Name, Option<u64>>,
    pub sequences: BTreeMap<Name, (i64, bool)>,
    /// None if unknown: another tool's dump without any may have omitted them.
    pub large_objects: Option<u64>,
}

impl DumpedObjects {
    /// Reads a dump. The sections with rows are for [`DumpedObjects::add_sections`].
    ///
    /// # Errors
    /// [`Stop::damaged`] if it is incomplete.
    pub fn read(path: &Path) -> Result<(Self, Vec<Section>)> {
        let mut reader = DumpReader::default();
        let sections = match index::open(path)? {
            Some((file, index)) => {
                reader.dumped.large_objects = Some(0);
                reader.indexed(&file, index)?
            }
            None => {
                let input = pipe_kit::input::open(path)?;
                let mut scanner = Scanner::default();
                reader.scan(&mut scanner, gzip::ReadAhead::new(gzip::text_of(input)?))?;
                scanner.finish()?;
                Vec::new()
            }
        };
        let mut dumped = reader.dumped;
        dumped.encoding = reader.encoding.unwrap_or_else(|| UTF8.to_owned());
        Ok((dumped, sections))
    }

    /// Adds the rows in the sections of an index.
    pub fn add_sections(&mut self, sections: Vec<Section>) {
        for section in sections {
            let own = (section.schema.unwrap_or_default(), section.table.unwrap_or_default());
            self.add_rows(section.root.unwrap_or(own), Some(section.rows));
        }
    }

    fn add_rows(&mut self, table: Name, rows: Option<u64>) {
        let sum = self.rows.entry(table).or_insert(Some(0));
        *sum = sum.zip(rows).map(|(sum, rows)| sum.saturating_add(rows));
    }

    /// The partitioned table at the root of this one, or itself.
    pub fn root_of<'a>(&'a self, table: &'a Name) -> &'a Name {
        let mut root = table;
        // Bounded, because the parents in a damaged dump may form a circle.
        for _ in 0..self.parents.len() {
            match self.parents.get(root) {
                Some(parent) => root = parent,
                None => break,
            }
        }
        root
    }

    /// Converts every name.
    pub fn renamed(self, to: &impl Fn(&str) -> String) -> Self {
        let name = |(schema, name): Name| (to(&schema), to(&name));
        let of_constraint = |((of, key), constraint): ((Name, String), DumpConstraint)| {
            let constraint = DumpConstraint { name: to(&constraint.name), ..constraint };
            ((name(of), to(&key)), constraint)
        };
        let of_index = |(key, index): (Name, DumpIndex)| {
            let parts = index.parts.into_iter().map(name).collect();
            (name(key), DumpIndex { table: name(index.table), parts, ..index })
        };
        Self {
            schemas: self.schemas.iter().map(|schema| to(schema)).collect(),
            relations: self.relations.into_iter().map(|(key, kind)| (name(key), kind)).collect(),
            parents: self.parents.into_iter().map(|(a, b)| (name(a), name(b))).collect(),
            constraints: self.constraints.into_iter().map(of_constraint).collect(),
            indexes: self.indexes.into_iter().map(of_index).collect(),
            filled: self.filled.into_iter().map(name).collect(),
            rows: self.rows.into_iter().map(|(key, rows)| (name(key), rows)).collect(),
            sequences: self.sequences.into_iter().map(|(key, at)| (name(key), at)).collect(),
            ..self
        }
    }

    /// Every schema and every name.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names: BTreeSet<&str> = self.schemas.iter().map(String::as_str).collect();
        let whole = self.relations.keys().chain(self.rows.keys()).chain(self.sequences.keys());
        let whole = whole.chain(self.indexes.keys()).chain(self.filled.iter());
        for (schema, name) in whole.chain(self.constraints.keys().map(|(of, _)| of)) {
            names.extend([schema.as_str(), name.as_str()]);
        }
        names.extend(self.constraints.keys().map(|(_, name)| name.as_str()));
        for index in self.indexes.values() {
            for (schema, name) in index.parts.iter().chain([&index.table]) {
                names.extend([schema.as_str(), name.as_str()]);
            }
        }
        names.extend(
            self.parents.iter().flat_map(|(a, b)| [&a.0, &a.1, &b.0, &b.1]).map(String::as_str),
        );
        names
    }
}

/// Reads the statements of a dump.
#[derive(Default)]
struct DumpReader {
    dumped: DumpedObjects,
    encoding: Option<String>,
    backslashes: bool,
    /// The schema of names without one.
    path: Option<String>,
    /// The table whose data comes next.
    current: Option<Name>,
}

impl DumpReader {
    fn scan(&mut self, scanner: &mut Scanner, text: impl Read) -> Result<()> {
        let bar = pipe_kit::progress::bytes(None, "compare");
        let mut blocks = Blocks::new(text);
        while let Some(block) = blocks.next()? {
            bar.inc(block.len() as u64);
            scanner.scan(block, self)?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Reads everything but the rows of tables, and returns their sections.
    fn indexed(&mut self, file: &Arc<File>, index: Index) -> Result<Vec<Section>> {
        let mut scanner = Scanner::default();
        let mut rows = Vec::new();
        for section in index.sections {
            if section.kind == index::Kind::TableData {
                rows.push(section);
                continue;
            }
            self.scan(&mut scanner, index::text_of(Arc::clone(file), &section))?;
            if !scanner.is_between_statements() {
                return Err(Stop::damaged(format!(
                    "the dump is damaged: its section {:?} ends within a statement; \
                     for details: pg-snap inspect --full FILE",
                    section.kind
                ))
                .into());
            }
        }
        scanner.finish()?;
        Ok(rows)
    }

    fn decoded(&self, bytes: &[u8]) -> String {
        match self.encoding.as_deref() {
            None | Some(UTF8) => String::from_utf8_lossy(bytes).into_owned(),
            Some(_) => bytes.iter().copied().map(char::from).collect(),
        }
    }

    fn qualified(&self, name: Name) -> Name {
        match (name.0.is_empty(), &self.path) {
            (true, Some(path)) => (path.clone(), name.1),
            (true, None) => ("public".to_owned(), name.1),
            (false, _) => name,
        }
    }

    fn apply_setting(&mut self, name: &str, value: String) {
        match name {
            "client_encoding" => {
                self.encoding.get_or_insert_with(|| value.to_uppercase().replace("UTF-8", UTF8));
            }
            "standard_conforming_strings" => self.backslashes = value.eq_ignore_ascii_case("off"),
            "search_path" => self.path = (!value.is_empty()).then_some(value),
            _ => {}
        }
    }

    fn add_constraints(&mut self, of: &Name, constraints: Vec<DumpConstraint>) {
        for constraint in constraints {
            let key = (of.clone(), constraint.name.clone());
            self.dumped.constraints.insert(key, constraint);
        }
    }

    fn add_relation(&mut self, name: Name, kind: RelationKind, parent: Option<Name>) -> Name {
        let name = self.qualified(name);
        if let Some(parent) = parent {
            self.dumped.parents.insert(name.clone(), self.qualified(parent));
        }
        self.dumped.relations.insert(name.clone(), kind);
        name
    }

    fn add_index(&mut self, table: Name, name: String, only: bool) {
        let table = self.qualified(table);
        let key = (table.0.clone(), name);
        self.dumped.indexes.insert(key, DumpIndex { table, only, parts: Vec::new() });
    }

    fn apply(&mut self, statement: DumpStatement) {
        match statement {
            DumpStatement::Schema(name) => drop(self.dumped.schemas.insert(name)),
            DumpStatement::Relation { name, kind, parent, constraints } => {
                let name = self.add_relation(name, kind, parent);
                self.add_constraints(&name, constraints);
            }
            DumpStatement::Domain { name, constraints } => {
                self.add_constraints(&self.qualified(name), constraints);
            }
            DumpStatement::Attach { parent, child } => {
                let (parent, child) = (self.qualified(parent), self.qualified(child));
                self.dumped.parents.insert(child, parent);
            }
            DumpStatement::Constraint { of, constraint, index, only } => {
                let of = self.qualified(of);
                if index {
                    self.add_index(of.clone(), constraint.name.clone(), only);
                }
                self.add_constraints(&of, vec![constraint]);
            }
            DumpStatement::Index { table, name, only } => self.add_index(table, name, only),
            DumpStatement::AttachIndex { parent, child } => {
                let (parent, child) = (self.qualified(parent), self.qualified(child));
                self.dumped.indexes.entry(parent).or_default().parts.push(child);
            }
            DumpStatement::Refresh(name) => {
                let name = self.qualified(name);
                self.dumped.filled.insert(name);
            }
            DumpStatement::Copy(name) => {
                let name = self.qualified(name);
                self.dumped.add_rows(name.clone(), Some(0));
                self.current = Some(name);
            }
            DumpStatement::SetValue { sequence, last, called } => {
                let sequence = self.qualified(sequence);
                self.dumped.sequences.insert(sequence, (last, called));
            }
            DumpStatement::LargeObject => *self.dumped.large_objects.get_or_insert_default() += 1,
            DumpStatement::Setting(name, value) => self.apply_setting(&name, value),
            DumpStatement::Insert(_) => {}
        }
    }
}

impl Observer for DumpReader {
    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let text = self.decoded(sql);
        let text = text.trim_end_matches([';', ' ', '\n']);
        match statement::parse(text, self.backslashes) {
            Some(DumpStatement::Insert(name)) => {
                let name = self.qualified(name);
                let rows = inserts::rows(text, sql.len() >= CUT, self.backslashes);
                self.dumped.add_rows(name, rows);
            }
            Some(statement) => self.apply(statement),
            None => {}
        }
        Ok(())
    }

    fn copy_rows(&mut self, rows: u64, _: u64) {
        if let Some(name) = self.current.clone() {
            self.dumped.add_rows(name, Some(rows));
        }
    }

    fn server_version(&mut self, version: &str) {
        self.dumped.server_version.get_or_insert_with(|| version.to_owned());
    }

    /// A table without rows has no INSERT, only this comment.
    fn comment(&mut self, comment: &str) -> Result<()> {
        let Some(text) = comment.strip_prefix("-- Data for Name: ") else { return Ok(()) };
        for reading in readings(comment).into_iter().filter(|r| r.kind == "TABLE DATA") {
            let end = format!("; Type: TABLE DATA; Schema: {}; Owner:", reading.schema);
            let name = text.find(&end).map(|at| (reading.schema, text[..at].to_owned()));
            if let Some(name) = name.filter(|name| self.dumped.relations.contains_key(name)) {
                self.dumped.add_rows(name, Some(0));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumped(text: &str) -> DumpedObjects {
        let mut reader = DumpReader::default();
        let mut scanner = Scanner::default();
        reader.scan(&mut scanner, text.as_bytes()).unwrap();
        reader.dumped
    }

    fn n(schema: &str, name: &str) -> Name {
        (schema.into(), name.into())
    }

    #[test]
    fn rows_are_those_of_copies_and_inserts_and_of_tables_marked_as_empty() {
        let dumped = dumped(
            "CREATE TABLE s.a (i int);\nCREATE TABLE s.b (i int);\nCREATE TABLE s.c (i int);\n\
             CREATE TABLE s.d (i int);\n\
             COPY s.a (i) FROM stdin;\n1\n2\n\\.\n\n\
             -- Data for Name: b; Type: TABLE DATA; Schema: s; Owner: o\n\n\
             INSERT INTO s.b VALUES (1);\nINSERT INTO s.b VALUES (2), (3);\n\
             -- Data for Name: c; Type: TABLE DATA; Schema: s; Owner: o\n\n",
        );
        let rows = [(n("s", "a"), Some(2)), (n("s", "b"), Some(3)), (n("s", "c"), Some(0))];
        assert_eq!(dumped.rows, rows.into());
        assert_eq!(dumped.relations.len(), 4);
    }

    #[test]
    fn names_without_a_schema_are_of_the_search_path() {
        let dumped = dumped(
            "CREATE TABLE t (i int);\nSET search_path = old, pg_catalog;\nCREATE TABLE t (i int);\n\
             SELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE s.t (i int);\n",
        );
        let tables: Vec<&str> =
            dumped.relations.keys().map(|(schema, _)| schema.as_str()).collect();
        assert_eq!(tables, ["old", "public", "s"]);
    }

    #[test]
    fn bytes_of_another_encoding_stay_apart_until_they_are_converted() {
        let mut reader = DumpReader::default();
        let text = b"SET client_encoding = 'LATIN1';\nCREATE TABLE s.\"\xe9\" (i int);\n";
        reader.scan(&mut Scanner::default(), &text[..]).unwrap();
        assert_eq!(reader.encoding.as_deref(), Some("LATIN1"));
        let dumped = reader.dumped.renamed(&|name| name.replace('\u{e9}', "e"));
        assert_eq!(dumped.relations.into_keys().collect::<Vec<_>>(), [n("s", "e")]);
    }
}
