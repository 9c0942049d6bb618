//! The first pass over the objects beside the load: only into an empty bucket, and it decides nothing.

use super::kit::*;
use anyhow::Result;
use std::path::Path;
use std::process::{Child, Stdio};
use test_kit::deployment::{BUCKET, DOMAIN, Deployment, sh};
use test_kit::process::wait_until;

const ADDED: &str = "objects of the bundle may be in the bucket, which was empty";

fn empty_the_bucket(deployment: &Deployment) -> Result<()> {
    for key in deployment.s3().list(BUCKET, "")? {
        deployment.s3().delete((BUCKET, &key))?;
    }
    Ok(())
}

fn start(deployment: &Deployment, bundle: &Path) -> Result<Child> {
    let mut command = deployment.script("restore.sh", &[]);
    command.arg(bundle).args(["--confirm", DOMAIN, "--config", "no"]).stdin(Stdio::null());
    Ok(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?)
}

/// A restore into an empty bucket that is in the middle of its load, when all objects are there.
fn in_the_load(deployment: &Deployment, bundle: &Path) -> Result<Child> {
    let objects = deployment.s3().list(BUCKET, "")?.len();
    empty_the_bucket(deployment)?;
    append_to_dump(bundle, "SELECT pg_sleep(600)")?;
    let child = start(deployment, bundle)?;
    wait_for_the_sleeping_load(deployment)?;
    wait_until("the objects", || Ok(deployment.s3().list(BUCKET, "")?.len() == objects))?;
    Ok(child)
}

#[test]
fn objects_go_up_while_the_database_is_loaded_and_a_signal_reports_them() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let whole = tempfile::tempdir()?;
    sh(whole.path(), &format!("cp -a '{}' .", bundle.display()))?;
    let before = deployment.state()?;
    let child = in_the_load(&deployment, &bundle)?;
    sh(Path::new("/"), &format!("kill -TERM {}", child.id()))?;
    let out = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(143), "{words}");
    assert!(words.contains(&format!("the old database is as it was; {ADDED}; ")), "{words}");
    let run = deployment.run_script("restore.sh", &["--abandon"], "")?.expect(0);
    assert!(run.stderr.contains(ADDED), "{}", run.stderr);
    // What another bundle, or nobody, knows of is removed by the next restore, as ever.
    deployment.s3().put((BUCKET, "stray"), &[], b"stray")?;
    let copy = whole.path().join(bundle.file_name().unwrap_or_default());
    deployment.restore(&copy, &[], &answers("n"))?.expect(0);
    assert_eq!(deployment.state()?, before);
    Ok(())
}

#[test]
fn a_restore_that_is_killed_beside_the_load_is_continued() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    let objects = deployment.s3().list(BUCKET, "")?;
    empty_the_bucket(&deployment)?;
    let waits = "[ \"$1\" = load ] && { echo $$ > \"$PIPRIO_DEPLOY/loading\"; exec sleep 600; }";
    stand_in(&deployment, "pg-snap", waits)?;
    let mut child = start(&deployment, &bundle)?;
    wait_until("the objects", || {
        let loads = deployment.dir().join("loading").exists();
        Ok(loads && deployment.s3().list(BUCKET, "")? == objects)
    })?;
    child.kill()?;
    child.wait()?;
    sh(deployment.dir(), "kill \"$(cat loading)\" && rm loading")?;
    assert_eq!(deployment.state()?, before, "the old database, and the objects of the bundle");
    put_back(&deployment, "pg-snap")?;
    append_to_dump(&bundle, "SELECT 1/0")?;
    // The bundle is another one now.
    deployment.restore(&bundle, &["--resume"], "")?.expect(5);
    let abandoned = deployment.run_script("restore.sh", &["--abandon"], "")?.expect(0);
    assert!(abandoned.stderr.contains(ADDED), "{}", abandoned.stderr);
    assert_eq!(deployment.state()?, before);
    Ok(())
}

#[test]
fn a_load_that_fails_beside_the_objects_reports_them_until_the_restore_is_finished() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    deployment.psql("create table public.newer ()")?;
    let newer = deployment.psql("select 'public.newer'::regclass")?;
    empty_the_bucket(&deployment)?;
    stand_in(&deployment, "pg-snap", "[ \"$1\" = load ] && exit 1")?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(1);
    assert!(
        run.stderr.contains(&format!("the old database is as it was; {ADDED}; api")),
        "{}",
        run.stderr
    );
    assert_eq!(deployment.psql("select 'public.newer'::regclass")?, newer);
    // The bucket need not be empty any more.
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(1);
    assert!(run.stderr.contains(ADDED), "{}", run.stderr);
    put_back(&deployment, "pg-snap")?;
    deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
    assert_eq!(deployment.state()?, before);
    Ok(())
}

#[test]
fn a_bucket_that_holds_anything_is_not_touched_before_the_database_is_replaced() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    empty_the_bucket(&deployment)?;
    deployment.s3().put((BUCKET, "only"), &[], b"the only one")?;
    append_to_dump(&bundle, "SELECT 1/0")?;
    let record = "echo \"$*\" >> \"$PIPRIO_DEPLOY/seen\"";
    stand_in(&deployment, "obj-mirror", record)?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(1);
    assert!(run.stderr.contains("the old database is as it was; api worker"), "{}", run.stderr);
    assert_eq!(deployment.s3().list(BUCKET, "")?, ["only"]);
    let seen = std::fs::read_to_string(deployment.dir().join("seen"))?;
    assert!(seen.contains("status ") && !seen.contains("--ignore-existing"), "{seen}");
    // Nor by a run that does not restore objects.
    empty_the_bucket(&deployment)?;
    deployment.restore(&bundle, &["--only", "database"], &answers("n"))?.expect(1);
    assert!(deployment.s3().list(BUCKET, "")?.is_empty());
    Ok(())
}

#[test]
fn a_first_pass_that_fails_is_reported_and_the_step_sends_the_objects() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    empty_the_bucket(&deployment)?;
    stand_in(&deployment, "obj-mirror", "[ \"$1\" = --ignore-existing ] && exit 3")?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    let warned = "warning: the first pass over the objects beside the load failed: obj-mirror ended with status 3";
    assert!(run.stderr.contains(warned), "{}", run.stderr);
    assert_eq!(deployment.state()?, before);
    Ok(())
}
