//! Omitted objects, for the operator and for the file that creates them later.

use super::definition::Definition;
use super::settings::SessionSettings;
use crate::server_error::ServerError;
use crate::sql::properties;
use anyhow::{Context, Result};
use pipe_kit::atomic::{AtomicFile, directory_of, sync_directory};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

/// How the file begins.
const HEAD: &str = "-- Statements of the dump that failed";
/// No first line is longer, since the name of a database has at most 63 bytes.
const FIRST_LINE: u64 = 1024;

/// How an object differs from the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// It does not exist.
    LeftOut,
    /// The constraint applies to new rows only.
    NotValid,
}

/// An object that the loaded database lacks.
#[derive(Clone, Debug)]
pub struct Omitted {
    pub omission: Omission,
    pub definition: Definition,
    pub failure: ServerError,
}

impl fmt::Display for Omitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.omission {
            Omission::LeftOut => "left out",
            Omission::NotValid => "not validated",
        };
        write!(
            f,
            "{how}: {}: {}; statement: {}",
            self.definition.what(),
            self.failure,
            self.definition.first_line()
        )
    }
}

impl Omitted {
    /// For the file: the statement to run once the cause is removed. `before`: the settings so far.
    fn to_sql(&self, before: Option<&SessionSettings>) -> Vec<u8> {
        let comment = self.to_string().replace(char::is_control, " ");
        let mut sql = format!("-- {comment}\n").into_bytes();
        if before != Some(&*self.definition.settings) {
            sql.extend_from_slice(&self.definition.settings.to_sql());
        }
        match (self.omission, properties::validation(&self.definition.text)) {
            (Omission::NotValid, Some(validate)) => sql.extend_from_slice(validate.as_bytes()),
            _ => sql.extend_from_slice(self.definition.text.trim_ascii()),
        }
        sql.extend_from_slice(b"\n\n");
        sql
    }
}

/// Writes the statements to a file (0600), durably.
pub fn write(path: &Path, database: &str, omitted: &[Omitted]) -> Result<()> {
    let writing = || format!("writing {}", path.display());
    let mut file = AtomicFile::create(path)?;
    let head = format!(
        "{}-- Remove the causes, then run this file in that database with psql: it applies all of it, or nothing.\n\nBEGIN;\n\n",
        first_line(database)
    );
    file.write_all(head.as_bytes()).with_context(writing)?;
    let mut before = None;
    for one in omitted {
        file.write_all(&one.to_sql(before)).with_context(writing)?;
        before = Some(&*one.definition.settings);
    }
    file.write_all(b"COMMIT;\n").with_context(writing)?;
    file.commit()?;
    sync_directory(directory_of(path))
}

/// Whether a file holds the statements of a load of another database.
pub fn is_of_other(path: &Path, database: &str) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut line = String::new();
    let read = BufReader::new(file.take(FIRST_LINE)).read_line(&mut line);
    read.is_ok() && line.starts_with(HEAD) && line != first_line(database)
}

fn first_line(database: &str) -> String {
    let name = database.replace(char::is_control, "?");
    format!("{HEAD} when database {name} was loaded, each below its error.\n")
}

/// Removes the file of an earlier load, which would be mistaken for this one's. Removes no other file.
pub fn remove(path: &Path) -> Result<()> {
    let mut head = vec![0; HEAD.len()];
    let read = match File::open(path) {
        Ok(mut file) => file.read_exact(&mut head),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    match read {
        Ok(()) if head == HEAD.as_bytes() => {
            std::fs::remove_file(path).with_context(|| format!("removing {}", path.display()))
        }
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}
