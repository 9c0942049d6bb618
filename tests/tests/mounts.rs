//! A bundle root on a filesystem of its own, that is mounted on one night and not on the next.
#![allow(clippy::print_stdout, reason = "a skipped test reports why")]

use anyhow::{Context, Result};
use std::process::{Command, Stdio};
use test_kit::deployment::{Deployment, Options};
use test_kit::skipped;

/// Whether this user may mount something in a namespace of its own.
fn can_mount() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_root_that_is_not_mounted_is_refused_and_the_disk_below_stays_empty() -> Result<()> {
    if !can_mount() {
        skipped!("nothing can be mounted in a namespace of its own");
        return Ok(());
    }
    let options = Options { external_storage: true, ..Options::default() };
    let deployment = Deployment::temporary(&options)?;
    let disk = tempfile::tempdir()?;
    let backup = deployment.script("backup.sh", &[]);
    let mut command = Command::new("unshare");
    let script = r#"
        disk=$1; shift
        run() { local status=0; bash "$@" "$disk/backups" >&2 || status=$?; echo "$status"; }
        mount -t tmpfs none "$disk"
        run "$@"
        umount "$disk"
        run "$@" --dry-run
        run "$@"
        find "$disk" -mindepth 1
        mount -t tmpfs none "$disk"
        run "$@"
        umount "$disk"
        run "$@" --accept-root
        run "$@"
        find "$disk/backups" -mindepth 1 -maxdepth 1 -name 'piprio_*' | wc -l
    "#;
    command.args(["--mount", "bash", "-euc", script, "mounts"]).arg(disk.path());
    command
        .args(backup.get_args())
        .env_clear()
        .envs(backup.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let out = command.current_dir("/").output().context("unshare")?;
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "0\n5\n5\n0\n0\n0\n2\n", "{stderr}");
    assert!(stderr.contains("and nothing is mounted there now"), "{stderr}");
    Ok(())
}
