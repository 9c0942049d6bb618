//! A database with everything in it that a dump can get wrong.

use crate::postgres::Postgres;
use anyhow::Result;

/// The fixture's SQL, for a superuser's psql.
const SQL: &str = concat!(
    include_str!("../../tests/fixtures/oddities/roles.sql"),
    include_str!("../../tests/fixtures/oddities/types.sql"),
    include_str!("../../tests/fixtures/oddities/tables.sql"),
    include_str!("../../tests/fixtures/oddities/partitions.sql"),
    include_str!("../../tests/fixtures/oddities/sequences.sql"),
    include_str!("../../tests/fixtures/oddities/large_objects.sql"),
    include_str!("../../tests/fixtures/oddities/views.sql"),
    include_str!("../../tests/fixtures/oddities/names.sql"),
    include_str!("../../tests/fixtures/oddities/text.sql"),
    include_str!("../../tests/fixtures/oddities/rights.sql"),
    include_str!("../../tests/fixtures/oddities/since.sql"),
    include_str!("../../tests/fixtures/oddities/last.sql"),
);

/// Makes the database, and the roles that it names.
///
/// # Errors
/// If it exists, or the fixture fails.
pub fn create(server: &Postgres, database: &str) -> Result<()> {
    server.psql("postgres", &format!("create database \"{database}\" template template0"))?;
    server.psql(database, SQL).map(drop)
}
