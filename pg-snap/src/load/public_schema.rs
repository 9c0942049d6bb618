//! What a load may not do with the schema public on a server before PostgreSQL 15.

use super::Load;
use crate::database_state::{DatabaseState, PUBLIC_SCHEMA_STATE, PublicSchema};
use anyhow::{Context, Result};
use pipe_kit::warning;

impl Load {
    /// Warns of the owner and the rights that the schema public of the new database should have and has not.
    pub(super) fn warn_of_public_schema(&self, state: &DatabaseState) -> Result<()> {
        let wanted = state.requirements.as_ref().and_then(|r| r.public_schema.as_ref());
        let Some(wanted) = wanted.filter(|_| !self.facts.superuser) else { return Ok(()) };
        let (server, incoming) = (&self.server, &self.names.incoming);
        let answer = server.query(incoming, &format!("SELECT {PUBLIC_SCHEMA_STATE}"))?;
        let found: PublicSchema = match answer.trim() {
            "" => return Ok(()),
            answer => {
                serde_json::from_str(answer).context("reading the rights on schema public")?
            }
        };
        let statements = found.statements_to(wanted);
        if !statements.is_empty() {
            warning!(
                "schema public has not the owner and the rights that it had, because before PostgreSQL 15 only a \
                 superuser may change them; as a superuser, in the database: {}",
                statements.join(" ")
            );
        }
        Ok(())
    }
}
