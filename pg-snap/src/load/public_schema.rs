//! What a load may not do with the schema public on a server before PostgreSQL 15.

use super::Load;
use super::definition::{Definition, ObjectName};
use super::omitted::{Omission, Omitted};
use super::settings::SessionSettings;
use crate::database_state::{DatabaseState, PUBLIC_SCHEMA_STATE, PublicSchema};
use crate::server_error::ServerError;
use anyhow::{Context, Result};
use pipe_kit::warning;
use std::sync::Arc;

const WHY: &str = "before PostgreSQL 15 only a superuser may change the schema public";

impl Load {
    /// The statements that give the schema public of the new database the owner and the rights that it should have, and that
    /// the connected role may not execute.
    pub(super) fn left_of_public_schema(&self, state: &DatabaseState) -> Result<Vec<Omitted>> {
        let wanted = state.known_public_schema();
        let Some(wanted) = wanted.filter(|_| !self.facts.superuser) else { return Ok(Vec::new()) };
        let (server, incoming) = (&self.server, &self.names.incoming);
        let answer = server.query(incoming, &format!("SELECT {PUBLIC_SCHEMA_STATE}"))?;
        let found: PublicSchema = match answer.trim() {
            "" => return Ok(Vec::new()),
            answer => {
                serde_json::from_str(answer).context("reading the rights on schema public")?
            }
        };
        let left: Vec<Omitted> = found.statements_to(wanted).into_iter().map(left_out).collect();
        left.iter().for_each(|omitted| warning!("{omitted}"));
        Ok(left)
    }
}

fn left_out(statement: String) -> Omitted {
    let definition = Definition {
        number: u64::MAX,
        object: Some(Arc::new(ObjectName::new("SCHEMA", "public", ""))),
        text: (statement + "\n").into_bytes(),
        settings: Arc::new(SessionSettings::for_definitions()),
        calls: false,
    };
    let failure = ServerError::other(WHY);
    Omitted { omission: Omission::LeftOut, definition, failure }
}
