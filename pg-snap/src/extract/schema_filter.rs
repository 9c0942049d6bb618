//! Passes on the part of a dump that is in one schema.
//!
//! pg_dump's comments divide a dump into entries and name each one's schema; the statements below must
//! agree, so that no name can pull something of another schema in. A comment counts only between
//! statements: never in data, quotes or another statement.

use super::heading::{Reading, readings};
use super::outside_schema::OutsideSchema;
use super::subject::{StatementSubject, subject_of};
use super::wanted_schema::WantedSchema;
use crate::sql::scanner::Observer;
use anyhow::Result;
use pipe_kit::Stop;
use std::collections::BTreeSet;

/// pg_dump's mark that a partition's rows go to another table.
const THROUGH_ROOT: &str = "-- load via partition root ";
const VERSIONS: [&str; 2] = ["-- Dumped from database version ", "-- Dumped by pg_dump version "];

/// The entry that is being read.
struct Entry {
    /// The ways to read its comment.
    readings: Vec<Reading>,
    through_root: bool,
    /// Whether anything of it was passed on.
    taken: bool,
}

/// The settings of a dump, and whether each was passed on.
#[derive(Default)]
struct Settings(Vec<(String, Vec<u8>, bool)>);

impl Settings {
    fn set(&mut self, name: String, statement: Vec<u8>, passed: bool) {
        self.0.retain(|(other, ..)| *other != name);
        self.0.push((name, statement, passed));
    }

    /// The statements that were not yet passed on.
    fn due(&mut self) -> Vec<Vec<u8>> {
        let due = self.0.iter_mut().filter_map(|(_, statement, passed)| {
            (!std::mem::replace(passed, true)).then(|| statement.clone())
        });
        due.collect()
    }
}

/// Takes the text of the dump as an [`Observer`], and passes on that of the schema.
pub struct SchemaFilter<'a, O> {
    wanted: &'a WantedSchema,
    inner: &'a mut O,
    /// Text since the last statement.
    text: Vec<u8>,
    entry: Option<Entry>,
    settings: Settings,
    /// Comments with versions.
    versions: Vec<String>,
    /// Whether anything was passed on.
    begun: bool,
    /// Whether the last statement was.
    taken: bool,
    in_copy: bool,
    rows: u64,
    schemas: BTreeSet<String>,
    pub outside: OutsideSchema,
}

impl<'a, O: Observer> SchemaFilter<'a, O> {
    pub fn new(wanted: &'a WantedSchema, inner: &'a mut O) -> Self {
        Self {
            wanted,
            inner,
            text: Vec::new(),
            entry: None,
            settings: Settings::default(),
            versions: Vec::new(),
            begun: false,
            taken: false,
            in_copy: false,
            rows: 0,
            schemas: BTreeSet::new(),
            outside: OutsideSchema::default(),
        }
    }

    /// Whether the dump contains the schema, or anything in it.
    pub fn has_schema(&self) -> bool {
        self.begun
    }

