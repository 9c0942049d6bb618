//! A restore that was interrupted: what continues it, what does not, and what is refused meanwhile.

use super::kit::*;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use test_kit::deployment::{APPS, BUCKET, DOMAIN, Deployment, sh};
use test_kit::process::wait_until;

fn journal(deployment: &Deployment) -> PathBuf {
    deployment.dir().join(".restore/unfinished.json")
}

/// A restore that a dead storage ended after the swap.
fn interrupted_at_objects(deployment: &Deployment, bundle: &Path) -> Result<()> {
    stand_in(deployment, "obj-mirror", "[ \"$1\" = --delete ] && exit 1")?;
    let run = deployment.restore(bundle, &[], &answers("n"))?.expect(1);
    put_back(deployment, "obj-mirror")?;
    ensure!(run.stderr.contains("half restored; api worker are left stopped"), "{}", run.stderr);
    Ok(())
}

#[test]
fn resume_continues_from_the_first_unfinished_step_and_leaves_nothing_behind() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    deployment.s3().put((BUCKET, "added"), &[], b"added")?;
    interrupted_at_objects(&deployment, &bundle)?;
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");

    let refused = deployment.restore(&bundle, &["--resume"], "no\n")?.expect(5);
    ensure!(!refused.stderr.contains("half restored"), "{}", refused.stderr);
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
    assert!(run.stderr.contains("finished up to database"), "{}", run.stderr);
    for done in ["[6/11]", "[4/11]"] {
        assert!(!run.stderr.contains(done), "{done} was taken again\n{}", run.stderr);
    }
    assert_eq!(deployment.state()?, before);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    assert!(!journal(&deployment).exists());
    deployment.health_check()?.expect(0);
    let again = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(5);
    assert!(again.stderr.contains("no unfinished restore"), "{}", again.stderr);
    Ok(())
}

#[test]
fn a_plain_rerun_starts_over_and_drops_in_the_end_what_both_have_put_aside() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    interrupted_at_objects(&deployment, &bundle)?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    assert!(run.stderr.contains("[4/11]") && run.stderr.contains("[6/11]"), "{}", run.stderr);
    assert_eq!(deployment.state()?, before);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    assert!(!journal(&deployment).exists());
    Ok(())
}

#[test]
fn resume_with_another_bundle_is_refused_wherever_it_lies() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    deployment.backup(&[])?.expect(0);
    let other = deployment.newest_bundle()?;
    interrupted_at_objects(&deployment, &bundle)?;
    for arguments in [&["--resume"][..], &["--from", "objects"][..]] {
        let run = deployment.restore(&other, arguments, &answers("n"))?.expect(5);
        assert!(run.stderr.contains("of another bundle"), "{}", run.stderr);
        assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    }
    // The same bundle in another place is the same bundle.
    let elsewhere = tempfile::tempdir()?;
    sh(elsewhere.path(), &format!("cp -a '{}' .", bundle.display()))?;
    let copy = elsewhere.path().join(bundle.file_name().context("name")?);
    deployment.restore(&copy, &["--resume"], &answers("n"))?.expect(0);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}

#[test]
fn backup_refuses_while_a_restore_is_unfinished_until_it_is_abandoned() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    interrupted_at_objects(&deployment, &bundle)?;
    let run = deployment.backup(&[])?.expect(5);
    assert!(run.stderr.contains("--resume") && run.stderr.contains("--abandon"), "{}", run.stderr);
    assert_eq!(deployment.bundles()?.len(), 1);

    let run = deployment.run_script("restore.sh", &["--abandon"], "")?.expect(0);
    assert!(run.stderr.contains("pg-snap previous swap"), "{}", run.stderr);
    assert!(!journal(&deployment).exists());
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    deployment.backup(&[])?.expect(0);
    let run = deployment.run_script("restore.sh", &["--abandon"], "")?.expect(0);
    assert!(run.stderr.contains("no unfinished restore"), "{}", run.stderr);
    deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(5);
    Ok(())
}

#[test]
fn a_kill_between_the_swap_and_its_note_is_found_out_from_the_server() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    // The load ends, and the restore dies before it can write that down.
    stand_in(
        &deployment,
        "pg-snap",
        "[ \"$1\" = load ] && { \"$real\" \"$@\"; kill -KILL $PPID; exit 0; }",
    )?;
    deployment.restore(&bundle, &[], &answers("n"))?.expect(137);
    put_back(&deployment, "pg-snap")?;
    let text = std::fs::read_to_string(journal(&deployment))?;
    assert!(text.contains("\"done\":\"stop\""), "{text}");
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
    assert!(!run.stderr.contains("[6/11]"), "loaded again\n{}", run.stderr);
    assert_eq!(deployment.state()?, before);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_database_that_appeared_after_a_failed_load_is_replaced_and_kept() -> Result<()> {
    for options in [&[][..], &["--drop-first"][..]] {
        let (deployment, bundle) = with_bundle()?;
        let before = deployment.state()?;
        let drop = "drop database piprio with (force)";
        if options.is_empty() {
            deployment.psql_in("postgres", drop)?;
        }
        stand_in(&deployment, "pg-snap", "[ \"$1\" = load ] && exit 1")?;
        deployment.restore(&bundle, options, &answers("n"))?.expect(1);
        if !options.is_empty() {
            deployment.psql_in("postgres", drop)?;
        }
        deployment.psql_in("postgres", "create database piprio")?;
        deployment.psql("create table public.appeared (id int)")?;
        deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(1);
        put_back(&deployment, "pg-snap")?;
        let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
        assert!(run.stderr.contains("[6/11]"), "not loaded\n{}", run.stderr);
        assert!(run.stderr.contains("appeared after"), "{}", run.stderr);
        assert_eq!(deployment.state()?, before, "{options:?}");
        // Nobody has confirmed that it may go.
        assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres", "{options:?}");
        deployment.psql_in("piprio_previous", "select * from public.appeared")?;
    }
    Ok(())
}

