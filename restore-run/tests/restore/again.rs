//! Several tries one after the other: the first database stays within reach, and no run claims of a
//! half restored deployment that it is as it was.

use super::kit::*;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use test_kit::deployment::{APPS, Deployment, sh};

const ORIGINAL: &str = "select to_regclass('public.original') is not null";

/// A deployment whose database has since got a table that its bundle has not.
fn with_an_original() -> Result<(Deployment, std::path::PathBuf)> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.original ()")?;
    Ok((deployment, bundle))
}

/// A try that ends once the database is replaced.
fn fails_after_the_swap(deployment: &Deployment, bundle: &Path) -> Result<()> {
    stand_in(deployment, "obj-mirror", "[ \"$1\" = --delete ] && exit 1")?;
    deployment.restore(bundle, &[], &answers("n"))?.expect(1);
    put_back(deployment, "obj-mirror")
}

fn stopped(deployment: &Deployment) -> Result<()> {
    let states = deployment.ps()?;
    for app in APPS {
        ensure!(states.contains(&(app.to_owned(), "stopped".to_owned())), "{states:?}");
    }
    Ok(())
}

/// The command that a line of text ends with, run.
fn run_with_report(deployment: &Deployment, stderr: &str, before: &str) -> Result<()> {
    let report = stderr.lines().find_map(|line| line.split_once(before)).context("no command")?;
    sh(deployment.dir(), report.1).map(drop)
}

#[test]
fn a_try_that_fails_before_its_swap_does_not_start_the_application_on_what_another_left_half()
-> Result<()> {
    let (deployment, bundle) = with_an_original()?;
    fails_after_the_swap(&deployment, &bundle)?;
    stand_in(&deployment, "pg-snap", "[ \"$1\" = load ] && exit 1")?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(1);
    put_back(&deployment, "pg-snap")?;
    ensure!(!run.stderr.contains("the old database is as it was"), "{}", run.stderr);
    ensure!(run.stderr.contains("half restored; api worker are left stopped"), "{}", run.stderr);
    stopped(&deployment)?;

    // Nor does one that continues, and ends before it has stopped the services again.
    fails_after_the_swap(&deployment, &bundle)?;
    sh(deployment.dir(), "sed -i.old '2i [ \"$1\" = stop ] && exit 1' scripts/drivers/process")?;
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(1);
    sh(deployment.dir(), "mv scripts/drivers/process.old scripts/drivers/process")?;
    ensure!(run.stderr.contains("half restored; api worker may be stopped"), "{}", run.stderr);
    stopped(&deployment)?;

    deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}

#[test]
fn after_several_tries_it_is_the_very_first_database_that_is_swapped_back() -> Result<()> {
    let (deployment, bundle) = with_an_original()?;
    fails_after_the_swap(&deployment, &bundle)?;
    fails_after_the_swap(&deployment, &bundle)?;
    let run = deployment.run_script("restore.sh", &["--abandon"], "")?.expect(0);
    run_with_report(&deployment, &run.stderr, "to swap it back: ")?;
    assert_eq!(deployment.psql(ORIGINAL)?, "t");
    let kept = databases(&deployment)?;
    assert_eq!(kept.matches("piprio_previous").count(), 2, "{kept}");

    // Where none was put aside, another restore's is not offered in its place.
    stand_in(&deployment, "pg-snap", "[ \"$1\" = load ] && exit 1")?;
    deployment.restore(&bundle, &[], &answers("n"))?.expect(1);
    put_back(&deployment, "pg-snap")?;
    let run = deployment.run_script("restore.sh", &["--abandon"], "")?.expect(0);
    ensure!(!run.stderr.contains("previous swap"), "{}", run.stderr);
    ensure!(run.stderr.contains("is the one from before the restore"), "{}", run.stderr);
    Ok(())
}

#[test]
fn a_database_that_was_swapped_back_by_hand_is_no_restore_to_continue() -> Result<()> {
    let (deployment, bundle) = with_an_original()?;
    let ready = "READINESS_URLS=\"web=http://127.0.0.1:9/ready\"";
    sh(deployment.dir(), &format!("cp .env .env.good; echo '{ready}' >> .env"))?;
    let run = deployment.restore(&bundle, &["--wait", "1"], &answers("n"))?.expect(1);
    run_with_report(&deployment, &run.stderr, "to swap it back: ")?;
    sh(deployment.dir(), "mv .env.good .env")?;
    for arguments in [&["--resume"][..], &["--from", "health"][..]] {
        let run = deployment.restore(&bundle, arguments, &answers("n"))?.expect(5);
        ensure!(run.stderr.contains("was swapped back since"), "{}", run.stderr);
    }
    assert_eq!(deployment.psql(ORIGINAL)?, "t");
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    Ok(())
}

#[test]
fn a_database_swapped_back_in_the_middle_of_a_run_does_not_make_it_complete() -> Result<()> {
    let (deployment, bundle) = with_an_original()?;
    stand_in(
        &deployment,
        "health-probe",
        "oid=$(\"${0%/*}/pg-snap\" status --json | sed -n \"s/.*_previous\\\",\\\"oid\\\":\\([0-9]*\\).*/\\1/p\")
         \"${0%/*}/pg-snap\" previous swap --oid \"$oid\" >&2",
    )?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(1);
    put_back(&deployment, "health-probe")?;
    ensure!(run.stderr.contains("is not the one that this restore has loaded"), "{}", run.stderr);
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    assert_eq!(deployment.psql(ORIGINAL)?, "t");
    deployment.backup(&[])?.expect(5);
    Ok(())
}

#[test]
fn a_journal_that_came_along_from_another_server_is_not_gone_on_with() -> Result<()> {
    let (deployment, bundle) = with_an_original()?;
    fails_after_the_swap(&deployment, &bundle)?;
    // As on a host that the deployment was copied to: the same address, and another server.
    sh(
        deployment.dir(),
        "sed -i 's/\"server\":\"[0-9]*\"/\"server\":\"1\"/' .restore/unfinished.json",
    )?;
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(5);
    ensure!(run.stderr.contains("is not the one that the restore began with"), "{}", run.stderr);
    // What it put aside there is none of this one's: it goes by oids.
    deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    assert_eq!(databases(&deployment)?.matches("piprio_previous").count(), 1);
    Ok(())
}

/// The server carries out the swap of a restore that was killed, after the next one has asked it which
/// database is in place.
#[test]
fn a_database_that_a_killed_restore_swapped_late_is_dropped_too() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    stand_in(&deployment, "pg-snap", "[ \"$1\" = load ] && { \"$real\" \"$@\" || exit 1; }")?;
    deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}
