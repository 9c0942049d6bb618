//! What only an older server has is left out of a load into a newer one, and all else is there.

use super::cluster::started;
use super::releases;
use anyhow::{Context, Result, ensure};
use predicates::prelude::*;
use predicates::str::contains;

/// The last major with the extension, and the last with the functions.
const ADMINPACK: u32 = 16;
const EXCLUSIVE_BACKUP: u32 = 14;

#[test]
#[allow(clippy::print_stdout, reason = "a test reports what it skips")]
fn extensions_and_privileges_of_the_old_server_alone_do_not_keep_a_dump_from_loading() -> Result<()>
{
    let all = started(releases()?)?;
    let newest = all.last().context("no release")?;
    ensure!(newest.release.major > ADMINPACK, "too old: {}", newest.release.major);
    let mut tried = [false; 2];
    for from in all.iter().filter(|cluster| cluster.release.major <= ADMINPACK) {
        let (major, server) = (from.release.major, &from.server);
        let database = format!("old_{major}");
        server.psql("postgres", &format!("create database {database}; create role barman"))?;
        server.psql(&database, "create table t as select 7 as a; grant select on t to barman")?;
        let mut left_out = Vec::new();
        if server.psql(&database, "create extension adminpack").is_ok() {
            left_out.push("extension adminpack");
            tried[0] = true;
        }
        if major <= EXCLUSIVE_BACKUP {
            let grant =
                "grant execute on function pg_start_backup(text, boolean, boolean) to barman;
                 revoke execute on function pg_is_in_backup() from public";
            server.psql(&database, grant)?;
            left_out.extend([
                "acl pg_catalog.FUNCTION pg_start_backup",
                "acl pg_catalog.FUNCTION pg_is_in_backup",
            ]);
            tried[1] = true;
        }
        let file = from.dump(&database)?;
        let preflight = newest.pg_snap(&database).arg("preflight").arg(&file).assert().success();
        let noted = contains("no longer has extension adminpack: the load leaves it out");
        let is_noted = noted.eval(&String::from_utf8_lossy(&preflight.get_output().stdout));
        ensure!(is_noted == left_out.contains(&"extension adminpack"), "{major}: {preflight}");
        let load = newest.pg_snap(&database).arg("load").arg(&file).assert().success();
        let log = String::from_utf8_lossy(&load.get_output().stderr).into_owned();
        for what in &left_out {
            ensure!(log.contains(&format!("warning: {what}")), "{what} of {major}: {log}");
        }
        newest.pg_snap(&database).arg("compare").arg(&file).assert().success();
        let kept = "select has_table_privilege('barman', 't', 'select')";
        ensure!(newest.server.psql(&database, kept)? == "t", "the other privileges of {major}");
        // Its own major has it all.
        let load = from.pg_snap("copy").arg("load").arg(&file).assert().success();
        load.stderr(contains("left out").not());
    }
    for (tried, what) in tried.into_iter().zip(["adminpack", "PostgreSQL 14"]) {
        if !tried {
            test_kit::skipped!("{what} is not here");
        }
    }
    Ok(())
}
