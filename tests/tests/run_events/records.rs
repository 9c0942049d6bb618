//! The records of backup and restore.

use crate::{ANSWERS, deployment, record};
use anyhow::Result;
use bundle_format::report::RunKind::{Backup, Restore};

#[test]
fn a_restore_records_its_steps_its_bundle_and_how_it_ended() -> Result<()> {
    let deployment = deployment("")?;
    deployment.backup(&[])?.expect(0);
    let backup = record(&deployment, Backup)?;
    assert!(backup.last_success.is_some() && backup.last_success == backup.ended);
    let bundle = deployment.newest_bundle()?;

    deployment.restore(&bundle, &[], "another.domain\n")?.expect(5);
    let refused = record(&deployment, Restore)?;
    assert_eq!((refused.status, refused.last_success), (Some(5), None));
    let steps: Vec<_> = refused.stages.iter().map(|s| (s.stage.as_str(), s.status)).collect();
    assert_eq!(steps, [("validate", Some(0)), ("summary", Some(0)), ("confirm", Some(5))]);

    deployment.restore(&bundle, &["--dry-run"], "")?.expect(0);
    assert_eq!(record(&deployment, Restore)?, refused);

    deployment.restore(&bundle, &[], ANSWERS)?.expect(0);
    let done = record(&deployment, Restore)?;
    assert_eq!((done.status, done.stages.len()), (Some(0), 11));
    assert!(done.stages.iter().all(|step| step.status == Some(0) && step.seconds.is_some()));
    assert_eq!(done.bundle.as_deref(), Some(bundle.as_path()));
    assert_eq!(done.bytes, backup.bytes);
    assert_eq!(done.root, bundle.parent().unwrap_or(&bundle));
    assert!(done.last_success.is_some() && done.last_success == done.ended);
    Ok(())
}
