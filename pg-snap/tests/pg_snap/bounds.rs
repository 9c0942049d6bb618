//! Nothing waits for ever: not for a missing standby, not for a lock, not for another session.

use crate::kit::*;
use crate::running::Running;
use anyhow::{Result, ensure};
use predicates::str::contains;
use std::process::Stdio;
use std::time::{Duration, Instant};
use test_kit::{Postgres, postgres};

/// A session that holds its state until it is dropped.
struct Standing(std::process::Child);

impl Standing {
    fn start(server: &Postgres, database: &str, sql: &str) -> Result<Self> {
        let mut psql = server.client("psql");
        psql.args(["-X", "-q", "-d", database, "-c", &format!("{sql}; select pg_sleep(300)")]);
        psql.env("PGAPPNAME", "standing").stdout(Stdio::null()).stderr(Stdio::null());
        let standing = Self(psql.spawn()?);
        let stands = "select count(*) from pg_stat_activity where application_name = 'standing' and query ~ 'pg_sleep' and wait_event = 'PgSleep'";
        wait_for(server, stands, "1")?;
        Ok(standing)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn within(limit: Duration, what: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    run()?;
    ensure!(start.elapsed() < limit, "{what} took {:?}", start.elapsed());
    Ok(())
}

#[test]
fn a_synchronous_standby_that_is_gone_holds_up_nothing() -> Result<()> {
    let s = Setup::new()?;
    // Made by psql alone, so it names a role that a load makes.
    s.server.psql("postgres", "create role going")?;
    s.server.psql(
        "piprio",
        "comment on database piprio is 'ours'; grant select on public.tenants to going",
    )?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("piprio", "revoke all on public.tenants from going; drop role going")?;
    s.server.psql("postgres", "alter system set synchronous_standby_names = 'gone'")?;
    s.server.psql("postgres", "select pg_reload_conf()")?;
    wait_for(&s.server, "show synchronous_standby_names", "gone")?;
    let named = s.pg_snap("piprio").arg("preflight").arg(&file).assert().success();
    named.stdout(contains("synchronous_standby_names"));
    for (number, arguments) in [
        &["load", "--keep-previous"][..],
        &["load", "--drop-first", "--jobs", "1"],
        &["load", "--schema", "tenant_0001"],
        &["previous", "swap"],
        &["previous", "drop"],
        &["dump"],
    ]
    .into_iter()
    .enumerate()
    {
        let mut arguments = arguments.to_vec();
        if arguments[0] == "load" {
            arguments.push(file.to_str().unwrap_or_default());
        }
        let mut running = Running::start(&s.server, &arguments, s.path(&format!("out{number}")))?;
        assert_eq!(running.code()?, Some(0), "{arguments:?}: {}", running.stderr());
    }
    Ok(())
}

#[test]
fn a_lock_on_the_list_of_databases_ends_a_load_and_a_swap_with_who_holds_it() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("postgres", "create database piprio_previous")?;
    let lock = "begin; lock table pg_catalog.pg_database in share mode";
    let _holder = Standing::start(&s.server, "postgres", lock)?;
    for arguments in [&["load", file.to_str().unwrap_or_default()][..], &["previous", "swap"]] {
        within(Duration::from_secs(100), "a locked list", || {
            let out = s.pg_snap("piprio").args(arguments).assert().code(1);
            out.stderr(contains(format!("locked by {} (pid ", postgres::USER)));
            Ok(())
        })?;
    }
    assert_eq!(s.databases()?, "piprio piprio_previous postgres");
    Ok(())
}

#[test]
fn a_session_that_may_not_be_ended_fails_a_swap_with_who_it_is() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql(
        "postgres",
        "create role app login createdb password 'x'; alter database piprio owner to app; create database piprio_previous owner app",
    )?;
    let _holder = Standing::start(&s.server, "piprio", "select 1")?;
    within(Duration::from_secs(100), "a held database", || {
        let mut swap = s.pg_snap("piprio");
        let swap = swap.env("PGUSER", "app").env("PGPASSWORD", "x").args(["previous", "swap"]);
        swap.assert().code(1).stderr(contains(format!("sessions of {} (pid ", postgres::USER)));
        Ok(())
    })?;
    assert_eq!(s.databases()?, "piprio piprio_previous postgres");
    Ok(())
}
