//! Hooks of backup and restore.

use crate::{ANSWERS, deployment, record};
use anyhow::Result;
use bundle_format::report::RunKind::Backup;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use test_kit::deployment::Deployment;

/// What each hook writes to `hooks.log`.
pub const LINE: &str = r#"echo "$PIPRIO_HOOK $PIPRIO_RUN ${PIPRIO_STATUS-} ${PIPRIO_BUNDLE+with a bundle}" >> hooks.log"#;

pub fn write_hook(deployment: &Deployment, name: &str, script: &str) -> Result<()> {
    let path = deployment.dir().join("hooks").join(name);
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?)
}

/// What they have written since the last call.
pub fn log(deployment: &Deployment) -> Vec<String> {
    let file = deployment.dir().join("hooks.log");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let _ = std::fs::remove_file(file);
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn hooks_run_around_a_backup_and_a_restore_and_one_of_before_can_refuse_them() -> Result<()> {
    let deployment = deployment("")?;
    for kind in ["backup", "restore"] {
        for when in ["before", "after", "failed"] {
            write_hook(&deployment, &format!("{when}-{kind}.d/10-note"), LINE)?;
        }
    }
    write_hook(&deployment, "after-backup.d/20-fails", "psql -Xc 'select 1' || exit 9; exit 3")?;
    let run = deployment.backup(&[])?.expect(0);
    assert_eq!(log(&deployment), ["before backup", "after backup 0 with a bundle"]);
    assert!(run.stderr.contains("20-fails ended with status 3"), "{}", run.stderr);
    assert!(run.stdout.starts_with(&deployment.newest_bundle()?.display().to_string()));
    deployment.backup(&["--dry-run"])?.expect(0);
    assert!(log(&deployment).is_empty());

    // Not confirmed, then confirmed.
    let bundle = deployment.newest_bundle()?;
    deployment.restore(&bundle, &[], "another.domain\n")?.expect(5);
    assert!(log(&deployment).is_empty());
    deployment.restore(&bundle, &["--safety-backup"], ANSWERS)?.expect(0);
    assert_eq!(
        log(&deployment),
        ["before restore  with a bundle", "after restore 0 with a bundle"]
    );

    let before = deployment.state()?;
    for kind in ["backup", "restore"] {
        write_hook(&deployment, &format!("before-{kind}.d/20-refuses"), "exit 1")?;
        write_hook(&deployment, &format!("before-{kind}.d/30-late"), LINE)?;
    }
    let bundles = deployment.bundles()?;
    let run = deployment.backup(&[])?.expect(5);
    assert!(
        run.stderr.contains("20-refuses ended with status 1; no bundle was made"),
        "{}",
        run.stderr
    );
    assert_eq!(deployment.bundles()?, bundles);
    assert_eq!(record(&deployment, Backup)?.status, Some(5));
    assert_eq!(log(&deployment), ["before backup", "failed backup 5"]);
    let run = deployment.restore(&bundle, &[], ANSWERS)?.expect(5);
    assert!(
        run.stderr.contains("20-refuses ended with status 1; the old database is as it was"),
        "{}",
        run.stderr
    );
    assert_eq!(
        log(&deployment),
        ["before restore  with a bundle", "failed restore 5 with a bundle"]
    );
    assert!(!deployment.dir().join(".restore/unfinished.json").exists());
    assert_eq!(deployment.state()?, before);
    Ok(())
}
