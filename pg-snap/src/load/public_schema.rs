//! What a load may not do with the schema public on a server before PostgreSQL 15.

use super::Load;
use crate::database_state::{DatabaseState, PUBLIC_SCHEMA_STATE, PublicSchema};
use crate::server_error::{INSUFFICIENT_PRIVILEGE, ServerError};
use crate::sql::{TokenCursor, tokens};
use anyhow::{Context, Result};
use pipe_kit::warning;

/// Since this major, it belongs to the owner of the database.
const OWNED: u32 = 15;
/// Up to the new owner.
const TOKENS: usize = 5;

/// Whether a statement that has failed gives the schema public an owner, which an ordinary role may not.
pub fn is_about_its_owner(sql: &[u8], failure: &ServerError, server_major: u32) -> bool {
    let tokens = tokens(&String::from_utf8_lossy(sql), TOKENS);
    let mut rest = TokenCursor(&tokens);
    server_major < OWNED
        && failure.is(&[INSUFFICIENT_PRIVILEGE])
        && rest.skip("ALTER SCHEMA")
        && rest.identifier().is_some_and(|name| name == "public")
        && rest.skip("OWNER TO")
}

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
                "schema public has not the owner and the rights that it had, because before PostgreSQL {OWNED} only a \
                 superuser may change them; as a superuser, in the database: {}",
                statements.join(" ")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_of_public_that_an_older_server_refuses_is_passed_over() {
        let owner = "ALTER SCHEMA public OWNER TO app;\n";
        for (sql, state, major, expected) in [
            (owner, "42501", 14, true),
            (owner, "42501", 15, false),
            (owner, "42704", 14, false),
            ("ALTER SCHEMA own OWNER TO app;\n", "42501", 14, false),
            ("ALTER SCHEMA public RENAME TO own;\n", "42501", 14, false),
        ] {
            let failure = ServerError::of_state(state);
            assert_eq!(is_about_its_owner(sql.as_bytes(), &failure, major), expected, "{sql}");
        }
    }
}
