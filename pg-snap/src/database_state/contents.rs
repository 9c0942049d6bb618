//! What a dump needs and only the database itself knows: its extensions, which roles
//! own something in it, and its size.

use super::DatabaseState;
use crate::psql::Server;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

impl DatabaseState {
    /// Adds what only the database itself knows.
    pub fn with_contents(mut self, server: &Server) -> Result<Self> {
        // Compiling the plan would take longer than running it.
        let query = concat!("SET jit = off;\n", include_str!("contents.sql"));
        let answer = server.query(&self.name, query)?;
        let (size, extensions, owners, first): (
            u64,
            Vec<String>,
            BTreeSet<String>,
            Option<String>,
        ) = serde_json::from_str(&answer)
            .with_context(|| format!("reading the contents of database {}", self.name))?;
        self.size_bytes = Some(size);
        self.extensions = Some(extensions);
        for role in &mut self.roles {
            role.owns = Some(
                role.name == self.owner
                    || owners.contains(&role.name)
                    || first.as_ref() == Some(&role.name),
            );
        }
        Ok(self)
    }
}
