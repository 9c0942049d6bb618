//! What a failure or a signal leaves, and that it is what the message states.

use super::kit::*;
use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use test_kit::deployment::{APPS, BUCKET, DOMAIN, sh};
use test_kit::process::wait_until;

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
    assert!(run.stderr.contains("ERROR 22012"), "{}", run.stderr);
    assert!(
        run.stderr.contains("the old database is as it was; api worker are running again"),
        "{}",
        run.stderr
    );
    assert_eq!(deployment.state()?, before);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    deployment.health_check()?.expect(0);
    Ok(())
}

#[test]
fn a_failure_after_the_swap_leaves_the_application_stopped_and_the_printed_command_continues()
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
    let (_, report) = last.split_once("to continue it: ").context("no command")?;
    assert!(report.ends_with("--resume"), "{report}");
    let mut go_on = Command::new("bash");
    go_on.args(["-c", report]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = go_on.spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("stdin")?, answers("n").as_bytes())?;
    let out = child.wait_with_output()?;
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(deployment.state()?, before);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    Ok(())
}

#[test]
fn a_failing_health_check_keeps_the_old_database_and_prints_how_to_swap_it_back() -> Result<()> {
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
    let report =
        run.stderr.lines().find_map(|l| l.split_once("to swap it back: ")).context("no command")?.1;
    sh(Path::new("/"), report)?;
    std::fs::write(&env, &text)?;
    assert_eq!(deployment.state()?, newer);
    // Swapped back, there is no restore to complete, and what stands beside is kept.
    deployment.restore(&bundle, &["--from", "health"], "")?.expect(5);
    deployment.run_script("restore.sh", &["--abandon"], "")?.expect(0);
    assert_eq!(databases(&deployment)?, "piprio piprio_previous postgres");
    deployment.backup(&[])?.expect(0);
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
    deployment.restore(&bundle, &["--resume"], "")?.expect(0);
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
fn a_signal_at_the_swap_reports_the_true_state() -> Result<()> {
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
        assert!(words.contains("--resume"), "{words}");
        deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
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
        assert!(
            words.contains("the old database is as it was; api worker are running again"),
            "{words}"
        );
        assert_eq!(databases(&deployment)?, "piprio postgres", "{words}");
        assert_eq!(deployment.state()?, before);
        deployment.health_check()?.expect(0);
    }
    Ok(())
}

#[test]
fn a_signal_while_an_answer_is_waited_for_ends_the_restore_and_is_reported() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    for (question, given, signal, status, state) in [
        ("Type the deployment's domain", "", "INT", 130, "nothing was changed"),
        ("Replace secrets/", DOMAIN, "TERM", 143, "half restored; api worker are left stopped"),
    ] {
        let printed = tempfile::NamedTempFile::new()?;
        let mut command = deployment.script("restore.sh", &[]);
        command.arg(&bundle).stdin(Stdio::piped()).stderr(printed.reopen()?).stdout(Stdio::null());
        let mut child = command.spawn()?;
        let mut answers = child.stdin.take().context("stdin")?;
        answers
            .write_all(format!("{given}\n").repeat(usize::from(!given.is_empty())).as_bytes())?;
        let words = || std::fs::read_to_string(printed.path());
        wait_until("the question", || Ok(words()?.contains(question)))?;
        sh(Path::new("/"), &format!("kill -{signal} {}", child.id()))?;
        let ended = wait_until("the end", || Ok(child.try_wait()?.is_some()));
        child.kill()?;
        ended?;
        assert_eq!(child.wait()?.code(), Some(status));
        assert!(words()?.contains(state), "{}", words()?);
    }
    deployment.restore(&bundle, &["--resume"], &answers("n"))?.expect(0);
    Ok(())
}
