//! Anything less than whole fails, and leaves the bundle before it as it was.

use crate::kit::{Failing, finish};
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use test_kit::deployment::sh;
use test_kit::s3::faults::{Act, Fault};

#[test]
fn a_wrong_password_or_key_or_name_is_one_clear_line_and_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    let env = f.deployment.dir().join(".env");
    let good = std::fs::read(&env)?;
    let secrets = f.deployment.dir().join("secrets");

    let password = std::fs::read(secrets.join("postgres_password"))?;
    std::fs::write(secrets.join("postgres_password"), "wrong")?;
    f.check(f.deployment.backup(&[])?, 1, "password authentication failed for user \"piprio\"")?;
    std::fs::write(secrets.join("postgres_password"), password)?;

    f.set("POSTGRES_DB", "missing")?;
    f.check(f.deployment.backup(&[])?, 1, "no database missing")?;
    std::fs::write(&env, &good)?;

    f.set("S3_BUCKET", "missing")?;
    f.check(f.deployment.backup(&[])?, 1, "bucket missing does not exist")?;
    std::fs::write(&env, &good)?;

    let key = std::fs::read(secrets.join("s3_secret_key"))?;
    std::fs::write(secrets.join("s3_secret_key"), "wrong")?;
    f.check(f.deployment.backup(&[])?, 1, "403")?;
    std::fs::write(secrets.join("s3_secret_key"), key)?;

    std::fs::rename(&env, f.deployment.dir().join("env.away"))?;
    f.check(f.deployment.backup(&[])?, 5, ".env")?;
    std::fs::rename(f.deployment.dir().join("env.away"), &env)?;

    std::os::unix::fs::symlink("/nowhere/at/all", secrets.join("connector"))?;
    f.check(f.deployment.backup(&[])?, 1, "secrets/connector")?;
    std::fs::remove_file(secrets.join("connector"))?;

    f.check(f.deployment.backup(&["--wrong"])?, 2, "--wrong")?;
    f.check(f.deployment.backup(&["a", "b"])?, 2, "unexpected argument 'b'")?;
    f.deployment.backup(&[])?.expect(0);
    Ok(())
}

#[test]
fn an_unreadable_secret_fails_the_backup() -> Result<()> {
    let f = Failing::new()?;
    let secret = f.deployment.dir().join("secrets/signing_key");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o0))?;
    let mut command = f.deployment.script("backup.sh", &[]);
    if rustix::process::geteuid().is_root() {
        // Root reads every file: the run is another user's, in a deployment of that user's own.
        sh(
            f.deployment.dir(),
            "chown -R --no-dereference 65534:65534 . && chown 0 secrets/signing_key",
        )?;
        let inner = command;
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command.arg(inner.get_program()).args(inner.get_args()).current_dir("/");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/");
    }
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    f.check(finish(child)?, 1, "secrets/signing_key")
}

#[test]
fn a_server_that_is_down_is_one_clear_line_and_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    f.deployment.stop(&["postgres"])?;
    f.check(f.deployment.backup(&[])?, 1, "Connection refused")?;
    f.deployment.start(&["postgres"])?;
    f.deployment.stop(&["minio"])?;
    f.check(f.deployment.backup(&[])?, 1, "obj-mirror")
}

#[test]
fn objects_that_cannot_be_had_fail_the_backup_with_their_names() -> Result<()> {
    let f = Failing::new()?;
    f.deployment.s3_fault(&Fault { skip: 9, ..Fault::always("GetObject", Act::Broken) })?;
    f.check(f.deployment.backup(&[])?, 3, "/documents/")
}

#[test]
fn a_full_disk_leaves_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    let small = tempfile::tempdir()?;
    let root = small.path().join("root");
    std::fs::create_dir(&root)?;
    for kilobytes in [40, 300, 520] {
        let size = format!("size={kilobytes}k,mode=700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&root)
            .output()?;
        if !mount.status.success() {
            test_kit::skipped!(
                "no tmpfs can be mounted here: {}",
                String::from_utf8_lossy(&mount.stderr).trim()
            );
            return Ok(());
        }
        let run = f.deployment.backup(&[&root.display().to_string()]);
        let left = sh(&root, "ls -A | grep -v '^.lock$' || true");
        let free = sh(&root, "df --output=pcent . | tail -1");
        ensure!(Command::new("umount").arg(&root).status()?.success());
        let run = run?;
        assert!([1, 3].contains(&run.status), "{} kB: {}\n{}", kilobytes, run.status, run.stderr);
        assert!(run.stderr.contains("No space left"), "{kilobytes} kB: {}", run.stderr);
        assert_eq!(left?, "", "{kilobytes} kB");
        assert!(
            free?.trim().trim_end_matches('%').parse::<u32>()? <= 10,
            "room was not given back"
        );
        f.is_as_before()?;
    }
    Ok(())
}

#[test]
fn a_failure_after_the_bundle_is_whole_does_not_deny_it() -> Result<()> {
    let f = Failing::new()?;
    let mut command = f.deployment.script("backup.sh", &[]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full")?);
    let out = command.output()?;
    assert_eq!(out.status.code(), Some(1));
    let words = String::from_utf8_lossy(&out.stderr);
    assert!(words.contains(" is complete; ") && !words.contains("no bundle was made"), "{words}");
    assert_eq!(f.deployment.bundles()?.len(), 2);
    Ok(())
}

#[test]
fn old_bundles_are_pruned_after_success_only() -> Result<()> {
    let f = Failing::new()?;
    let root = f.bundle.parent().context("a root")?;
    let old = root.join("piprio_20200101T000000Z");
    sh(root, &format!("cp -a {} {}", f.bundle.display(), old.display()))?;
    f.set("POSTGRES_DB", "missing")?;
    f.deployment.backup(&[])?.expect(1);
    assert!(old.exists(), "a failed run pruned");
    f.set("POSTGRES_DB", "piprio")?;
    f.deployment.backup(&[])?.expect(0);
    assert!(!old.exists());
    assert!(f.bundle.exists());
    Ok(())
}
