//! What a bundle is, wherever it is written and whatever wrote its parts.

use crate::kit::{deployment, mode};
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use test_kit::deployment::{BUCKET, Deployment, Options, sh};

#[test]
fn a_bundle_has_the_documented_tree_and_needs_no_tool_of_ours() -> Result<()> {
    let deployment = deployment()?;
    let run = deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    assert!(run.stdout.contains(&bundle.display().to_string()), "{}", run.stdout);
    let tree = sh(&bundle, "ls -A | sort")?;
    assert_eq!(tree, "MANIFEST.txt\nSHA256SUMS\nconfig.tar.gz\ndatabase.sql.gz\nminio\n");
    assert_eq!(mode(&bundle)?, 0o700);
    assert_eq!(sh(&bundle, "find . -type d ! -perm 700; find . -type f ! -perm 600")?, "");
    sh(
        &bundle,
        "sha256sum -c --quiet SHA256SUMS && cd minio && sha256sum -c --quiet .obj-mirror/SHA256SUMS",
    )?;

    let config = tempfile::tempdir()?;
    sh(&bundle, &format!("tar xzf config.tar.gz -C {}", config.path().display()))?;
    for file in [".env", "secrets/postgres_password", "certs/tls.key", "certs/live/x.pem"] {
        let original = std::fs::read(deployment.dir().join(file))?;
        assert!(std::fs::read(config.path().join(file))? == original, "{file}");
    }

    deployment.psql_in("postgres", "create database plain template template0")?;
    let mut psql = deployment.postgres_client("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "plain"]);
    let mut gunzip = Command::new("gunzip")
        .arg("-c")
        .arg(bundle.join("database.sql.gz"))
        .stdout(Stdio::piped())
        .spawn()?;
    psql.stdin(gunzip.stdout.take().context("no pipe")?).stdout(Stdio::null());
    ensure!(psql.status()?.success() && gunzip.wait()?.success());
    let count = "select count(*) from tenant_0002.documents";
    assert_eq!(deployment.psql_in("plain", count)?, deployment.psql(count)?);

    let manifest = std::fs::read_to_string(bundle.join("MANIFEST.txt"))?;
    let size = std::fs::metadata(bundle.join("database.sql.gz"))?.len().to_string();
    for words in [
        "Domain:    demo.piprio.test",
        "Version:   ",
        "Postgres:  ",
        "Toolkit:   ",
        &size,
        "36 objects",
    ] {
        assert!(manifest.contains(words), "{words} is not in\n{manifest}");
    }
    Ok(())
}

#[test]
fn it_runs_from_crons_bare_environment_and_writes_to_the_given_root() -> Result<()> {
    let deployment = deployment()?;
    let elsewhere = tempfile::tempdir()?;
    let root = elsewhere.path().join("other/root");
    let out = Command::new("/bin/bash")
        .arg(deployment.dir().join("scripts/backup.sh"))
        .arg(&root)
        .env_clear()
        .envs([("HOME", "/root"), ("PATH", "/usr/bin:/bin")])
        .current_dir("/usr")
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(sh(&root, "ls | wc -l")?.trim(), "1");
    assert_eq!(mode(&root)?, 0o700);
    assert!(deployment.bundles()?.is_empty());
    // A relative root is relative to where the operator stands.
    let out = Command::new("bash")
        .arg(deployment.dir().join("scripts/backup.sh"))
        .arg("here")
        .current_dir(elsewhere.path())
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(sh(elsewhere.path(), "ls here | wc -l")?.trim(), "1");
    Ok(())
}

#[test]
fn external_storage_is_skipped_and_reported() -> Result<()> {
    let deployment =
        Deployment::temporary(&Options { external_storage: true, ..Options::default() })?;
    let run = deployment.backup(&[])?.expect(0);
    assert!(
        run.stderr.contains("objects: skipped, the object storage is external"),
        "{}",
        run.stderr
    );
    let bundle = deployment.newest_bundle()?;
    assert!(!bundle.join("minio").exists());
    let manifest = std::fs::read_to_string(bundle.join("MANIFEST.txt"))?;
    assert!(manifest.contains("absent (external object storage)"), "{manifest}");

    deployment.s3().put((BUCKET, "later"), &[], b"not the toolkit's to touch")?;
    let objects = deployment.s3().list(BUCKET, "")?;
    deployment.restore(&bundle, &[], "demo.piprio.test\nn\n")?.expect(0);
    assert_eq!(deployment.s3().list(BUCKET, "")?, objects);
    Ok(())
}

#[test]
fn a_stage_replaced_by_a_shell_script_still_gives_a_working_bundle() -> Result<()> {
    let deployment = deployment()?;
    let stage = deployment.dir().join("bin/cfg-pack");
    let ours = deployment.dir().join("bin/.cfg-pack");
    std::fs::rename(&stage, &ours)?;
    // The same contract in four lines: create from tar, the rest by the tool it stands for.
    std::fs::write(
        &stage,
        format!(
            "#!/bin/sh\n[ \"$1\" = create ] || exec '{}' \"$@\"\necho 'cfg-pack in shell' >&2\nexec tar czf - -C \"$3\" .env secrets certs\n",
            ours.display()
        ),
    )?;
    std::fs::set_permissions(&stage, std::fs::Permissions::from_mode(0o755))?;
    let run = deployment.backup(&[])?.expect(0);
    assert!(run.stderr.contains("cfg-pack in shell"), "{}", run.stderr);
    let bundle = deployment.newest_bundle()?;
    let before = deployment.state()?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    std::fs::write(deployment.dir().join("secrets/signing_key"), "lost")?;
    deployment.restore(&bundle, &[], "demo.piprio.test\ny\n")?.expect(0);
    assert_eq!(deployment.state()?, before);
    Ok(())
}

#[test]
fn linked_bundles_share_what_is_unchanged_and_each_stands_alone() -> Result<()> {
    let deployment = deployment()?;
    deployment.backup(&[])?.expect(0);
    let first = deployment.newest_bundle()?;
    let env = deployment.dir().join(".env");
    let settings = std::fs::read_to_string(&env)?;
    deployment.backup(&[])?.expect(0);
    let alone = deployment.newest_bundle()?;
    std::fs::write(&env, format!("{settings}\nBACKUP_LINK=yes\n"))?;
    deployment.s3().put((BUCKET, "added"), &[], b"since")?;
    deployment.backup(&[])?.expect(0);
    let linked = deployment.newest_bundle()?;
    let inodes = |bundle: &Path| sh(bundle, "find minio -type f -links +1 | wc -l");
    assert_eq!(inodes(&first)?.trim(), "0", "by default every bundle has its own bytes");
    let objects: usize = sh(&alone, "wc -l < minio/.obj-mirror/index.jsonl")?.trim().parse()?;
    assert_eq!(inodes(&linked)?.trim(), objects.to_string());
    std::fs::remove_dir_all(&alone)?;
    let mut verify = Command::new(deployment.dir().join("bin/bundle-manifest"));
    verify.arg("verify").arg(&linked).env("PATH", test_kit::tool_path());
    ensure!(verify.status()?.success());
    // One that is damaged is not linked from.
    std::fs::write(linked.join("minio/added"), "other")?;
    std::fs::write(linked.join("minio/.obj-mirror/index.jsonl"), "")?;
    deployment.backup(&[])?.expect(0);
    let newest = deployment.newest_bundle()?;
    assert_eq!(std::fs::read(newest.join("minio/added"))?, b"since");
    Ok(())
}

/// Bundles that share their objects' files, one of which has become damaged without a change of size or time.
#[test]
fn what_a_check_has_found_damaged_is_in_no_later_bundle() -> Result<()> {
    let deployment = deployment()?;
    let env = deployment.dir().join(".env");
    let settings = std::fs::read_to_string(&env)?;
    std::fs::write(&env, format!("{settings}\nBACKUP_LINK=yes\n"))?;
    deployment.s3().put((BUCKET, "shared"), &[], b"as it was stored")?;
    for _ in 0..2 {
        deployment.backup(&[])?.expect(0);
    }
    let source = deployment.newest_bundle()?;
    let damaged = source.join("minio/shared");
    let times = std::fs::metadata(&damaged)?.modified()?;
    std::fs::write(&damaged, b"as it was_stored")?;
    std::fs::File::options().write(true).open(&damaged)?.set_modified(times)?;
    let verify = |bundle: &Path| {
        let mut verify = Command::new(deployment.dir().join("bin/bundle-manifest"));
        verify.arg("verify").arg(bundle).env("PATH", test_kit::tool_path());
        verify.status().map(|status| status.code())
    };
    let newest = || -> Result<_> {
        let run = deployment.backup(&[])?.expect(0);
        Ok((deployment.newest_bundle()?, run.stderr))
    };

    // Found in the bundle that is the newest: the one before it shares the file.
    assert_eq!(verify(&source)?, Some(4));
    let name = source.file_name().context("name")?.to_string_lossy().into_owned();
    let mark = source.with_file_name(format!(".{name}.damaged"));
    let (alone, stderr) = newest()?;
    assert!(stderr.contains(&name) && stderr.contains("links to none"), "{stderr}");
    assert_eq!(std::fs::read(alone.join("minio/shared"))?, b"as it was stored");
    assert_eq!(verify(&alone)?, Some(0));

    // Found when that bundle was no longer the newest.
    std::fs::File::open(&mark)?.set_modified(std::time::SystemTime::now())?;
    let (later, stderr) = newest()?;
    assert!(stderr.contains(&name) && stderr.contains("links to none"), "{stderr}");
    assert_eq!(sh(&later, "find minio -type f -links +1 | wc -l")?.trim(), "0");

    // What was made since then is linked from, and a check that finds the same again changes nothing.
    std::fs::File::open(&mark)?.set_modified(times)?;
    assert_eq!(verify(&source)?, Some(4));
    let (linked, stderr) = newest()?;
    assert!(!stderr.contains("links to none"), "{stderr}");
    assert_ne!(sh(&linked, "find minio -type f -links +1 | wc -l")?.trim(), "0");
    assert_eq!(verify(&linked)?, Some(0));
    Ok(())
}
