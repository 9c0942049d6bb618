//! The part of a dump that is of one schema, passed on to whoever wants it.
//!
//! pg_dump's comments divide a dump into entries and name each one's schema; the statements below must
//! agree, so that no name can pull something of another schema in. A comment counts only between
//! statements: never in data, quotes or another statement.

use super::heading::{Reading, readings, shown};
use super::left::Left;
use super::subject::{Subject, subject};
use crate::sql::scanner::Observer;
use anyhow::Result;
use pipe_kit::Stop;
use std::collections::BTreeSet;

/// How pg_dump tells that a partition's rows go to another table.
const THROUGH_ROOT: &str = "-- load via partition root ";
const VERSIONS: [&str; 2] = ["-- Dumped from database version ", "-- Dumped by pg_dump version "];

/// The entry that is being read.
struct Entry {
    /// What its comment may say.
    readings: Vec<Reading>,
    through_root: bool,
    /// Whether anything of it was passed on.
    taken: bool,
}

/// What a dump sets in a session, and how much of that was passed on.
#[derive(Default)]
struct Settings(Vec<(String, Vec<u8>, bool)>);

impl Settings {
    fn set(&mut self, name: String, statement: Vec<u8>, passed: bool) {
        self.0.retain(|(other, ..)| *other != name);
        self.0.push((name, statement, passed));
    }

    /// Statements that were not passed on yet.
    fn due(&mut self) -> Vec<Vec<u8>> {
        let due = self.0.iter_mut().filter_map(|(_, statement, passed)| {
            (!std::mem::replace(passed, true)).then(|| statement.clone())
        });
        due.collect()
    }
}

/// See the module. As an [`Observer`] it takes the dump's text, and passes on the part's.
pub struct Part<'a, O> {
    schema: &'a str,
    inner: &'a mut O,
    /// Text since the last statement.
    text: Vec<u8>,
    entry: Option<Entry>,
    settings: Settings,
    /// Comments that tell versions.
    versions: Vec<String>,
    /// Whether anything was passed on.
    begun: bool,
    /// Whether the last statement was.
    taken: bool,
    in_copy: bool,
    rows: u64,
    schemas: BTreeSet<String>,
    pub left: Left,
}

impl<'a, O: Observer> Part<'a, O> {
    pub fn new(schema: &'a str, inner: &'a mut O) -> Self {
        Self {
            schema,
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
            left: Left::default(),
        }
    }

    /// Whether the dump holds the schema, or anything in it.
    pub fn is_there(&self) -> bool {
        self.begun
    }

    /// The schemas that were come across.
    pub fn schemas(&self) -> &BTreeSet<String> {
        &self.schemas
    }

    /// Rows passed on.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Passes on what follows the last statement, now that there will be no more.
    ///
    /// # Errors
    /// What whoever wants it gives.
    pub fn finish(&mut self) -> Result<()> {
        self.end_entry(0)
    }

    /// Of what follows the last statement, `kept` bytes are the next entry's.
    fn end_entry(&mut self, kept: usize) -> Result<()> {
        let rest = self.text.split_off(self.text.len() - kept);
        let ended = std::mem::replace(&mut self.text, rest);
        match &self.entry {
            Some(entry) if entry.taken => self.inner.text(blank_lines(&ended)),
            _ => Ok(()),
        }
    }

    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let versions: String = self.versions.iter().map(|line| format!("{line}\n")).collect();
        let title = format!("--\n-- PostgreSQL database dump\n--\n\n{versions}\n");
        self.inner.text(title.as_bytes())
    }

    fn set_due(&mut self) -> Result<()> {
        let due = self.settings.due();
        for statement in &due {
            self.inner.text(statement)?;
            self.inner.text(b";")?;
            self.inner.statement(statement)?;
            self.inner.text(b"\n")?;
        }
        if due.is_empty() { Ok(()) } else { self.inner.text(b"\n") }
    }

    /// Whether a statement is of the part.
    fn is_part(&mut self, subject: &Subject) -> Result<bool> {
        let wanted = shown(self.schema);
        if let Subject::Schema(name) | Subject::In(name) = subject {
            self.schemas.insert(name.clone());
        }
        let Some(entry) = &self.entry else {
            return match subject {
                Subject::Schema(name) | Subject::In(name) if name == self.schema => {
                    Err(unheaded().into())
                }
                _ => Ok(false),
            };
        };
        let says = |schema: &str| entry.readings.iter().any(|r| r.schema == schema);
        let only = entry.readings.iter().all(|r| r.schema == wanted);
        if entry.readings.iter().any(|r| r.schema == wanted && Left::is_left(&r.kind)) && only {
            return Ok(false);
        }
        match subject {
            Subject::In(_) if entry.through_root && only => Ok(true),
            Subject::In(_) if entry.through_root && !says(&wanted) => Ok(false),
            Subject::In(name) if name == self.schema => {
                if says(&wanted) {
                    Ok(true)
                } else {
                    Err(contradicted().into())
                }
            }
            Subject::Schema(name) if name == self.schema => {
                if says("-") {
                    Ok(true)
                } else {
                    Err(contradicted().into())
                }
            }
            // Names that differ in their line breaks look alike in headings.
            Subject::In(name) | Subject::Schema(name) if only && shown(name) != wanted => {
                Err(contradicted().into())
            }
            Subject::In(_) | Subject::Schema(_) => Ok(false),
            _ if only && !self.has_twin(&wanted) => Ok(true),
            _ if says(&wanted) => Err(contradicted().into()),
            _ => Ok(false),
        }
    }

    /// Whether another schema looks the same in headings.
    fn has_twin(&self, wanted: &str) -> bool {
        self.schemas.iter().any(|name| name != self.schema && shown(name) == wanted)
    }

    fn set(&mut self, name: String, sql: &[u8], text: Vec<u8>) -> Result<()> {
        let passed = self.entry.as_ref().is_some_and(|entry| entry.taken);
        self.settings.set(name, sql.trim_ascii().to_vec(), passed);
        if passed {
            self.inner.text(&text)?;
            return self.inner.statement(sql);
        }
        // What stands before it may be the comment of an entry that is still to be taken.
        self.text = comments(&text).to_vec();
        Ok(())
    }
}

impl<O: Observer> Observer for Part<'_, O> {
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
            self.left.heading(&readings, &shown(self.schema));
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
        let subject = subject(sql);
        if let Subject::Setting(name) = subject {
            self.taken = false;
            return self.set(name, sql, text);
        }
        self.left.statement(&subject, sql, self.schema);
        self.taken = self.is_part(&subject)?;
        if !self.taken {
            return Ok(());
        }
        self.begin()?;
        self.set_due()?;
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
        "a comment of the dump and the statement below it disagree on whether they are of the schema: \
         the dump's entries cannot be told apart",
    )
}

fn unheaded() -> Stop {
    Stop::damaged(
        "the dump has something of the schema under no comment of pg_dump's: its entries cannot be told apart",
    )
}

#[cfg(test)]
mod tests;
