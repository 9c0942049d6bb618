//! `restore.sh` on a whole deployment: everything comes back, nothing is touched before the domain
//! is typed, and a failure leaves what the message says.

use anyhow::{Context, Result, ensure};
use pipeline_tests::deployment::{APPS, BUCKET, DOMAIN, Deployment, Options, STATEFUL, sh};
use pipeline_tests::process::wait_until;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A deployment with a bundle.
fn with_bundle() -> Result<(Deployment, PathBuf)> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    Ok((deployment, bundle))
}

fn answers(config: &str) -> String {
    format!("{DOMAIN}\n{config}\n")
}

fn pids(deployment: &Deployment, services: &[&str]) -> Result<Vec<i32>> {
    services.iter().map(|s| deployment.pid(s)).collect()
}

fn databases(deployment: &Deployment) -> Result<String> {
    let ask =
        "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";
    deployment.psql_in("postgres", ask)
}

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
fn without_the_domain_nothing_is_changed() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    let before = deployment.state()?;
    let running = pids(&deployment, &[&APPS[..], &STATEFUL[..]].concat())?;
    for typed in ["", "\n", "y\n", "yes\ny\n", "Demo.piprio.test\n", "demo.piprio.tes\n"] {
        let run = deployment.restore(&bundle, &[], typed)?.expect(5);
        assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    }
    deployment.restore(&bundle, &["--confirm", "other.example"], "")?.expect(5);
    deployment.restore(&bundle, &["--confirm", ""], DOMAIN)?.expect(5);
    for step in ["stop", "database", "objects", "config", "cache"] {
        deployment.restore(&bundle, &["--only", step], "n\n")?.expect(5);
        deployment.restore(&bundle, &["--from", step], "n\n")?.expect(5);
    }
    assert_eq!(deployment.state()?, before);
    assert_eq!(pids(&deployment, &[&APPS[..], &STATEFUL[..]].concat())?, running);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_bundle_that_is_not_whole_is_refused_before_anything_is_stopped() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    let running = pids(&deployment, &APPS)?;
    let refuse = |damage: &str, named: &str| -> Result<()> {
        let copy = tempfile::tempdir()?;
        let damaged = copy.path().join(bundle.file_name().context("name")?);
        sh(
            copy.path(),
            &format!("cp -a '{}' . && cd '{}' && {damage}", bundle.display(), damaged.display()),
        )?;
        let run = deployment.restore(&damaged, &[], &answers("y"))?.expect(4);
        assert!(run.stderr.contains(named), "{damage}: {named} is not in\n{}", run.stderr);
        assert!(
            !run.stderr.contains("Type the deployment's domain"),
            "{damage}: asked all the same"
        );
        Ok(())
    };
    refuse("rm MANIFEST.txt", "MANIFEST.txt is missing")?;
    refuse("rm database.sql.gz", "database.sql.gz")?;
    refuse("truncate -s -20 database.sql.gz", "database.sql.gz")?;
    refuse("rm SHA256SUMS", "SHA256SUMS")?;
    refuse("echo x >> config.tar.gz", "config.tar.gz")?;
    refuse("rm \"$(find minio -type f -path '*tenant*' | head -1)\"", "tenant_")?;
    refuse("touch unlisted", "unlisted")?;
    // A bundle of the older script: no seal, no Toolkit line; its dump must still be whole.
    refuse(
        "rm SHA256SUMS && sed -i /^Toolkit/d MANIFEST.txt && truncate -s -20 database.sql.gz",
        "database.sql.gz",
    )?;

    let wrong = deployment.restore(Path::new("/no/such/bundle"), &[], &answers("y"))?.expect(2);
    assert!(wrong.stderr.contains("/no/such/bundle"), "{}", wrong.stderr);
    assert_eq!(deployment.state()?, before);
    assert_eq!(pids(&deployment, &APPS)?, running);
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
fn secrets_come_back_only_after_a_second_yes_and_env_only_with_force_config() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let env = deployment.dir().join(".env");
    let key = deployment.dir().join("secrets/signing_key");
    let (good_env, good_key) = (std::fs::read_to_string(&env)?, std::fs::read_to_string(&key)?);
    let new_env = format!("{good_env}NEW_SETTING=shown\nNEW_API_TOKEN=planted-secret-7261\n");
    std::fs::write(&env, &new_env)?;
    std::fs::write(&key, "planted-secret-7262")?;

    for (arguments, typed) in [(&[][..], "n"), (&[][..], ""), (&["--config", "no"][..], "y")] {
        let run = deployment.restore(&bundle, arguments, &answers(typed))?.expect(0);
        assert!(run.stderr.contains("-NEW_SETTING=shown"), "no difference shown\n{}", run.stderr);
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
    let shown = run.stderr.find("-NEW_SETTING=shown").context("no difference shown")?;
    assert!(shown < run.stderr.find("replaced .env").context("not said")?);
    let kept = sh(deployment.dir(), "cat .env.before-*")?;
    assert_eq!(kept, new_env);
    Ok(())
}

