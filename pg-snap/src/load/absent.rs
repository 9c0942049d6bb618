//! What every new database has, and the source database had not.

use crate::database_state::{ABSENT_PUBLIC, DatabaseState};
use crate::psql::{Server, sqlstate_of};
use anyhow::Result;
use pipe_kit::warning;

const NOT_PERMITTED: &str = "42501";

/// Drops it from the incoming database, before anything is in it. Before PostgreSQL 15 the schema public is not the database's
/// owner's: an ordinary role is warned that it stays.
///
/// # Errors
/// If it cannot be dropped for another reason.
pub fn drop_absent(server: &Server, incoming: &str, state: &DatabaseState) -> Result<()> {
    let absent = state.requirements.as_ref().map(|requirements| &requirements.absent);
    if absent.is_none_or(|absent| absent.iter().all(|what| what != ABSENT_PUBLIC)) {
        return Ok(());
    }
    match server.execute(incoming, "DROP SCHEMA IF EXISTS public;") {
        Err(error) if sqlstate_of(&error) == Some(NOT_PERMITTED) => {
            warning!(
                "the source database has no schema public, and this one has: only a superuser may drop it; afterwards, in the \
                 database: DROP SCHEMA public;"
            );
            Ok(())
        }
        result => result,
    }
}
