//! What a restore brings back, and what it leaves running.

use super::kit::*;
use anyhow::{Context, Result, ensure};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use test_kit::deployment::{APPS, BUCKET, Deployment, Options, STATEFUL, sh};
use test_kit::process::wait_until;

#[test]
fn what_came_after_the_backup_is_gone_and_what_was_lost_is_back() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    let next = "select nextval(pg_get_serial_sequence('tenant_0002.documents', a.attname)) from pg_attribute a
                where attrelid = 'tenant_0002.documents'::regclass
                  and pg_get_serial_sequence('tenant_0002.documents', a.attname) is not null limit 1";
    let sequences = "select string_agg(schemaname || sequencename || coalesce(last_value::text, '-'), ' ' order by schemaname, sequencename) from pg_sequences";
    let sequence_state = deployment.psql(sequences)?;
    let large_objects = deployment.psql("select count(*) from pg_largeobject_metadata")?;
    ensure!(large_objects != "0");

    deployment.psql(
        "insert into public.tenants (id, slug) values (77, 'added');
         create table tenant_0001.added (); create schema added; create table added.added ();
         drop schema tenant_0003 cascade; delete from public.awkward;
         select lo_unlink(oid) from pg_largeobject_metadata; grant connect on database piprio to public",
    )?;
    let _ = deployment.psql(next);
    let s3 = deployment.s3();
    let keys = s3.list(BUCKET, "")?;
    s3.put((BUCKET, "added"), &[("content-type", "text/x-added")], b"added")?;
    s3.delete((BUCKET, &keys[3]))?;
    s3.put((BUCKET, &keys[5]), &[("content-type", "text/x-other")], b"overwritten")?;
    std::fs::write(deployment.dir().join("secrets/signing_key"), "another")?;
    std::fs::remove_dir_all(deployment.dir().join("certs"))?;
    assert_ne!(deployment.state()?, before);

    let stateful = pids(&deployment, &STATEFUL)?;
    let apps = pids(&deployment, &APPS)?;
    deployment.redis(&["SET", "stale", "1"])?;
    let run = deployment.restore(&bundle, &[], &answers("y"))?.expect(0);

    assert_eq!(deployment.state()?, before);
    assert_eq!(deployment.psql(sequences)?, sequence_state);
    assert_eq!(deployment.redis(&["DBSIZE"])?, "0");
    assert!(run.stderr.contains("jobs queued in it are lost"), "{}", run.stderr);
    assert_eq!(pids(&deployment, &STATEFUL)?, stateful, "a service that holds state was stopped");
    for (was, is) in apps.iter().zip(pids(&deployment, &APPS)?) {
        assert_ne!(*was, is, "an application service was not stopped");
    }
    assert!(run.stdout.contains("health: ") && run.stdout.contains("0 failed"), "{}", run.stdout);
    for step in 1..=11 {
        assert!(run.stderr.contains(&format!("[{step}/11]")), "{}", run.stderr);
    }
    assert_eq!(databases(&deployment)?, "piprio postgres");
    let kept: Vec<_> = walkdir::WalkDir::new(deployment.dir().join("secrets"))
        .into_iter()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("signing_key.before-"))
        .collect();
    assert_eq!(std::fs::read_to_string(kept.first().context("no kept copy")?.path())?, "another");
    Ok(())
}

#[test]
fn the_application_is_stopped_while_database_cache_and_storage_keep_running() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| -> Result<Vec<_>> {
        let watch = scope.spawn(|| -> Result<Vec<_>> {
            let mut seen = Vec::new();
            while !over.load(Ordering::SeqCst) {
                seen.push(deployment.ps()?);
            }
            Ok(seen)
        });
        let run = deployment.restore(&bundle, &["--config", "no"], &answers(""));
        over.store(true, Ordering::SeqCst);
        run?.expect(0);
        watch.join().expect("the watch panicked")
    })?;
    let state = |ps: &[(String, String)], name: &str| {
        ps.iter().find(|(n, _)| n == name).map(|(_, state)| state.clone()).unwrap_or_default()
    };
    for ps in &seen {
        for service in STATEFUL {
            assert_eq!(state(ps, service), "running", "{service}");
        }
    }
    assert!(seen.iter().any(|ps| APPS.iter().all(|app| state(ps, app) == "stopped")), "{seen:?}");
    Ok(())
}

#[test]
fn a_bundle_of_the_older_script_still_restores() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    sh(&bundle, "rm -r SHA256SUMS minio/.obj-mirror && sed -i /^Toolkit/d MANIFEST.txt")?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    let keys = deployment.s3().list(BUCKET, "")?;
    deployment.s3().delete((BUCKET, &keys[0]))?;
    deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    let databases_part = |state: &str| state.lines().filter(|l| !l.contains("object")).count();
    assert_eq!(databases_part(&deployment.state()?), databases_part(&before));
    assert_eq!(deployment.s3().list(BUCKET, "")?, keys);
    Ok(())
}

#[test]
fn a_server_without_the_database_gets_one() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    deployment.psql_in("postgres", "drop database piprio with (force)")?;
    deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    assert_eq!(deployment.state()?, before);
    Ok(())
}

