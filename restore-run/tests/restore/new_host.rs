//! A host with nothing but the toolkit and a bundle; and a bundle that comes as one encrypted file.

use super::kit::*;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use test_kit::deployment::{BUCKET, DOMAIN, Deployment, Options, STATEFUL, sh};

/// Nothing runs, nothing is configured, and the servers are as they come.
fn emptied(deployment: &Deployment, bundle: &Path) -> Result<PathBuf> {
    let share = deployment.dir().join("share");
    sh(deployment.dir(), &format!("mkdir share && mv '{}' share/", bundle.display()))?;
    deployment.redis(&["FLUSHALL"])?;
    deployment.psql_in("postgres", "drop database piprio with (force)")?;
    sh(deployment.dir(), "scripts/drivers/process stop api worker redis minio postgres")?;
    sh(deployment.dir(), "rm -rf .env secrets certs backups .restore")?;
    Ok(share.join(bundle.file_name().context("name")?))
}

#[test]
fn from_nothing_but_a_bundle_to_a_green_health_check() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    let bundle = emptied(&deployment, &bundle)?;

    let run = deployment.restore(&bundle, &[], &answers("y"))?.expect(5);
    assert!(run.stderr.contains("--bootstrap"), "{}", run.stderr);
    for typed in ["", "other.example\n"] {
        deployment.restore(&bundle, &["--bootstrap"], typed)?.expect(5);
    }
    assert!(!deployment.dir().join(".env").exists() && !deployment.dir().join("secrets").exists());
    let run = deployment.restore(&bundle, &["--bootstrap"], &format!("{DOMAIN}\n"))?.expect(0);
    let next = run.stderr.lines().last().context("no words")?;
    assert!(next.contains("restore.sh") && !next.contains("--bootstrap"), "{next}");
    let again = deployment.restore(&bundle, &["--bootstrap"], &format!("{DOMAIN}\n"))?.expect(5);
    assert!(again.stderr.contains("this deployment is not empty"), "{}", again.stderr);

    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    assert!(run.stderr.contains("starting the stateful services"), "{}", run.stderr);
    for service in STATEFUL {
        assert!(deployment.ps()?.contains(&(service.to_owned(), "running".to_owned())));
    }
    assert_eq!(deployment.state()?, before);
    deployment.health_check()?.expect(0);
    Ok(())
}

#[test]
fn the_summary_distinguishes_a_missing_bucket_from_a_storage_that_does_not_answer() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    // What the server held is gone with it, its bucket too.
    deployment.stop(&["minio"])?;
    let run = deployment.restore(&bundle, &[], "another.example\n")?.expect(5);
    let line = |stderr: &str| {
        stderr.lines().find(|line| line.starts_with("    Objects ")).unwrap_or_default().to_owned()
    };
    assert!(line(&run.stderr).contains("DOES NOT ANSWER: "), "{}", run.stderr);
    deployment.start(&["minio"])?;
    for key in deployment.s3().list(BUCKET, "")? {
        deployment.s3().delete((BUCKET, &key))?;
    }
    deployment.s3().delete_bucket(BUCKET)?;
    let run = deployment.restore(&bundle, &[], "another.example\n")?.expect(5);
    let objects = line(&run.stderr);
    assert!(objects.ends_with("does not exist, will be created"), "{}", run.stderr);
    assert!(objects.contains(&format!("bucket {BUCKET} at ")), "{}", run.stderr);
    deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    assert!(!deployment.s3().list(BUCKET, "")?.is_empty());
    Ok(())
}

#[test]
fn bootstrap_puts_nothing_over_what_is_there_and_names_hosts_that_mean_nothing_here() -> Result<()>
{
    let (deployment, bundle) = with_bundle()?;
    deployment.restore(&bundle, &["--bootstrap"], &format!("{DOMAIN}\n"))?.expect(5);
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    std::fs::write(
        &env,
        text.replace("POSTGRES_HOST=127.0.0.1", "POSTGRES_HOST=old-db.invalid\nPOSTGRES_VIA=tcp"),
    )?;
    // Only config matters here, so a bundle of the older script will do: its parts and no seal.
    sh(
        deployment.dir(),
        &format!(
            "bin/cfg-pack create --root . .env --optional secrets --optional certs > '{0}/config.tar.gz'
             rm '{0}/SHA256SUMS' && echo 'Domain: {DOMAIN}' > '{0}/MANIFEST.txt'",
            bundle.display()
        ),
    )?;
    sh(
        deployment.dir(),
        "mv .env .env.kept; rm -r secrets/* certs/*; echo another > secrets/signing_key",
    )?;
    let run = deployment.restore(&bundle, &["--bootstrap"], &format!("{DOMAIN}\n"))?.expect(5);
    assert!(run.stderr.contains("secrets exists"), "{}", run.stderr);
    sh(deployment.dir(), "rm secrets/signing_key")?;
    let run = deployment.restore(&bundle, &["--bootstrap", "--confirm", DOMAIN], "")?.expect(0);
    assert!(run.stderr.contains("POSTGRES_HOST: the host old-db.invalid"), "{}", run.stderr);
    Ok(())
}

