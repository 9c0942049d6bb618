//! What a load has left out, for the operator and for the file that makes it good.

use super::definition::Definition;
use crate::server_error::ServerError;
use anyhow::{Context, Result};
use pipe_kit::atomic::AtomicFile;
use std::fmt;
use std::io::Write;
use std::path::Path;

/// How an object came to be other than in the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// It is not there.
    LeftOut,
    /// The constraint holds for new rows only.
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
    /// For the file: what to run once its cause is removed.
    fn to_sql(&self) -> Vec<u8> {
        let comment = self.to_string().replace(char::is_control, " ");
        let mut sql = format!("-- {comment}\n").into_bytes();
        match (self.omission, self.definition.validation()) {
            (Omission::NotValid, Some(validate)) => sql.extend_from_slice(&validate),
            _ => sql.extend_from_slice(self.definition.text.trim_ascii()),
        }
        sql.extend_from_slice(b"\n\n");
        sql
    }
}

/// Writes the statements to a file (0600).
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, database: &str, omitted: &[Omitted]) -> Result<()> {
    let writing = || format!("writing {}", path.display());
    let mut file = AtomicFile::create(path)?;
    let name = database.replace(char::is_control, "?");
    let head = format!(
        "-- Statements of the dump that failed when database {name} was loaded, each below its error.\n\
         -- Remove the causes, then run this file in that database by psql.\n\n"
    );
    file.write_all(head.as_bytes()).with_context(writing)?;
    for one in omitted {
        file.write_all(&one.to_sql()).with_context(writing)?;
    }
    file.commit()
}