#[test]
fn settings_that_would_lead_elsewhere_are_warned_of_and_not_followed() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    // The bundle's .env says other ports than this deployment's: as if it were another's.
    let other = text.replace("PIPRIO_VERSION=", "PIPRIO_VERSION=9.");
    std::fs::write(&env, other.replace("S3_BUCKET=documents", "S3_BUCKET=documents # here"))?;
    let run = deployment.restore(&bundle, &["--force-config"], &answers("n"))?.expect(0);
    assert!(run.stderr.contains("WARNING: the bundle's version is"), "{}", run.stderr);
    assert!(run.stderr.contains("WARNING: --force-config changes S3_BUCKET"), "{}", run.stderr);
    Ok(())
}

#[test]
fn dry_run_prints_every_command_and_changes_nothing() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    let before = deployment.state()?;
    let running = pids(&deployment, &APPS)?;
    let run = deployment
        .restore(&bundle, &["--dry-run", "--config", "yes", "--force-config"], "")?
        .expect(0);
    for command in [
        "bundle-manifest verify",
        "drivers/process stop api worker",
        "pg-snap load --keep-previous",
        "obj-mirror --delete",
        "cfg-pack diff",
        "cfg-pack extract",
        "FLUSHDB",
        "drivers/process start",
        "health-probe",
    ] {
        assert!(run.stdout.contains(command), "{command} is not in\n{}", run.stdout);
    }
    assert_eq!(deployment.state()?, before);
    assert_eq!(pids(&deployment, &APPS)?, running);
    Ok(())
}

#[test]
fn preflight_refuses_with_every_reason_before_anything_is_stopped() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let running = pids(&deployment, &APPS)?;
    deployment.stop(&["redis"])?;
    deployment.s3().delete_bucket(BUCKET).ok();
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?.replace("S3_BUCKET=documents", "S3_BUCKET=missing");
    std::fs::write(&env, text)?;
    let run = deployment.restore(&bundle, &[], &answers("y"))?.expect(5);
    assert!(run.stderr.contains("preflight: the cache"), "{}", run.stderr);
    assert!(run.stderr.contains("preflight: the object storage"), "{}", run.stderr);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert_eq!(pids(&deployment, &APPS)?, running);
    Ok(())
}