#[test]
fn a_bootstrap_that_was_interrupted_continues_by_itself() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    sh(deployment.dir(), "rm -rf .env secrets certs")?;
    // Killed in the middle: the settings name secrets that are not there yet.
    let half = "[ \"$1\" = extract ] && { \"$real\" \"$@\" .env secrets/signing_key; kill -KILL $PPID; exit 0; }";
    stand_in(&deployment, "cfg-pack", half)?;
    deployment.restore(&bundle, &["--bootstrap"], &answers(""))?.expect(137);
    put_back(&deployment, "cfg-pack")?;
    assert!(deployment.dir().join(".env").exists() && !deployment.dir().join("certs").exists());
    sh(deployment.dir(), "cp -p .env kept && echo '# mine' >> .env")?;
    let run = deployment.restore(&bundle, &["--bootstrap"], &answers(""))?.expect(5);
    assert!(run.stderr.contains("move .env, secrets/ and certs/ away first"), "{}", run.stderr);
    assert!(!deployment.dir().join("certs").exists());

    sh(deployment.dir(), "mv kept .env")?;
    let run = deployment.restore(&bundle, &["--bootstrap"], &answers(""))?.expect(0);
    assert!(run.stderr.contains("0 replaced"), "{}", run.stderr);
    assert_eq!(deployment.state()?, before);

    // A file of somebody else's is no interrupted bootstrap, though nothing would be replaced.
    sh(deployment.dir(), "rm -rf .env secrets certs && mkdir certs && touch certs/another")?;
    deployment.restore(&bundle, &["--bootstrap"], &answers(""))?.expect(5);
    assert!(!deployment.dir().join(".env").exists());
    Ok(())
}

#[test]
fn a_new_host_is_set_up_from_a_sealed_file_by_the_commands_that_are_printed() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    let place = tempfile::tempdir()?;
    sh(
        place.path(),
        &format!(
            "age-keygen -o key 2>/dev/null
             bash '{0}/scripts/seal.sh' '{1}' -r \"$(age-keygen -y key)\" > 'a bundle.tar.age'
             rm -r '{1}' '{0}/.env' '{0}/secrets' '{0}/certs'",
            deployment.dir().display(),
            bundle.display(),
        ),
    )?;
    let (file, key) = (place.path().join("a bundle.tar.age"), place.path().join("key"));
    let key = key.to_str().context("path")?;
    let run = deployment.restore(&file, &["-i", key, "--bootstrap"], &answers(""))?.expect(0);
    assert!(run.stderr.contains("the decrypted bundle"), "{}", run.stderr);
    let report = run.stderr.lines().find_map(|l| l.split_once(", then: ")).context("no command")?;
    sh(deployment.dir(), &format!("printf '{DOMAIN}\\nn\\n' | {}", report.1))?;
    assert_eq!(deployment.state()?, before);
    assert!(!deployment.dir().join("backups/.unsealed").exists());
    Ok(())
}

#[test]
fn a_sealed_file_restores_and_is_not_left_in_the_clear() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    let place = tempfile::tempdir()?;
    let (key, file) = (place.path().join("key"), place.path().join("bundle.tar.age"));
    sh(
        deployment.dir(),
        &format!(
            "age-keygen -o '{0}' 2>/dev/null
             scripts/seal.sh '{1}' -r \"$(age-keygen -y '{0}')\" > '{2}' && rm -r '{1}'",
            key.display(),
            bundle.display(),
            file.display()
        ),
    )?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    let wrong = place.path().join("wrong");
    sh(place.path(), "age-keygen -o wrong 2>/dev/null")?;
    let key = key.to_str().context("path")?;
    let run = deployment.restore(&file, &["-i", wrong.to_str().context("path")?], &answers("n"))?;
    assert_ne!(run.status, 0);
    assert!(!run.stderr.contains("Type the deployment's domain"), "{}", run.stderr);
    let unsealed = deployment.dir().join("backups/.unsealed");
    let in_the_clear = || unsealed.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    assert!(!in_the_clear());

    // Not confirmed: what was opened stays for the next try, and is reported.
    let run = deployment.restore(&file, &["-i", key], "no\n")?.expect(5);
    assert!(run.stderr.contains("the decrypted bundle"), "{}", run.stderr);
    deployment.restore(&file, &["-i", key, "--config", "no"], &answers(""))?.expect(0);
    assert!(!unsealed.exists());
    assert_eq!(deployment.state()?, before);

    // Interrupted after the swap, the same file continues.
    stand_in(&deployment, "obj-mirror", "[ \"$1\" = --delete ] && exit 1")?;
    deployment.restore(&file, &["-i", key], &answers("n"))?.expect(1);
    put_back(&deployment, "obj-mirror")?;
    assert!(in_the_clear());
    deployment.restore(&file, &["-i", key, "--resume"], &answers("n"))?.expect(0);
    assert!(!unsealed.exists());
    Ok(())
}

#[test]
fn a_secrets_access_control_list_survives_backup_seal_and_bootstrap() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let dir = deployment.dir();
    // Its owning group may do nothing, though its mode shows the mask.
    let list =
        "chmod 600 secrets/signing_key && setfacl -m u:4242:rw,g::---,m::rw secrets/signing_key";
    if sh(dir, list).is_err() {
        test_kit::skipped!("no setfacl here, or a filesystem without access control lists");
        return Ok(());
    }
    let shown = || sh(dir, "getfacl -cnpE secrets/signing_key");
    let before = shown()?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    let place = tempfile::tempdir()?;
    let (key, file) = (place.path().join("key"), place.path().join("bundle.tar.age"));
    sh(
        dir,
        &format!(
            "age-keygen -o '{0}' 2>/dev/null
             scripts/seal.sh '{1}' -r \"$(age-keygen -y '{0}')\" > '{2}'
             rm -r '{1}' .env secrets certs
             setfacl -m d:u:4343:rwx,d:o::r .",
            key.display(),
            bundle.display(),
            file.display()
        ),
    )?;
    let key = key.to_str().context("path")?;
    let run = deployment.restore(&file, &["-i", key, "--bootstrap"], &answers(""))?.expect(0);
    assert_eq!(shown()?, before);
    assert!(!sh(dir, "getfacl -Rcnp .env secrets certs")?.contains("4343"));
    assert!(run.stderr.contains("instead of the default ACL"), "{}", run.stderr);
    Ok(())
}
