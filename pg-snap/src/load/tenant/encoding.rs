//! A schema's name in the encoding of a dump.

use crate::psql::Server;
use crate::sql::literal;
use anyhow::{Context, Result};
use pipe_kit::text::hex;

/// Converts a name, whatever the encoding of the server's databases.
pub fn converted(server: &Server, name: &str, encoding: &str) -> Result<Vec<u8>> {
    let hex = hex(name.as_bytes());
    let query = format!(
        "SELECT pg_catalog.array_to_json(pg_catalog.array_agg(pg_catalog.get_byte(name, at) ORDER BY at)) \
         FROM pg_catalog.convert(pg_catalog.decode('{hex}', 'hex'), 'UTF8', {}) AS c (name), \
         pg_catalog.generate_series(0, pg_catalog.length(name) - 1) AS s (at)",
        literal(encoding)
    );
    let answer = server.query(&server.maintenance, &query);
    let answer = answer.with_context(|| {
        format!("the dump is in {encoding}, to which the name of the schema cannot be converted")
    })?;
    serde_json::from_str(&answer).context("reading the converted name")
}
