//! The safety backup of a restore, in a root that may be another than that of the bundle.

use super::kit::*;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use test_kit::deployment::{APPS, DOMAIN, Deployment, sh};

/// Makes the safety backup alone.
const ALONE: [&str; 5] = ["--only", "preflight", "--safety-backup", "--confirm", DOMAIN];

fn copied(bundle: &Path, to: &Path) -> Result<PathBuf> {
    sh(to, &format!("cp -a '{}' .", bundle.display()))?;
    Ok(to.join(bundle.file_name().context("name")?))
}

/// Records whether the root is locked while a bundle is made in it.
fn watch_the_root(deployment: &Deployment) -> Result<()> {
    let look = "[ \"$1\" = create ] && { flock -n \"$PIPRIO_DEPLOY/backups/.lock\" echo free || echo locked; } >> \"$PIPRIO_DEPLOY/seen\"";
    stand_in(deployment, "cfg-pack", look)
}

fn seen(deployment: &Deployment) -> Result<String> {
    sh(deployment.dir(), "cat seen && rm seen")
}

#[test]
fn the_root_of_a_safety_backup_is_locked_wherever_the_bundle_lies() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let elsewhere = tempfile::tempdir()?;
    let copy = copied(&bundle, elsewhere.path())?;
    let sealed = elsewhere.path().join("bundle.tar.age");
    let key = elsewhere.path().join("key");
    sh(
        deployment.dir(),
        &format!(
            "age-keygen -o '{0}' 2>/dev/null
             scripts/seal.sh '{1}' -r \"$(age-keygen -y '{0}')\" > '{2}'",
            key.display(),
            bundle.display(),
            sealed.display()
        ),
    )?;
    watch_the_root(&deployment)?;
    let key = ["-i", key.to_str().context("path")?];
    let no_lock = ["--no-root-lock"];
    let runs: [(&Path, &[&str]); 4] =
        [(&bundle, &[]), (&bundle, &no_lock), (&copy, &[]), (&sealed, &key)];
    for (number, (path, options)) in runs.into_iter().enumerate() {
        let run = deployment.restore(path, &[options, &ALONE].concat(), "")?.expect(0);
        assert_eq!(seen(&deployment)?, "locked\n", "{path:?} {options:?}\n{}", run.stderr);
        assert_eq!(deployment.bundles()?.len(), number + 2);
    }
    let newer = deployment.newest_bundle()?;
    deployment.restore(&copy, &["--safety-backup"], &answers("n"))?.expect(0);
    assert_eq!(seen(&deployment)?, "locked\n");
    assert_ne!(deployment.newest_bundle()?, newer);
    Ok(())
}

#[test]
fn a_safety_backup_into_a_root_that_another_run_uses_is_refused_and_nothing_restored() -> Result<()>
{
    let (deployment, bundle) = with_bundle()?;
    let elsewhere = tempfile::tempdir()?;
    let copy = copied(&bundle, elsewhere.path())?;
    let running = pids(&deployment, &APPS)?;
    let other = std::fs::File::open(bundle.with_file_name(".lock"))?;
    other.lock()?;
    // What another run is making there.
    let partial = bundle.with_file_name(".piprio_20200101T000000Z.partial");
    std::fs::create_dir(&partial)?;
    let run = deployment.restore(&copy, &["--safety-backup"], &answers("n"))?.expect(5);
    assert!(run.stderr.contains("another backup or restore is running"), "{}", run.stderr);
    assert!(run.stderr.contains("the safety backup failed"), "{}", run.stderr);
    assert!(partial.is_dir());
    assert_eq!(deployment.bundles()?.len(), 1);
    assert_eq!(pids(&deployment, &APPS)?, running);
    // Without it, that root is none of the restore's business.
    deployment.restore(&copy, &[], &answers("n"))?.expect(0);
    Ok(())
}
