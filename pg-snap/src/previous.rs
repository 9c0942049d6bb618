//! `pg-snap previous`: what `load --keep-previous` has kept, swapped back or dropped.

use crate::client::Clients;
use crate::database_names::{DatabaseNames, is_kept, previous_of};
use crate::psql::{self, Databases, Server};
use anyhow::{Result, bail};
use pipe_kit::{Exit, Stop, info};

/// Drops `<PGDATABASE>_previous`; where oids are given, those databases, if they are kept ones. None
/// that is there is no error.
///
/// # Errors
/// [`Stop::refused`], with nothing dropped, if the database itself is not there, or one of the oids
/// is that of a database that is not a kept one.
pub fn drop(clients: &Clients, oids: &[u32]) -> Result<Exit> {
    let database = psql::wanted_database()?;
    let server = Server::connect_beside(clients, &database)?;
    let all = server.databases()?;
    if !all.values().any(|name| *name == database) {
        let previous = previous_of(&database);
        return Err(Stop::refused(format!(
            "database {database} does not exist: {previous} may be the only copy and is kept"
        ))
        .into());
    }
    let names = to_drop(&database, oids, &all)?;
    if names.is_empty() {
        info!("{database} has no such previous database: nothing to drop");
    }
    for name in names {
        server.drop_database(name)?;
        info!("dropped {name}");
    }
    Ok(Exit::Done)
}

fn to_drop<'a>(database: &str, oids: &[u32], all: &'a Databases) -> Result<Vec<&'a str>, Stop> {
    if oids.is_empty() {
        let previous = previous_of(database);
        return Ok(all.values().filter(|name| **name == previous).map(String::as_str).collect());
    }
    let there = oids.iter().filter_map(|oid| Some((oid, all.get(oid)?)));
    there
        .map(|(oid, name)| match is_kept(database, name) {
            true => Ok(name.as_str()),
            false => Err(Stop::refused(format!(
                "the database with oid {oid} is {name}, which is not a previous database of {database}; nothing was dropped"
            ))),
        })
        .collect()
}

/// Swaps `PGDATABASE` and `<PGDATABASE>_previous`, or the kept database with that oid, in one
/// transaction.
///
/// # Errors
/// [`Stop::refused`] if `oid` is that of a database that is not a kept one; if there is no previous
/// database.
pub fn swap(clients: &Clients, oid: Option<u32>) -> Result<Exit> {
    let database = psql::wanted_database()?;
    let (server, _helper) = Server::connect_outside(clients, &database)?;
    let all = server.databases()?;
    let kept = match oid {
        None => previous_of(&database),
        Some(oid) => match all.get(&oid) {
            Some(name) if *name == database => {
                info!("{database} already is the database with oid {oid}: nothing to swap");
                return Ok(Exit::Done);
            }
            Some(name) if is_kept(&database, name) => name.clone(),
            Some(name) => {
                return Err(Stop::refused(format!(
                    "the database with oid {oid} is {name}, which is not a previous database of {database}; nothing was swapped"
                ))
                .into());
            }
            None => bail!("there is no database with oid {oid}; nothing was swapped"),
        },
    };
    if !all.values().any(|name| *name == kept) {
        bail!("database {kept} does not exist");
    }
    if all.values().any(|name| *name == database) {
        let aside = DatabaseNames::of(database.clone()).aside;
        let pairs = [(&database, &aside), (&kept, &database), (&aside, &kept)];
        server.rename_databases(&pairs.map(|(from, to)| (from.clone(), to.clone())))?;
        info!("{database} is the previous database again; the one that it replaced is {kept}");
    } else {
        server.rename_databases(&[(kept, database.clone())])?;
        info!("{database} is the previous database again");
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Databases {
        let names = ["db", "db_previous", "db_previous_20260102T030405Z", "db_previous_x", "other"];
        (1..).zip(names.map(str::to_owned)).collect()
    }

    #[test]
    fn only_kept_databases_are_dropped_whatever_name_they_have_got_since() {
        let all = all();
        let drop = |oids: &[u32]| to_drop("db", oids, &all).map_err(|stop| stop.to_string());
        assert_eq!(drop(&[]).unwrap(), ["db_previous"]);
        assert_eq!(drop(&[3, 2, 99]).unwrap(), ["db_previous_20260102T030405Z", "db_previous"]);
        assert_eq!(drop(&[99]).unwrap(), [""; 0]);
        for oid in [1, 4, 5] {
            assert!(drop(&[2, oid]).unwrap_err().contains("nothing was dropped"), "{oid}");
        }
    }
}
