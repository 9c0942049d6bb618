//! `--skip-verify`: a damaged only copy, restored as far as it goes.

use super::kit::*;
use anyhow::{Context, Result};
use test_kit::deployment::{BUCKET, sh};

#[test]
fn damaged_objects_are_left_out_and_named_and_nothing_is_deleted_from_the_bucket() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let keys = deployment.s3().list(BUCKET, "")?;
    let (damaged, missing) = (&keys[4], &keys[7]);
    sh(&bundle, &format!("printf x >> 'minio/{damaged}'; rm 'minio/{missing}'"))?;
    let s3 = deployment.s3();
    let kept = s3.get((BUCKET, damaged.as_str()))?.body;
    s3.put((BUCKET, "added"), &[], b"added")?;
    s3.delete((BUCKET, &keys[9]))?;
    deployment.psql("drop schema tenant_0001 cascade")?;

    deployment.restore(&bundle, &[], &answers("n"))?.expect(4);
    let run = deployment.restore(&bundle, &["--skip-verify"], &answers("n"))?.expect(3);
    assert!(run.stderr.contains("are not checked; what"), "{}", run.stderr);
    for key in [damaged, missing] {
        assert!(run.stderr.contains(key.as_str()), "{key} is not named\n{}", run.stderr);
    }
    assert_eq!(s3.get((BUCKET, damaged.as_str()))?.body, kept, "a damaged object was sent");
    let now = s3.list(BUCKET, "")?;
    assert!(now.contains(&"added".to_owned()) && now.contains(&keys[9]), "{now:?}");
    assert_eq!(
        deployment.psql("select count(*) from pg_namespace where nspname = 'tenant_0001'")?,
        "1"
    );
    // What was left out may be in the old database alone: it stays until somebody drops it.
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    let report = run
        .stderr
        .lines()
        .find_map(|l| l.split_once("to drop it once it is no longer needed: "))
        .context("no command")?;
    sh(deployment.dir(), report.1)?;
    assert_eq!(databases(&deployment)?, "piprio postgres");
    deployment.backup(&[])?.expect(0);
    Ok(())
}

#[test]
fn a_damaged_dump_still_leaves_the_old_database() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    let newer = deployment.state()?;
    sh(&bundle, "gunzip -c database.sql.gz > d; head -c -200 d | gzip > database.sql.gz; rm d")?;
    let run = deployment.restore(&bundle, &["--skip-verify"], &answers("n"))?.expect(4);
    assert!(
        run.stderr.contains("the old database is as it was; api worker are running again"),
        "{}",
        run.stderr
    );
    assert_eq!(deployment.state()?, newer);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    deployment.health_check()?.expect(0);
    for damage in ["truncate -s 100 database.sql.gz", "rm database.sql.gz"] {
        sh(&bundle, damage)?;
        let run = deployment.restore(&bundle, &["--skip-verify"], &answers("n"))?.expect(4);
        assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    }
    Ok(())
}

#[test]
fn a_component_that_is_not_there_at_all_keeps_the_restore_from_being_complete() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    for loss in ["rm config.tar.gz", "rm -r minio", "mkdir minio"] {
        sh(&bundle, loss)?;
        let run = deployment.restore(&bundle, &["--skip-verify"], &answers("n"))?.expect(3);
        assert!(run.stderr.contains("complete except for what was left out"), "{}", run.stderr);
        assert!(databases(&deployment)?.contains("piprio_previous"), "{loss}");
    }
    Ok(())
}

#[test]
fn a_damaged_config_archive_is_left_out() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    sh(&bundle, "truncate -s -200 config.tar.gz")?;
    let run = deployment.restore(&bundle, &["--skip-verify"], &answers("y"))?.expect(3);
    assert!(run.stderr.contains("config files are not restored in full"), "{}", run.stderr);
    assert_eq!(deployment.state()?, before);
    Ok(())
}
