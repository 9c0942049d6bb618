//! What the settings hold a deployment to, and what is a failure by itself.

use super::health;
use anyhow::{Context, Result};
use predicates::prelude::*;
use predicates::str::contains;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_kit::deployment::{Deployment, Options};

fn set(deployment: &Deployment, line: &str) -> Result<()> {
    let path = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&path)?;
    Ok(std::fs::write(path, format!("{text}\n{line}\n"))?)
}

/// A mounted tmpfs; dropped, it is gone.
struct Disk(PathBuf);

impl Disk {
    /// Or why none can be mounted here.
    fn mount(dir: &Path, options: &str) -> Result<Result<Self, String>> {
        let mut mount = Command::new("mount");
        let out = mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(dir).output()?;
        Ok(match out.status.success() {
            true => Ok(Self(dir.to_owned())),
            false => Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
        })
    }

    fn remount(&self, options: &str) -> Result<()> {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status()?;
        status.success().then_some(()).context("mounting again")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_a_read_only_one_and_one_without_inodes_fail_and_a_filling_one_is_warned_of()
-> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let root = tempfile::tempdir()?;
    let disk = match Disk::mount(root.path(), "size=64m,nr_inodes=100")? {
        Ok(disk) => disk,
        Err(why) => {
            test_kit::skipped!("no filesystem can be mounted here: {why}");
            return Ok(());
        }
    };
    set(&deployment, &format!("BACKUP_ROOT={}\nHEALTH_MIN_FREE_MIB=32", root.path().display()))?;
    let check = |strict: bool| {
        let arguments = ["--only=disk", "--strict"];
        health(&deployment, &arguments[..if strict { 2 } else { 1 }])
    };
    check(true)
        .success()
        .stdout(contains("pass  disk       backups     64.0 MiB free of 64.0 MiB"));

    let filler = root.path().join("filler");
    std::fs::write(&filler, vec![1; 40 << 20])?;
    for (strict, status) in [(false, 0), (true, 1)] {
        check(strict).code(status).stdout(
            contains("warn  disk       backups     24.0 MiB free of 64.0 MiB on ")
                .and(contains(", less than 32.0 MiB\n")),
        );
    }

    std::fs::write(&filler, vec![1; 64 << 20])?;
    let full = contains("fail  disk       backups     0 B free of 64.0 MiB on ");
    check(false).code(1).stdout(full.and(contains(": it is full\n")));

    std::fs::remove_file(&filler)?;
    check(true).success();
    let mut n = 0;
    while std::fs::write(root.path().join(n.to_string()), "").is_ok() {
        n += 1;
    }
    check(false).code(1).stdout(contains(", and no inode\n"));
    std::fs::remove_file(root.path().join("0"))?;
    check(true).success();

    disk.remount("ro")?;
    check(false).code(1).stdout(contains(", and it is mounted read-only\n"));
    Ok(())
}

#[test]
fn the_newest_bundle_missing_old_or_damaged_is_a_warning_and_fails_the_strict() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let check = |report: &str| {
        let only = "--only=bundle";
        health(&deployment, &[only]).success().stdout(contains(report).and(contains("1 warned")));
        health(&deployment, &[only, "--strict"]).code(1).stdout(contains(report));
    };
    check("warn  bundle     newest  none in ");
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    health(&deployment, &["--only=bundle", "--strict"]).success();

    let old = bundle.with_file_name("piprio_20260421T020000Z");
    std::fs::rename(&bundle, &old)?;
    check(" (more than 26 h), ");
    set(&deployment, "HEALTH_MAX_BUNDLE_AGE_HOURS=0")?;
    health(&deployment, &["--only=bundle", "--strict"]).success();

    // Older ones that are whole make up for nothing.
    deployment.backup(&[])?.expect(0);
    let newest = deployment.newest_bundle()?;
    std::fs::remove_file(newest.join("config.tar.gz"))?;
    check(", damaged: config.tar.gz is missing");
    Ok(())
}

#[test]
fn a_restore_is_complete_whatever_the_limits_are() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    let old = bundle.with_file_name("piprio_20260421T020000Z");
    std::fs::rename(&bundle, &old)?;
    // No disk is that large, and no answer that fast.
    set(&deployment, "HEALTH_MIN_FREE_MIB=4294967295\nHEALTH_MAX_LATENCY_MS=1")?;
    let answers = format!("{}\nn\n", test_kit::deployment::DOMAIN);
    let run = deployment.restore(&old, &[], &answers)?.expect(0);
    for line in ["warn  disk       deployment  ", "warn  bundle     newest      ", ", 0 failed\n"] {
        assert!(run.stdout.contains(line), "{line}\n{}", run.stdout);
    }
    assert!(run.stderr.contains("the old database is dropped"), "{}", run.stderr);
    Ok(())
}
