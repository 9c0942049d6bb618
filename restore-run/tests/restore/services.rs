//! Which services a restore stops, and which of them it starts again.

use super::kit::*;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Stdio;
use test_kit::deployment::{DOMAIN, Deployment, STATEFUL, sh};
use test_kit::process::wait_until;

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

/// A deployment with a one-shot that has ended well, and a worker that was stopped on purpose.
fn with_services_that_are_off() -> Result<(Deployment, std::path::PathBuf)> {
    let (deployment, bundle) = with_bundle()?;
    let one_shot = "printf '#!/bin/sh\\necho >> %s/ran\\n' \"$PWD\" > services/migrate
                    chmod 700 services/migrate && touch services/migrate.oneshot";
    sh(deployment.dir(), one_shot)?;
    deployment.start(&["migrate"])?;
    wait_until("the one-shot", || Ok(state(&deployment, "migrate")? == "done"))?;
    deployment.stop(&["worker"])?;
    Ok((deployment, bundle))
}

fn only_api_was_started(deployment: &Deployment) -> Result<()> {
    ensure!(state(deployment, "api")? == "running");
    ensure!(state(deployment, "worker")? == "stopped");
    ensure!(sh(deployment.dir(), "wc -l < ran")?.trim() == "1", "the one-shot has run again");
    Ok(())
}

#[test]
fn a_failed_load_starts_only_what_was_up_before() -> Result<()> {
    let (deployment, bundle) = with_services_that_are_off()?;
    stand_in(&deployment, "pg-snap", "[ \"$1\" = load ] && exit 1")?;
    for arguments in [&[][..], &["--resume"][..]] {
        let run = deployment.restore(&bundle, arguments, &answers("n"))?.expect(1);
        let report = "the old database is as it was; api is running again;";
        assert!(run.stderr.contains(report), "{}", run.stderr);
        only_api_was_started(&deployment)?;
    }
    put_back(&deployment, "pg-snap")?;
    // A restore that comes to its end starts the whole application.
    let run = deployment.restore(&bundle, &["--resume"], &answers("n"))?;
    assert_eq!(state(&deployment, "worker")?, "running", "{}", run.stderr);
    Ok(())
}

#[test]
fn what_was_up_before_a_kill_is_started_by_whichever_run_fails_after_it() -> Result<()> {
    for arguments in [&[][..], &["--resume"][..]] {
        let (deployment, bundle) = with_services_that_are_off()?;
        let script = "[ \"$1\" = load ] && { kill -KILL $PPID; exit 0; }";
        stand_in(&deployment, "pg-snap", script)?;
        deployment.restore(&bundle, &[], &answers("n"))?.expect(137);
        put_back(&deployment, "pg-snap")?;
        assert_eq!(state(&deployment, "api")?, "stopped");
        stand_in(&deployment, "pg-snap", "[ \"$1\" = load ] && exit 1")?;
        let run = deployment.restore(&bundle, arguments, &answers("n"))?.expect(1);
        assert!(run.stderr.contains("api is running again;"), "{}", run.stderr);
        only_api_was_started(&deployment)?;
    }
    Ok(())
}

#[test]
fn a_signal_in_the_load_starts_only_what_was_up_before() -> Result<()> {
    let (deployment, bundle) = with_services_that_are_off()?;
    append_to_dump(&bundle, "SELECT pg_sleep(600)")?;
    let mut command = deployment.script("restore.sh", &[]);
    command.arg(&bundle).args(["--confirm", DOMAIN]).stdin(Stdio::null());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    wait_for_the_sleeping_load(&deployment)?;
    sh(Path::new("/"), &format!("kill -TERM {}", child.id()))?;
    let out = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&out.stderr);
    assert!(words.contains("api is running again;"), "{words}");
    only_api_was_started(&deployment)
}
