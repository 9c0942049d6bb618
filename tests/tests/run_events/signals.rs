//! Runs that a signal ends.

use crate::metrics::{measured, samples, value};
use crate::{record, replace};
use anyhow::{Context, Result};
use bundle_format::report::RunKind::Backup;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use test_kit::deployment::Deployment;
use test_kit::process::wait_until;
use test_kit::receiver::{Manner, Receiver, lines, messages};

/// Starts a backup whose dump waits for ever, and ends it with a signal once it waits.
fn backup_ended_by(deployment: &Deployment, signal: Signal) -> Result<ExitStatus> {
    let begun = deployment.dir().join("begun");
    let replaced = replace(
        deployment,
        "pg-snap",
        &format!("touch '{}'; while kill -0 $PPID; do sleep 0.1; done", begun.display()),
    )?;
    let mut command = deployment.script("backup.sh", &[]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    wait_until("the dump", || Ok(begun.exists()))?;
    send(&child, signal)?;
    let status = child.wait()?;
    std::fs::remove_file(begun)?;
    replaced.put_back()?;
    Ok(status)
}

fn send(child: &Child, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process id")?;
    Ok(kill_process(pid, signal)?)
}

#[test]
fn a_run_that_a_signal_ends_reports_that_once_or_its_successor_does() -> Result<()> {
    let (pings, hooks) =
        (Receiver::start(Manner::Status(200))?, Receiver::start(Manner::Status(200))?);
    let (deployment, metrics) = measured(&format!(
        "\nNOTIFY_PING=http://{}/p\nNOTIFY_URL=http://{}/u\n",
        pings.address(),
        hooks.address()
    ))?;
    let status = backup_ended_by(&deployment, Signal::TERM)?;
    assert_eq!(status.code(), Some(143));
    assert_eq!(record(&deployment, Backup)?.status, Some(143));
    let found = samples(&metrics)?;
    let found =
        |name: &str| found.get(&format!("piprio_backup_{name}{{domain=\"demo.piprio.test\"}}"));
    assert_eq!((found("last_run_status"), found("failed_runs_total")), (Some(&143.0), Some(&1.0)));
    let sent = pings.take();
    assert_eq!(lines(&sent), ["POST /p/start", "POST /p/143"]);
    assert!(sent[1].body.contains("backup-run: ended by SIGTERM\n"), "{}", sent[1].body);
    assert!(sent[1].body.contains("no bundle was made"), "{}", sent[1].body);
    let failed = messages(&hooks.take())?;
    assert!(
        matches!(&failed[..], [(event, text)] if event == "failure" && text.contains("status 143")),
        "{failed:?}"
    );

    let status = backup_ended_by(&deployment, Signal::KILL)?;
    assert_eq!(status.signal(), Some(9));
    assert_eq!(lines(&pings.take()), ["POST /p/start"]);
    assert!(hooks.take().is_empty());
    deployment.backup(&[])?.expect(0);
    assert_eq!(lines(&pings.take()), ["POST /p/start", "POST /p/0"]);
    let sent = messages(&hooks.take())?;
    let events: Vec<_> = sent.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(events, ["failure", "recovery"]);
    assert!(sent[0].1.contains("was killed, or the host went down"), "{sent:?}");
    Ok(())
}

#[test]
fn a_killed_run_that_a_signal_kept_from_being_reported_is_reported_later_and_counted_once()
-> Result<()> {
    let (hooks, silent) = (Receiver::start(Manner::Status(200))?, Receiver::start(Manner::Silent)?);
    let (deployment, metrics) = measured(&format!("\nNOTIFY_URL=http://{}/u\n", hooks.address()))?;
    backup_ended_by(&deployment, Signal::KILL)?;
    let mut command = deployment.script("backup.sh", &[]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env("NOTIFY_URL", format!("http://{}/u", silent.address()));
    let mut child = command.spawn()?;
    wait_until("the report of the killed run", || Ok(!silent.take().is_empty()))?;
    send(&child, Signal::TERM)?;
    assert_eq!(child.wait()?.code(), Some(143));
    assert!(hooks.take().is_empty());
    deployment.backup(&[])?.expect(0);
    let sent = messages(&hooks.take())?;
    let events: Vec<_> = sent.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(events, ["failure", "recovery"], "{sent:?}");
    assert!(sent[0].1.contains("was killed, or the host went down"), "{sent:?}");
    assert_eq!(value(&samples(&metrics)?, "piprio_backup_failed_runs_total"), 2.0);
    Ok(())
}

#[test]
fn a_run_that_a_signal_ends_before_it_has_reported_its_beginning_reports_only_its_end() -> Result<()>
{
    let (pings, hooks) =
        (Receiver::start(Manner::Status(200))?, Receiver::start(Manner::Status(200))?);
    let (deployment, metrics) = measured(&format!(
        "\nNOTIFY_PING=http://{}/p\nNOTIFY_URL=http://{}/u\n",
        pings.address(),
        hooks.address()
    ))?;
    deployment.backup(&[])?.expect(0);
    pings.take();
    let (path, log) = (deployment.dir().join(".restore/events.lock"), deployment.dir().join("log"));
    let held = std::fs::File::open(&path)?;
    flock(&held, FlockOperation::NonBlockingLockExclusive)?;
    let mut command = deployment.script("backup.sh", &[]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
    let mut child = command.spawn()?;
    let open = format!("/proc/{}/fd", child.id());
    wait_until("the run to wait", || {
        let mut files = std::fs::read_dir(&open)?.flatten();
        Ok(files.any(|file| std::fs::read_link(file.path()).is_ok_and(|file| file == path)))
    })?;
    send(&child, Signal::TERM)?;
    wait_until("the signal", || Ok(std::fs::read_to_string(&log)?.contains("ended by SIGTERM")))?;
    drop(held);
    assert_eq!(child.wait()?.code(), Some(143));
    assert_eq!(lines(&pings.take()), ["POST /p/143"]);
    let sent = messages(&hooks.take())?;
    assert_eq!(sent.iter().map(|(event, _)| event.as_str()).collect::<Vec<_>>(), ["failure"]);
    deployment.backup(&[])?.expect(0);
    assert_eq!(messages(&hooks.take())?[0].0, "recovery");
    assert_eq!(value(&samples(&metrics)?, "piprio_backup_failed_runs_total"), 1.0);
    Ok(())
}