/// Makes it a bundle of the older script whose dump, whole as it is, ends with one more statement.
fn append_to_dump(bundle: &Path, statement: &str) -> Result<()> {
    let script = format!(
        "gunzip -c database.sql.gz > d
         awk '/^-- PostgreSQL database dump complete/ {{ last = NR }} {{ line[NR] = $0 }}
              END {{ for (n = 1; n <= NR; n++) {{ if (n == last) print \"{statement};\"; print line[n] }} }}' d |
           gzip -c > database.sql.gz
         rm d SHA256SUMS && echo 'a bundle of the older script' > MANIFEST.txt"
    );
    sh(bundle, &script).map(drop)
}

/// A load of a dump that ends in `SELECT pg_sleep` is in it.
fn wait_for_the_sleeping_load(deployment: &Deployment) -> Result<()> {
    let asleep = "select count(*) from pg_stat_activity where query ~ '^SELECT pg_sleep' and state = 'active'";
    wait_until("the load", || Ok(deployment.psql_in("postgres", asleep)? == "1"))
}

#[test]
fn a_failing_database_step_leaves_the_old_database_and_starts_the_application_again() -> Result<()>
{
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    let before = deployment.state()?;
    // A whole dump that the server refuses: a function of the bundle's that is there twice.
    append_to_dump(&bundle, "SELECT 1/0")?;
    let run = deployment.restore(&bundle, &[], &answers("y"))?.expect(1);
    assert!(run.stderr.contains("[6/11] database"), "{}", run.stderr);
    assert!(run.stderr.contains("division by zero"), "{}", run.stderr);
    assert!(
        run.stderr.contains("the old database is as it was; api worker run again"),
        "{}",
        run.stderr
    );
    assert_eq!(deployment.state()?, before);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    deployment.health_check()?.expect(0);
    Ok(())
}

#[test]
fn a_failure_after_the_swap_leaves_the_application_stopped_and_the_told_command_goes_on()
-> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    deployment.s3().put((BUCKET, "added"), &[], b"added")?;
    let stage = deployment.dir().join("bin/obj-mirror");
    let ours = deployment.dir().join("bin/.obj-mirror");
    std::fs::rename(&stage, &ours)?;
    // A stand-in that fails where the real one would, once the storage breaks in the middle.
    let script =
        format!("#!/bin/sh\n[ \"$1\" = --delete ] && exit 3\nexec '{}' \"$@\"\n", ours.display());
    std::fs::write(&stage, script)?;
    sh(deployment.dir(), "chmod 755 bin/obj-mirror")?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(3);
    std::fs::rename(&ours, &stage)?;
    assert!(run.stderr.contains("api worker are left stopped"), "{}", run.stderr);
    let states = deployment.ps()?;
    for app in APPS {
        assert!(states.contains(&(app.to_owned(), "stopped".to_owned())), "{states:?}");
    }
    let last = run.stderr.lines().last().context("no words")?;
    let (_, told) = last.split_once("to go on from there: ").context("no command")?;
    assert!(told.ends_with("--from objects"), "{told}");
    let mut go_on = Command::new("bash");
    go_on.args(["-c", told]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = go_on.spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("stdin")?, answers("n").as_bytes())?;
    let out = child.wait_with_output()?;
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(deployment.state()?, before);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_failing_health_check_keeps_the_old_database_and_tells_how_to_swap_it_back() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    let newer = deployment.state()?;
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    let sick = text.replace("READINESS_URLS=\"", "READINESS_URLS=\"web=http://127.0.0.1:9/ready ");
    std::fs::write(&env, &sick)?;
    let run = deployment.restore(&bundle, &["--wait", "0"], &answers("n"))?.expect(1);
    assert!(run.stdout.contains("fail  readiness  web"), "{}", run.stdout);
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    let told =
        run.stderr.lines().find_map(|l| l.split_once("to swap it back: ")).context("no command")?.1;
    sh(Path::new("/"), told)?;
    std::fs::write(&env, &text)?;
    assert_eq!(deployment.state()?, newer);
    // Swapped back, what stands beside it is not what the restore has put aside.
    deployment.restore(&bundle, &["--from", "health"], "")?.expect(0);
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    Ok(())
}

#[test]
fn once_the_health_check_passes_the_old_database_goes_unless_a_step_was_left_out() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    let sick = text.replace("READINESS_URLS=\"", "READINESS_URLS=\"web=http://127.0.0.1:9/ready ");
    std::fs::write(&env, &sick)?;
    deployment.restore(&bundle, &["--wait", "0"], &answers("n"))?.expect(1);
    std::fs::write(&env, &text)?;
    deployment.restore(&bundle, &["--from", "health"], "")?.expect(0);
    assert_eq!(databases(&deployment)?, "piprio postgres");

    // Objects, config and cache are left out here.
    deployment.restore(&bundle, &["--only", "database"], &answers("n"))?.expect(0);
    let run = deployment.restore(&bundle, &["--from", "start"], "")?.expect(0);
    assert!(run.stderr.contains("finished only up to database"), "{}", run.stderr);
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    Ok(())
}

#[test]
fn a_continuation_against_another_database_is_refused() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.restore(&bundle, &["--only", "database"], &answers("n"))?.expect(0);
    deployment.psql_in("postgres", "create database other; create database other_previous")?;
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    std::fs::write(&env, text.replace("POSTGRES_DB=piprio", "POSTGRES_DB=other"))?;
    for step in ["objects", "cache", "health"] {
        let run = deployment.restore(&bundle, &["--from", step], &answers("n"))?.expect(5);
        assert!(run.stderr.contains("database other at"), "{}", run.stderr);
    }
    assert_eq!(databases(&deployment)?, "other other_previous piprio piprio_previous postgres");
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
    // A superuser's session, which an ordinary role may not end, that goes by itself.
    let mut session = deployment.postgres_client("psql");
    session.args(["-X", "-d", "app", "-c", "select pg_sleep(12)"]).stdout(Stdio::null());
    let mut session = session.spawn()?;
    deployment.restore(&deployment.newest_bundle()?, &[], &answers("n"))?.expect(0);
    session.wait()?;
    assert_eq!(deployment.psql_in("app", "select count(*) from t")?, "1000");
    assert_eq!(databases(&deployment)?, "app piprio postgres");
    Ok(())
}

#[test]
fn a_signal_at_the_swap_tells_what_is_so() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    for delay in [0, 2, 5, 20] {
        let mut command = deployment.script("restore.sh", &[]);
        command.arg(&bundle).args(["--confirm", DOMAIN, "--config", "no"]).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        wait_until("the swap", || Ok(databases(&deployment)?.contains("piprio_previous")))?;
        std::thread::sleep(Duration::from_millis(delay));
        sh(Path::new("/"), &format!("kill -TERM {} || true", child.id()))?;
        let out = child.wait_with_output()?;
        let words = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(143), "{words}");
        // The names are swapped, whichever step the signal met after that.
        assert!(!words.contains("the old database is as it was"), "after {delay} ms:\n{words}");
        let stopped = |app: &&str| {
            deployment.ps().is_ok_and(|ps| ps.contains(&((*app).to_owned(), "stopped".to_owned())))
        };
        if words.contains("half restored") {
            assert!(APPS.iter().all(stopped), "after {delay} ms:\n{words}");
        }
        let (_, told) = words.rsplit_once(" --from ").context("no command")?;
        // A stage that was ended may have a last word after that.
        let step = told.split_whitespace().next().context("no step")?;
        deployment.restore(&bundle, &["--from", step], &answers("n"))?.expect(0);
        assert_eq!(databases(&deployment)?, "piprio postgres");
    }
    Ok(())
}

