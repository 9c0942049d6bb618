//! `pg-snap previous`: what `load --keep-previous` has kept, swapped back or dropped.

use crate::client::Clients;
use crate::load::{previous_of, rename};
use crate::psql::{self, Server};
use crate::sql::{beside, literal};
use anyhow::{Result, bail};
use pipe_kit::{Exit, Stop, say};

/// Drops `<PGDATABASE>_previous`, if it is the database with that oid where one is given. None of
/// that name is no error.
///
/// # Errors
/// [`Stop::refused`] if the database itself is not there, or the previous one is another than
/// `oid`; what the server says.
pub fn drop(clients: &Clients, oid: Option<u32>) -> Result<Exit> {
    let database = psql::wanted_database()?;
    let previous = previous_of(&database);
    let server = Server::connect(clients, &database)?;
    if !server.has_database(&database)? {
        return Err(Stop::refused(format!(
            "there is no database {database}: {previous} may be the only copy and is kept"
        ))
        .into());
    }
    if let Some(oid) = oid {
        let ask = format!(
            "select oid from pg_catalog.pg_database where datname = {}",
            literal(&previous)
        );
        let found = server.query(&server.maintenance, &ask)?;
        if !found.trim().is_empty() && found.trim() != oid.to_string() {
            return Err(Stop::refused(format!(
                "{previous} is not the database with oid {oid}, and is kept"
            ))
            .into());
        }
    }
    server.drop_database(&previous)?;
    Ok(Exit::Done)
}

/// Swaps `PGDATABASE` and `<PGDATABASE>_previous` in one transaction.
///
/// # Errors
/// If there is no previous database; what the server says.
pub fn swap(clients: &Clients) -> Result<Exit> {
    let database = psql::wanted_database()?;
    let previous = previous_of(&database);
    let server = Server::connect(clients, &database)?;
    if !server.has_database(&previous)? {
        bail!("there is no database {previous}");
    }
    if server.has_database(&database)? {
        let aside = beside(&database, "_pg_snap_aside");
        let pairs = [(&database, &aside), (&previous, &database), (&aside, &previous)];
        rename(&server, &pairs.map(|(from, to)| (from.clone(), to.clone())))?;
    } else {
        rename(&server, &[(previous.clone(), database.clone())])?;
    }
    say!("{database} is the previous database again; what it replaced is {previous}");
    Ok(Exit::Done)
}