#[test]
fn a_loaded_database_that_was_replaced_by_hand_is_no_restore_to_continue() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    interrupted_at_objects(&deployment, &bundle)?;
    deployment.psql_in("postgres", "drop database piprio with (force)")?;
    deployment.psql_in("postgres", "create database piprio")?;
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(5);
    assert!(run.stderr.contains("is not the one that the restore had loaded"), "{}", run.stderr);
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    Ok(())
}

#[test]
fn a_load_that_was_killed_is_taken_up_with_every_check() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    let newer = deployment.state()?;
    let whole = tempfile::tempdir()?;
    sh(whole.path(), &format!("cp -a '{}' .", bundle.display()))?;
    append_to_dump(&bundle, "SELECT pg_sleep(600)")?;
    let mut command = deployment.script("restore.sh", &[]);
    command.arg(&bundle).args(["--confirm", DOMAIN, "--config", "no"]).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait_for_the_sleeping_load(&deployment)?;
    child.kill()?;
    child.wait()?;
    wait_until("the load to end", || Ok(databases(&deployment)? == "piprio postgres"))?;
    assert_eq!(deployment.state()?, newer, "until the swap, the old database serves");
    deployment.backup(&[])?.expect(5);
    // Another bundle is refused; the very same continues, and keeps to --config no.
    let copy = whole.path().join(bundle.file_name().context("name")?);
    deployment.restore(&copy, &["--resume"], &answers("y"))?.expect(5);
    deployment.restore(&copy, &[], &answers("n"))?.expect(0);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    assert!(!journal(&deployment).exists());
    Ok(())
}

#[test]
fn a_failed_flush_leaves_the_application_stopped_and_reports_that() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    // The cache dies once the objects are there: as late as it can.
    let pid = deployment.pid("redis")?;
    stand_in(&deployment, "obj-mirror", &format!("[ \"$1\" = --delete ] && kill -9 {pid}"))?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(1);
    put_back(&deployment, "obj-mirror")?;
    assert!(run.stderr.contains("[9/11] cache: "), "{}", run.stderr);
    assert!(run.stderr.contains("api worker are left stopped"), "{}", run.stderr);
    let states = deployment.ps()?;
    for app in APPS {
        assert!(states.contains(&(app.to_owned(), "stopped".to_owned())), "{states:?}");
    }
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?;
    assert_eq!(run.status, 1, "the cache is still dead: {}", run.stderr);
    deployment.start(&["redis"])?;
    deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
    deployment.health_check()?.expect(0);
    Ok(())
}

#[test]
fn an_unreadable_journal_stops_everything_but_abandon() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    std::fs::create_dir_all(deployment.dir().join(".restore"))?;
    std::fs::write(journal(&deployment), "{\"done\":")?;
    deployment.backup(&[])?.expect(5);
    for arguments in [&[][..], &["--resume"][..]] {
        let run = deployment.restore(&bundle, arguments, &answers("n"))?.expect(1);
        assert!(run.stderr.contains("--abandon"), "{}", run.stderr);
    }
    deployment.run_script("restore.sh", &["--abandon"], "")?.expect(0);
    deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    Ok(())
}

#[test]
fn a_safety_backup_is_taken_before_harm_and_removes_no_older_bundle() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let old = deployment.dir().join("backups/piprio_20200101T000000Z");
    sh(deployment.dir(), &format!("cp -a '{}' '{}'", bundle.display(), old.display()))?;
    deployment.psql("create table public.newer ()")?;
    let newer = deployment.state()?;
    deployment.restore(&bundle, &["--safety-backup"], &answers("n"))?.expect(0);
    assert!(old.is_dir(), "a safety backup has pruned");
    let safety = deployment.newest_bundle()?;
    assert_ne!(safety, bundle);
    deployment.restore(&safety, &[], &answers("n"))?.expect(0);
    assert_eq!(deployment.state()?, newer);

    // No backup, no restore.
    let running = pids(&deployment, &APPS)?;
    stand_in(&deployment, "cfg-pack", "[ \"$1\" = create ] && exit 1")?;
    let run = deployment.restore(&bundle, &["--safety-backup"], &answers("n"))?.expect(1);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert_eq!(pids(&deployment, &APPS)?, running);
    assert!(!journal(&deployment).exists());
    Ok(())
}