    /// The schemas found so far.
    pub fn schemas(&self) -> &BTreeSet<String> {
        &self.schemas
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Passes on what follows the last statement of the dump.
    pub fn finish(&mut self) -> Result<()> {
        self.end_entry(0)
    }

    /// Ends the entry. The last `kept` bytes of the text belong to the next one.
    fn end_entry(&mut self, kept: usize) -> Result<()> {
        let rest = self.text.split_off(self.text.len() - kept);
        let ended = std::mem::replace(&mut self.text, rest);
        match &self.entry {
            Some(entry) if entry.taken => self.inner.text(blank_lines(&ended)),
            _ => Ok(()),
        }
    }

    fn write_title(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let versions: String = self.versions.iter().map(|line| format!("{line}\n")).collect();
        let title = format!("--\n-- PostgreSQL database dump\n--\n\n{versions}\n");
        self.inner.text(title.as_bytes())
    }

    fn write_due_settings(&mut self) -> Result<()> {
        let due = self.settings.due();
        for statement in &due {
            self.inner.text(statement)?;
            self.inner.text(b";")?;
            self.inner.statement(statement)?;
            self.inner.text(b"\n")?;
        }
        if due.is_empty() { Ok(()) } else { self.inner.text(b"\n") }
    }

    /// Whether a statement is to be passed on.
    fn is_wanted(&mut self, subject: &StatementSubject) -> Result<bool> {
        let wanted = self.wanted.in_heading();
        if let StatementSubject::Schema(name) | StatementSubject::In(name) = subject {
            self.schemas.insert(name.clone());
        }
        let Some(entry) = &self.entry else {
            return match subject {
                StatementSubject::Schema(name) | StatementSubject::In(name)
                    if self.wanted.is(name) =>
                {
                    Err(unheaded().into())
                }
                _ => Ok(false),
            };
        };
        let names = |schema: &str| entry.readings.iter().any(|r| r.schema == schema);
        let only = entry.readings.iter().all(|r| r.schema == wanted);
        if entry.readings.iter().any(|r| r.schema == wanted && OutsideSchema::is_outside(&r.kind))
            && only
        {
            return Ok(false);
        }
        match subject {
            // The statement names the root's schema only.
            StatementSubject::In(_) if entry.through_root && only && self.has_twin() => {
                Err(contradicted().into())
            }
            StatementSubject::In(_) if entry.through_root && only => Ok(true),
            StatementSubject::In(_) if entry.through_root && !names(wanted) => Ok(false),
            StatementSubject::In(name) if self.wanted.is(name) => {
                if names(wanted) {
                    Ok(true)
                } else {
                    Err(contradicted().into())
                }
            }
            StatementSubject::Schema(name) if self.wanted.is(name) => {
                if names("-") {
                    Ok(true)
                } else {
                    Err(contradicted().into())
                }
            }
            // Names that differ in their line breaks or in bytes that are not UTF-8 look alike in headings.
            StatementSubject::In(name) | StatementSubject::Schema(name)
                if only && self.wanted.shown(name) != wanted =>
            {
                Err(contradicted().into())
            }
            StatementSubject::In(_) | StatementSubject::Schema(_) => Ok(false),
            _ if only && !self.has_twin() => Ok(true),
            _ if names(wanted) => Err(contradicted().into()),
            _ => Ok(false),
        }
    }

    /// Whether another schema looks the same in headings.
    fn has_twin(&self) -> bool {
        let wanted = self.wanted;
        let looks_same = |name: &String| wanted.shown(name) == wanted.in_heading();
        self.schemas.iter().any(|name| !wanted.is(name) && looks_same(name))
    }

    fn apply_setting(&mut self, name: String, sql: &[u8], text: Vec<u8>) -> Result<()> {
        let passed = self.entry.as_ref().is_some_and(|entry| entry.taken);
        self.settings.set(name, sql.trim_ascii().to_vec(), passed);
        if passed {
            self.inner.text(&text)?;
            return self.inner.statement(sql);
        }
        // The text before it may be the comment of an entry that will be passed on.
        self.text = comments(&text).to_vec();
        Ok(())
    }
}

impl<O: Observer> Observer for SchemaFilter<'_, O> {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        match (self.in_copy, self.taken) {
            (true, true) => return self.inner.text(bytes),
            (true, false) => {}
            (false, _) => self.text.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn comment(&mut self, comment: &str) -> Result<()> {
        let readings = readings(comment);
        if !readings.is_empty() {
            self.outside.note_heading(&readings, self.wanted);
            let kept = last_comment(&self.text);
            self.end_entry(kept)?;
            self.entry = Some(Entry { readings, through_root: false, taken: false });
        } else if let Some(entry) = &mut self.entry {
            entry.through_root |= comment.starts_with(THROUGH_ROOT);
        } else if VERSIONS.iter().any(|version| comment.starts_with(version)) {
            self.versions.push(comment.to_owned());
        }
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        let subject = subject_of(sql, self.wanted);
        if let StatementSubject::Setting(name) = subject {
            self.taken = false;
            return self.apply_setting(name, sql, text);
        }
        self.outside.note_statement(&subject, sql, self.wanted);
        self.taken = self.is_wanted(&subject)?;
        if !self.taken {
            return Ok(());
        }
        self.write_title()?;
        self.write_due_settings()?;
        if let Some(entry) = &mut self.entry {
            entry.taken = true;
        }
        self.inner.text(&text)?;
        self.inner.statement(sql)
    }

    fn copy_begins(&mut self) -> Result<()> {
        self.in_copy = true;
        let text = std::mem::take(&mut self.text);
        if !self.taken {
            return Ok(());
        }
        self.inner.text(&text)?;
        self.inner.copy_begins()
    }

    fn copy_ends(&mut self) -> Result<()> {
        self.in_copy = false;
        if self.taken { self.inner.copy_ends() } else { Ok(()) }
    }

    fn copy_rows(&mut self, rows: u64, bytes: u64) {
        if self.taken {
            self.rows += rows;
            self.inner.copy_rows(rows, bytes);
        }
    }
}

/// The bytes of the comment that a text ends with: all its lines.
fn last_comment(text: &[u8]) -> usize {
    let lines = text.split_inclusive(|b| *b == b'\n').rev();
    lines.take_while(|line| line.starts_with(b"--")).map(<[u8]>::len).sum()
}

/// What a text begins with, as far as it is comments and blank lines.
fn comments(text: &[u8]) -> &[u8] {
    let lines = text.split_inclusive(|b| *b == b'\n');
    let is_comment = |line: &&[u8]| line.starts_with(b"--") || line.trim_ascii().is_empty();
    &text[..lines.take_while(is_comment).map(<[u8]>::len).sum()]
}

/// The lines between entries. A comment there is not the entry's: the end marker is one.
fn blank_lines(text: &[u8]) -> &[u8] {
    let lines = text.split_inclusive(|b| *b == b'\n');
    &text[..lines.take_while(|line| line.trim_ascii().is_empty()).map(<[u8]>::len).sum()]
}

fn contradicted() -> Stop {
    Stop::damaged(
        "a comment of the dump and the statement below it disagree on the schema: \
         the dump's entries cannot be assigned to schemas",
    )
}

fn unheaded() -> Stop {
    Stop::damaged(
        "the dump has a statement of the schema without a comment of pg_dump above it: \
         the dump's entries cannot be assigned to schemas",
    )
}

#[cfg(test)]
mod tests;
