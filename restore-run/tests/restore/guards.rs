//! What is refused, and reported, before anything is changed.

use super::kit::*;
use anyhow::{Context, Result};
use std::path::Path;
use test_kit::deployment::{APPS, DOMAIN, STATEFUL, sh};

#[test]
fn without_the_domain_nothing_is_changed() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    let before = deployment.state()?;
    let running = pids(&deployment, &[&APPS[..], &STATEFUL[..]].concat())?;
    for typed in ["", "\n", "y\n", "yes\ny\n", "Demo.piprio.test\n", "demo.piprio.tes\n"] {
        let run = deployment.restore(&bundle, &[], typed)?.expect(5);
        assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    }
    deployment.restore(&bundle, &["--confirm", "other.example"], "")?.expect(5);
    deployment.restore(&bundle, &["--confirm", ""], DOMAIN)?.expect(5);
    for step in ["stop", "database", "objects", "config", "cache"] {
        deployment.restore(&bundle, &["--only", step], "n\n")?.expect(5);
        deployment.restore(&bundle, &["--from", step], "n\n")?.expect(5);
    }
    assert_eq!(deployment.state()?, before);
    assert_eq!(pids(&deployment, &[&APPS[..], &STATEFUL[..]].concat())?, running);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_locked_root_of_bundles_is_refused_unless_it_is_left_alone() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let root = std::fs::File::open(bundle.with_file_name(".lock"))?;
    root.lock()?;
    let step = ["--only", "preflight", "--confirm", DOMAIN];
    let run = deployment.restore(&bundle, &step, "")?.expect(5);
    assert!(run.stderr.contains("another backup or restore is running"), "{}", run.stderr);
    deployment.restore(&bundle, &[&step[..], &["--no-root-lock"]].concat(), "")?.expect(0);
    Ok(())
}

#[test]
fn a_bundle_that_is_not_whole_is_refused_before_anything_is_stopped() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    let running = pids(&deployment, &APPS)?;
    let refuse = |damage: &str, named: &str| -> Result<()> {
        let copy = tempfile::tempdir()?;
        let damaged = copy.path().join(bundle.file_name().context("name")?);
        sh(
            copy.path(),
            &format!("cp -a '{}' . && cd '{}' && {damage}", bundle.display(), damaged.display()),
        )?;
        let run = deployment.restore(&damaged, &[], &answers("y"))?.expect(4);
        assert!(run.stderr.contains(named), "{damage}: {named} is not in\n{}", run.stderr);
        assert!(
            !run.stderr.contains("Type the deployment's domain"),
            "{damage}: asked all the same"
        );
        Ok(())
    };
    refuse("rm MANIFEST.txt", "MANIFEST.txt is missing")?;
    refuse("rm database.sql.gz", "database.sql.gz")?;
    refuse("truncate -s -20 database.sql.gz", "database.sql.gz")?;
    refuse("rm SHA256SUMS", "SHA256SUMS")?;
    refuse("echo x >> config.tar.gz", "config.tar.gz")?;
    refuse("rm \"$(find minio -type f -path '*tenant*' | head -1)\"", "tenant_")?;
    refuse("touch unlisted", "unlisted")?;
    // A bundle of the older script: no seal, no Toolkit line; its dump must still be whole.
    refuse(
        "rm SHA256SUMS && sed -i /^Toolkit/d MANIFEST.txt && truncate -s -20 database.sql.gz",
        "database.sql.gz",
    )?;

    let wrong = deployment.restore(Path::new("/no/such/bundle"), &[], &answers("y"))?.expect(2);
    assert!(wrong.stderr.contains("/no/such/bundle"), "{}", wrong.stderr);
    assert_eq!(deployment.state()?, before);
    assert_eq!(pids(&deployment, &APPS)?, running);
    Ok(())
}

#[test]
fn dry_run_prints_every_command_and_changes_nothing() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    let before = deployment.state()?;
    let running = pids(&deployment, &APPS)?;
    let run = deployment
        .restore(&bundle, &["--dry-run", "--config", "yes", "--force-config"], "")?
        .expect(0);
    for command in [
        "bundle-manifest verify",
        "drivers/process stop api worker",
        "pg-snap load --keep-previous",
        "obj-mirror --delete",
        "cfg-pack diff",
        "cfg-pack extract",
        "FLUSHDB",
        "drivers/process start",
        "health-probe",
    ] {
        assert!(run.stdout.contains(command), "{command} is not in\n{}", run.stdout);
    }
    assert_eq!(deployment.state()?, before);
    assert_eq!(pids(&deployment, &APPS)?, running);
    Ok(())
}

#[test]
fn preflight_refuses_with_every_reason_before_anything_is_stopped() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let running = pids(&deployment, &APPS)?;
    std::fs::write(deployment.dir().join("secrets/s3_secret_key"), "another")?;
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    let port = deployment.facts().redis_port.to_string();
    std::fs::write(&env, text.replace(&format!(":{port}/"), ":9/"))?;
    let run = deployment.restore(&bundle, &[], &answers("y"))?.expect(5);
    assert!(run.stderr.contains("preflight: the cache"), "{}", run.stderr);
    assert!(run.stderr.contains("preflight: the object storage"), "{}", run.stderr);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert_eq!(pids(&deployment, &APPS)?, running);
    Ok(())
}

#[test]
fn restore_without_a_bundle_lists_them() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let run = deployment.run_script("restore.sh", &[], "")?.expect(0);
    let name = bundle.file_name().context("name")?.to_string_lossy().into_owned();
    assert!(run.stdout.contains(&name) && run.stdout.contains("intact"), "{}", run.stdout);
    Ok(())
}
