//! The database that is filled, before anything is in it.

use super::Load;
use crate::database_state::{ABSENT_PUBLIC, DatabaseState};
use crate::psql::{Server, sqlstate_of};
use crate::server_error::INSUFFICIENT_PRIVILEGE;
use anyhow::Result;
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::warning;
use std::sync::Arc;

impl Load {
    /// Creates the incoming database, with nothing in it that the source database has not.
    ///
    /// # Errors
    /// If it cannot be created, or is not empty.
    pub(super) fn create_incoming(&self, state: &DatabaseState) -> Result<Guard> {
        let (server, incoming) = (Arc::clone(&self.server), self.names.incoming.clone());
        // Armed before the database exists: a signal may arrive while it is being created.
        let guard = cleanup::on_failure(move || {
            if let Err(error) = server.drop_database(&incoming) {
                warning!("the half-loaded database {incoming} is still there: {error:#}");
            }
        });
        let spaces = &self.facts.tablespaces;
        let create =
            state.create_statement(&self.names.incoming, self.server.version.major, |name| {
                spaces.contains_key(name)
            });
        self.server.execute(&self.server.maintenance, &create)?;
        drop_absent(&self.server, &self.names.incoming, state)?;
        Ok(guard)
    }
}

/// Drops what every new database has and the source database had not. Before PostgreSQL 15, the schema public does not
/// belong to the database's owner: an ordinary role is warned that it stays.
fn drop_absent(server: &Server, incoming: &str, state: &DatabaseState) -> Result<()> {
    let absent = state.requirements.as_ref().map(|requirements| &requirements.absent);
    if absent.is_none_or(|absent| absent.iter().all(|what| what != ABSENT_PUBLIC)) {
        return Ok(());
    }
    match server.execute(incoming, "DROP SCHEMA IF EXISTS public;") {
        Err(error) if sqlstate_of(&error) == Some(INSUFFICIENT_PRIVILEGE) => {
            warning!(
                "the source database has no schema public, and this one has: only a superuser may drop it; afterwards, in the \
                 database: DROP SCHEMA public;"
            );
            Ok(())
        }
        result => result,
    }
}
