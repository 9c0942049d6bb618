//! What is in no dump is named by the dump.

use crate::kit::*;
use anyhow::{Result, ensure};
use test_kit::Postgres;

/// A server with the role `app`, which is no superuser and owns the database `piprio`.
fn with_app() -> Result<Postgres> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role app login password 'x'; create role ro; create database piprio owner app",
    )?;
    Ok(server)
}

/// The warnings of a dump by that role, or by the superuser.
fn warnings(server: &Postgres, as_app: bool) -> Result<Vec<String>> {
    let mut dump = pg_snap(server, "piprio");
    if as_app {
        dump.env("PGUSER", "app").env("PGPASSWORD", "x");
    }
    let out = dump.arg("dump").output()?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success(), "{log}");
    let lines = log.lines().filter_map(|line| line.strip_prefix("pg-snap: warning: "));
    Ok(lines.map(str::to_owned).collect())
}

#[test]
fn what_pg_dump_warns_of_is_passed_on_once() -> Result<()> {
    let server = with_app()?;
    ensure!(warnings(&server, true)? == [""; 0]);
    let subscription = "create subscription far connection 'dbname=far' publication p
        with (connect = false, slot_name = none)";
    server.psql("piprio", subscription)?;
    let found = warnings(&server, true)?;
    let of_pg_dump: Vec<_> = found.iter().filter(|line| line.starts_with("pg_dump: ")).collect();
    // A role that may see subscriptions dumps them.
    ensure!(of_pg_dump.len() == 1, "{found:#?}");
    ensure!(!warnings(&server, false)?.iter().any(|line| line.starts_with("pg_dump: ")));
    Ok(())
}
