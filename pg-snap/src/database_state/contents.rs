//! What a dump needs and only the database itself knows: its extensions, which roles
//! own something in it, and its size.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Returns one line, for [`DatabaseContents::from_line`]. Compiling the plan would take longer than running it.
pub const QUERY: &str = concat!("SET jit = off;\n", include_str!("contents.sql"));

#[derive(Deserialize, Debug, Default)]
#[serde(from = "(u64, Vec<String>, BTreeSet<String>, Option<String>)")]
pub struct DatabaseContents {
    pub size_bytes: u64,
    pub extensions: Vec<String>,
    /// Roles that own something in it.
    pub owners: BTreeSet<String>,
}

impl From<(u64, Vec<String>, BTreeSet<String>, Option<String>)> for DatabaseContents {
    /// The last is the first superuser, if it owns something.
    fn from(line: (u64, Vec<String>, BTreeSet<String>, Option<String>)) -> Self {
        let (size_bytes, extensions, mut owners, first) = line;
        owners.extend(first);
        Self { size_bytes, extensions, owners }
    }
}

impl DatabaseContents {
    pub fn from_line(line: &str) -> Result<Self> {
        serde_json::from_str(line)
            .with_context(|| format!("reading the contents of a database: {line}"))
    }
}
