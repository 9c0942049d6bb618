//! A backup that is killed or loses a server on the way: no bundle, no process and no lock is left.

use crate::kit::{Failing, Held, finish, record, start, waiting_for_lock};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use test_kit::deployment::sh;
use test_kit::process::wait_until;
use test_kit::s3::faults::{Act, Fault};

#[test]
fn a_signal_in_the_middle_leaves_no_bundle_and_no_process() -> Result<()> {
    let f = Failing::new()?;
    for (signal, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let held = Held::new(&f.deployment)?;
        let child = start(&f.deployment)?;
        wait_until("the dump", || waiting_for_lock(&f.deployment))?;
        let pid = child.id().to_string();
        ensure!(Command::new("kill").args([&format!("-{signal}"), &pid]).status()?.success());
        f.check(finish(child)?, status, "no bundle was made")?;
        let record = record(&f.deployment)?;
        assert!(record["status"] == status && record["bundle"].is_null(), "{record}");
        drop(held);
        wait_until("pg_dump to be gone", || {
            Ok(f.deployment
                .psql("select count(*) from pg_stat_activity where application_name = 'pg_dump'")?
                == "0")
        })?;
    }
    f.deployment.backup(&[])?.expect(0);
    Ok(())
}

#[test]
fn a_second_run_at_the_same_time_is_refused() -> Result<()> {
    let f = Failing::new()?;
    let held = Held::new(&f.deployment)?;
    let child = start(&f.deployment)?;
    wait_until("the dump", || waiting_for_lock(&f.deployment))?;
    let second = f.deployment.backup(&[])?.expect(5);
    assert!(second.stderr.contains("another backup or restore is running"), "{}", second.stderr);
    let restore = f.deployment.restore(&f.bundle, &[], "demo.piprio.test\ny\n")?.expect(5);
    assert!(restore.stderr.contains("another backup or restore is running"), "{}", restore.stderr);
    assert!(record(&f.deployment)?["status"].is_null(), "a refused run has recorded itself");
    drop(held);
    finish(child)?.expect(0);
    assert_eq!(record(&f.deployment)?["status"], 0);
    assert_eq!(f.deployment.bundles()?.len(), 2);
    Ok(())
}

#[test]
fn a_killed_run_holds_no_lock_and_its_partial_is_removed_by_the_next() -> Result<()> {
    let f = Failing::new()?;
    let held = Held::new(&f.deployment)?;
    let mut child = start(&f.deployment)?;
    wait_until("the dump", || waiting_for_lock(&f.deployment))?;
    child.kill()?;
    child.wait()?;
    let root = f.bundle.parent().context("a root")?;
    assert!(sh(root, "ls -A")?.contains(".partial"));
    let record = record(&f.deployment)?;
    assert!(record["started"].is_string() && record["stages"][0]["stage"] == "database");
    assert!(record["ended"].is_null() && record["status"].is_null(), "{record}");
    // Its stage still waits for the lock, and must not keep the next run from starting.
    drop(held);
    f.deployment.backup(&[])?.expect(0);
    assert!(!sh(root, "ls -A")?.contains(".partial"));

    // The same through a link to the root, with a CDPATH that would lead `cd` elsewhere.
    let links = tempfile::tempdir()?;
    std::os::unix::fs::symlink(root, links.path().join("root"))?;
    std::fs::create_dir(root.join(".piprio_20260101T000000Z.partial"))?;
    let mut command = f.deployment.script("backup.sh", &["root"]);
    let out = command
        .current_dir(links.path())
        .env("CDPATH", format!(".:{}", root.display()))
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!sh(root, "ls -A")?.contains(".partial"));
    Ok(())
}

#[test]
fn a_database_server_that_dies_in_the_middle_of_the_dump_leaves_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    let _held = Held::new(&f.deployment)?;
    let child = start(&f.deployment)?;
    wait_until("the dump", || waiting_for_lock(&f.deployment))?;
    sh(Path::new("/"), &format!("kill -9 -- -{}", f.deployment.pid("postgres")?))?;
    f.check(finish(child)?, 1, "server closed the connection unexpectedly")
}

#[test]
fn a_storage_server_that_dies_in_the_middle_of_the_mirror_leaves_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    f.deployment.s3_fault(&Fault {
        operation: "GetObject".into(),
        skip: 9,
        times: 1,
        act: Act::Die,
    })?;
    let run = f.deployment.backup(&[])?;
    let status = run.status;
    assert!([1, 3].contains(&status), "{status}");
    f.check(run, status, "[2/8] objects: obj-mirror ended with status")
}