#[test]
fn drop_first_restores_too() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    deployment.psql("create table public.newer ()")?;
    deployment.restore(&bundle, &["--drop-first"], &answers("n"))?.expect(0);
    assert_eq!(deployment.state()?, before);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}

#[test]
fn an_ordinary_role_that_owns_its_database_can_restore_it() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.psql_in(
        "postgres",
        "create role app login createdb password 'app-pw'; alter role app set statement_timeout = '2s';
         alter role app set default_transaction_read_only = on",
    )?;
    deployment.psql_in("postgres", "create database app owner app")?;
    deployment.psql_in(
        "app",
        "create table t as select i from generate_series(1, 1000) i; alter table t owner to app",
    )?;
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    let text = text
        .replace("POSTGRES_DB=piprio", "POSTGRES_DB=app")
        .replace("POSTGRES_USER=piprio", "POSTGRES_USER=app");
    std::fs::write(&env, text)?;
    std::fs::write(deployment.dir().join("secrets/postgres_password"), "app-pw\n")?;
    deployment.backup(&[])?.expect(0);
    deployment.psql_in("app", "delete from t")?;
    // A superuser's session, which an ordinary role may not end: reported before any harm, and waited for
    // where it comes in the middle and goes by itself.
    let session = || {
        let mut session = deployment.postgres_client("psql");
        session.args(["-X", "-d", "app", "-c", "select pg_sleep(12)"]).stdout(Stdio::null());
        session.spawn()
    };
    let bundle = deployment.newest_bundle()?;
    let mut early = session()?;
    let asleep = "select count(*) from pg_stat_activity where query ~ '^select pg_sleep' and state = 'active'";
    wait_until("the session", || Ok(deployment.psql_in("postgres", asleep)? == "1"))?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(5);
    assert!(run.stderr.contains("preflight: ") && run.stderr.contains("session"), "{}", run.stderr);
    early.wait()?;
    std::thread::scope(|scope| -> Result<()> {
        let restore = scope.spawn(|| deployment.restore(&bundle, &[], &answers("n")));
        let loading = || Ok(databases(&deployment)?.contains("incoming") || restore.is_finished());
        wait_until("the load", loading)?;
        session()?.wait()?;
        restore.join().expect("the restore panicked")?.expect(0);
        Ok(())
    })?;
    assert_eq!(deployment.psql_in("app", "select count(*) from t")?, "1000");
    assert_eq!(databases(&deployment)?, "app piprio postgres");
    Ok(())
}

#[test]
fn secrets_come_back_only_after_a_second_yes_and_env_only_with_force_config() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let env = deployment.dir().join(".env");
    let key = deployment.dir().join("secrets/signing_key");
    let (good_env, good_key) = (std::fs::read_to_string(&env)?, std::fs::read_to_string(&key)?);
    let new_env = format!("{good_env}NEW_HOST=shown\nNEW_API_TOKEN=planted-secret-7261\n");
    std::fs::write(&env, &new_env)?;
    std::fs::write(&key, "planted-secret-7262")?;

    for (arguments, typed) in [(&[][..], "n"), (&[][..], ""), (&["--config", "no"][..], "y")] {
        let run = deployment.restore(&bundle, arguments, &answers(typed))?.expect(0);
        assert!(run.stderr.contains("-NEW_HOST=shown"), "no difference shown\n{}", run.stderr);
        for planted in ["planted-secret-7261", "planted-secret-7262", good_key.trim()] {
            assert!(!run.stderr.contains(planted) && !run.stdout.contains(planted), "{planted}");
        }
        assert_eq!(std::fs::read_to_string(&env)?, new_env);
        assert_eq!(std::fs::read_to_string(&key)?, "planted-secret-7262");
    }

    deployment.restore(&bundle, &[], &answers("y"))?.expect(0);
    assert_eq!(std::fs::read_to_string(&env)?, new_env, ".env was touched without --force-config");
    assert_eq!(std::fs::read_to_string(&key)?, good_key);

    let run = deployment.restore(&bundle, &["--force-config"], &answers("n"))?.expect(0);
    assert_eq!(std::fs::read_to_string(&env)?, good_env);
    let shown = run.stderr.find("-NEW_HOST=shown").context("no difference shown")?;
    assert!(shown < run.stderr.find("replaced .env").context("not reported")?);
    let kept = sh(deployment.dir(), "cat .env.before-*")?;
    assert_eq!(kept, new_env);
    Ok(())
}

#[test]
fn settings_that_would_lead_elsewhere_are_warned_of_and_not_followed() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    // The bundle's .env has other ports than this deployment's: as if it were another's.
    let other = text.replace("PIPRIO_VERSION=", "PIPRIO_VERSION=9.");
    std::fs::write(&env, other.replace("S3_BUCKET=documents", "S3_BUCKET=documents # here"))?;
    let run = deployment.restore(&bundle, &["--force-config"], &answers("n"))?.expect(0);
    assert!(run.stderr.contains("WARNING: the bundle's version is"), "{}", run.stderr);
    assert!(run.stderr.contains("WARNING: --force-config changes S3_BUCKET"), "{}", run.stderr);
    Ok(())
}
