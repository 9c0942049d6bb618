//! The fault campaign in a bounded form: a few tries of each fault, of a fixed seed, so that it fails for a
//! change and not by chance. `PIPRIO_TEST_SEED=random`, or a number, gives another. In full, see
//! `scripts/fault-campaign.sh`.

use anyhow::{Context, Result, ensure};
use std::process::{Child, Command, Stdio};
use test_kit::deployment::{Deployment, Options};
use test_kit::process::wait_until;
use test_kit::tools::{bin_dir, own_program};

const SEED: &str = "20261129";

/// Runs the campaign on some kinds of faults. A report of a loss contains what repeats it.
fn nothing_is_lost(kinds: &[&str]) -> Result<()> {
    let mut campaign = Command::new(own_program("fault-campaign")?);
    campaign.arg("--bounded").arg("--bin-dir").arg(bin_dir()?).args(kinds);
    let seed = std::env::var("PIPRIO_TEST_SEED").unwrap_or_else(|_| SEED.into());
    if seed != "random" {
        campaign.arg("--seed").arg(seed);
    }
    let out = campaign.output().context("running the campaign")?;
    let table = String::from_utf8_lossy(&out.stdout);
    let log = String::from_utf8_lossy(&out.stderr);
    for why in table.lines().filter_map(|line| Some(line.split_once("skipped: ")?.1)) {
        test_kit::skipped!("{why}");
    }
    ensure!(out.status.success(), "{log}\n{table}");
    Ok(())
}

#[test]
fn every_change_of_a_bundle_is_found_and_refused() -> Result<()> {
    nothing_is_lost(&["corruption"])
}

#[test]
fn a_killed_backup_leaves_whole_bundles_only() -> Result<()> {
    nothing_is_lost(&["backup-killed"])
}

#[test]
fn a_killed_restore_leaves_the_old_database_or_the_new_and_can_be_completed() -> Result<()> {
    nothing_is_lost(&["restore-killed"])
}

#[test]
fn a_full_disk_costs_nothing_that_was_there_before() -> Result<()> {
    nothing_is_lost(&["disk-full"])
}

#[test]
fn an_object_storage_that_fails_is_noticed() -> Result<()> {
    nothing_is_lost(&["storage"])
}

#[test]
fn a_database_server_that_dies_costs_nothing_that_it_held() -> Result<()> {
    nothing_is_lost(&["server-killed"])
}

#[test]
fn a_stopped_stage_continues_or_ends_when_it_is_terminated() -> Result<()> {
    nothing_is_lost(&["stopped"])
}

/// A session that keeps a dump waiting for as long as it lives.
struct Waiting<'a> {
    deployment: &'a Deployment,
    psql: Child,
}

impl<'a> Waiting<'a> {
    fn new(deployment: &'a Deployment) -> Result<Self> {
        let mut psql = deployment.postgres_client("psql");
        psql.args([
            "-X",
            "-d",
            "piprio",
            "-c",
            "begin; lock table public.tenants; select pg_sleep(600)",
        ]);
        let psql = psql.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let waiting = Self { deployment, psql };
        wait_until("the lock", || {
            let ask = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted
                       and relation = 'public.tenants'::regclass";
            Ok(deployment.psql(ask)? == "1")
        })?;
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
                   where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()";
        let _ = self.deployment.psql_in("postgres", end);
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

#[test]
fn a_stage_does_not_outlive_the_backup_that_is_killed() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let _waiting = Waiting::new(&deployment)?;
    let dumps = || {
        let ask = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        deployment.psql(ask)
    };
    let mut backup = deployment.script("backup.sh", &[]);
    let mut backup =
        backup.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait_until("the dump", || Ok(dumps()? != "0"))?;
    backup.kill()?;
    backup.wait()?;
    wait_until("the dump's end", || Ok(dumps()? == "0"))
}