#[test]
fn a_killed_restore_takes_its_load_with_it() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    append_to_dump(&bundle, "SELECT pg_sleep(600)")?;
    let mut command = deployment.script("restore.sh", &[]);
    command.arg(&bundle).args(["--confirm", DOMAIN]).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait_for_the_sleeping_load(&deployment)?;
    child.kill()?;
    child.wait()?;
    wait_until("the load to end", || Ok(databases(&deployment)? == "piprio postgres"))?;
    assert_eq!(deployment.state()?, before);
    Ok(())
}

#[test]
fn a_signal_before_the_swap_leaves_the_old_database_and_a_running_application() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    deployment.psql("create table public.newer ()")?;
    // Enough rows that the load is caught in the middle.
    let before = deployment.state()?;
    append_to_dump(&bundle, "SELECT pg_sleep(600)")?;
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let mut command = deployment.script("restore.sh", &[]);
        command.arg(&bundle).args(["--confirm", DOMAIN]).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        wait_for_the_sleeping_load(&deployment)?;
        sh(Path::new("/"), &format!("kill -{signal} {}", child.id()))?;
        let out = child.wait_with_output()?;
        let words = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(status), "{words}");
        assert!(words.contains("the old database is as it was; api worker run again"), "{words}");
        assert_eq!(databases(&deployment)?, "piprio postgres", "{words}");
        assert_eq!(deployment.state()?, before);
        deployment.health_check()?.expect(0);
    }
    Ok(())
}

#[test]
fn restore_without_a_bundle_lists_them() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let run = deployment.run_script("restore.sh", &[], "")?.expect(0);
    let name = bundle.file_name().context("name")?.to_string_lossy().into_owned();
    assert!(run.stdout.contains(&name) && run.stdout.contains("intact"), "{}", run.stdout);
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
