//! Converts the names of a dump to the encoding in which the database's names are read.

use super::dumped_objects::DumpedObjects;
use crate::psql::Server;
use crate::sql::literal;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fmt::Write;

const UTF8: &str = "UTF8";
/// Encodings that servers cannot convert to UTF-8.
const BYTEWISE: [&str; 2] = ["SQL_ASCII", "MULE_INTERNAL"];
/// Names converted by one query.
const CHUNK: usize = 1000;

/// The encoding of the database.
pub struct Encoding {
    own: String,
}

impl Encoding {
    pub fn of(own: &str) -> Self {
        Self { own: own.to_owned() }
    }

    /// Whether each byte of a name is read as a character.
    pub fn is_bytewise(&self) -> bool {
        BYTEWISE.contains(&self.own.as_str())
    }

    /// The encoding of sessions.
    pub fn of_sessions(&self) -> &str {
        if self.is_bytewise() { &self.own } else { UTF8 }
    }

    /// Converts a dump's names to the encoding of sessions.
    pub fn converted(
        &self,
        server: &Server,
        database: &str,
        dumped: DumpedObjects,
    ) -> Result<DumpedObjects> {
        let in_bytes = dumped.encoding != UTF8;
        if self.is_bytewise() {
            let to_bytes = |name: &str| name.bytes().map(char::from).collect::<String>();
            return Ok(if in_bytes { dumped } else { dumped.renamed(&to_bytes) });
        }
        if !in_bytes || BYTEWISE.contains(&dumped.encoding.as_str()) {
            return Ok(dumped);
        }
        let odd: Vec<String> =
            dumped.names().into_iter().filter(|name| !name.is_ascii()).map(str::to_owned).collect();
        let mut converted = HashMap::new();
        for names in odd.chunks(CHUNK) {
            converted.extend(convert(server, database, &dumped.encoding, names)?);
        }
        let to = |name: &str| converted.get(name).cloned().unwrap_or_else(|| name.to_owned());
        Ok(dumped.renamed(&to))
    }
}

fn convert(
    server: &Server,
    database: &str,
    encoding: &str,
    names: &[String],
) -> Result<Vec<(String, String)>> {
    let one = |name: &String| format!("pg_catalog.decode('{}', 'hex')", hex(name));
    let names_in_bytes: Vec<String> = names.iter().map(one).collect();
    let answer = server
        .query(
            database,
            &format!(
                "SELECT pg_catalog.json_agg(pg_catalog.convert_from(name, {}) ORDER BY number) \
                 FROM pg_catalog.unnest(ARRAY[{}]) WITH ORDINALITY AS n (name, number)",
                literal(encoding),
                names_in_bytes.join(", ")
            ),
        )
        .with_context(|| format!("converting names from {encoding}"))?;
    let converted: Vec<String> =
        serde_json::from_str(&answer).context("reading the converted names")?;
    Ok(names.iter().cloned().zip(converted).collect())
}

fn hex(name: &str) -> String {
    name.chars().fold(String::new(), |mut hex, c| {
        let _ = write!(hex, "{:02x}", u32::from(c) & 0xff);
        hex
    })
}
