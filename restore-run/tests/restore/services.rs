//! Which services a restore stops, and which of them it starts again.

use super::kit::*;
use anyhow::{Context, Result, ensure};
use test_kit::deployment::{Deployment, STATEFUL, sh};

fn keep_up(deployment: &Deployment, names: &str) -> Result<()> {
    let line = format!("STATEFUL_SERVICES=\"{names}\"");
    let script = format!("sed -i /^STATEFUL_SERVICES/d .env && printf '%s\\n' '{line}' >> .env");
    sh(deployment.dir(), &script).map(drop)
}

/// The database and the objects: the configuration changes in between.
fn data(deployment: &Deployment) -> Result<String> {
    let state = deployment.state()?;
    Ok(state.split_once("\n## config\n").context("no config")?.0.to_owned())
}

fn state(deployment: &Deployment, service: &str) -> Result<String> {
    let states = deployment.ps()?;
    let found = states.into_iter().find(|(name, _)| name == service);
    found.map(|(_, state)| state).with_context(|| format!("no service {service}"))
}

fn all_run(deployment: &Deployment) -> Result<()> {
    let states = deployment.ps()?;
    ensure!(states.iter().all(|(_, state)| state == "running"), "{states:?}");
    Ok(())
}

#[test]
fn a_database_that_the_stop_would_take_along_is_started_again_and_the_restore_refused() -> Result<()>
{
    let (deployment, bundle) = with_bundle()?;
    let restored = data(&deployment)?;
    deployment.psql("create table public.newer ()")?;
    let newer = data(&deployment)?;
    keep_up(&deployment, "redis minio elsewhere")?;
    for arguments in [&[][..], &["--resume"][..]] {
        let run = deployment.restore(&bundle, arguments, &answers("n"))?.expect(5);
        assert!(run.stderr.contains("[5/11] stop: the database does not"), "{}", run.stderr);
        assert!(
            run.stderr.contains("STATEFUL_SERVICES=\"redis minio elsewhere NAME\""),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("the old database is as it was"), "{}", run.stderr);
        assert!(!run.stderr.contains("stay up"), "{}", run.stderr);
        all_run(&deployment)?;
        assert_eq!(data(&deployment)?, newer);
        assert_eq!(databases(&deployment)?, "piprio postgres");
    }
    keep_up(&deployment, "redis minio elsewhere postgres")?;
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
    // Only what there is.
    let line = "stopped api worker; redis minio postgres stay up\n";
    assert!(run.stderr.contains(line), "{}", run.stderr);
    assert_eq!(data(&deployment)?, restored);
    Ok(())
}

#[test]
fn a_cache_or_storage_that_the_stop_would_take_along_is_noticed_before_anything_is_replaced()
-> Result<()> {
    for (lost, kept) in [("cache", "postgres minio"), ("object storage", "postgres redis")] {
        let (deployment, bundle) = with_bundle()?;
        deployment.psql("create table public.newer ()")?;
        keep_up(&deployment, kept)?;
        let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(5);
        let named = format!("[5/11] stop: the {lost} does not");
        assert!(run.stderr.contains(&named), "{}", run.stderr);
        all_run(&deployment)?;
        assert_eq!(databases(&deployment)?, "piprio postgres");
        assert_eq!(deployment.psql("select to_regclass('public.newer') is not null")?, "t");
        // A restore that began with the right list and continues with a wrong one leaves the application stopped.
        keep_up(&deployment, &STATEFUL.join(" "))?;
        stand_in(&deployment, "obj-mirror", "[ \"$1\" = --delete ] && exit 1")?;
        deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(1);
        put_back(&deployment, "obj-mirror")?;
        keep_up(&deployment, kept)?;
        let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(5);
        assert!(run.stderr.contains(&named), "{}", run.stderr);
        let left = "half restored; api worker may be stopped";
        assert!(run.stderr.contains(left), "{}", run.stderr);
        assert_eq!(state(&deployment, "api")?, "stopped");
        for service in STATEFUL {
            assert_eq!(state(&deployment, service)?, "running", "{service}");
        }
    }
    Ok(())
}
