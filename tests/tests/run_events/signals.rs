//! Runs that a signal ends.

use crate::metrics::{measured, samples};
use crate::{record, replace};
use anyhow::{Context, Result};
use bundle_format::report::RunKind::Backup;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
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
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process id")?;
    kill_process(pid, signal)?;
    let status = child.wait()?;
    std::fs::remove_file(begun)?;
    replaced.put_back()?;
    Ok(status)
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
