//! Receivers that are dead, slow or wrong: a run takes a little longer, and ends as it would have.

use crate::{deployment, record, replace};
use anyhow::{Context, Result, ensure};
use bundle_format::report::RunKind::Backup;
use bundle_format::report::{ComponentBytes, RunRecord};
use chrono::DateTime;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process_group};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use test_kit::deployment::{Deployment, Run};
use test_kit::process::wait_until;
use test_kit::receiver::{Manner, Receiver, lines};

/// How long all deliveries of a run may take together, in seconds. The documentation promises less than ten.
const MOST: f64 = 9.0;

/// A backup whose notifications go to an address.
pub fn backup_notifying(deployment: &Deployment, url: &str, roots: Option<&Path>) -> Result<Run> {
    let mut command = deployment.script("backup.sh", &[]);
    command
        .env("NOTIFY_PING", format!("{url}/planted-ping"))
        .env("NOTIFY_URL", format!("{url}/planted-url"));
    if let Some(roots) = roots {
        command.env("SSL_CERT_FILE", roots);
    }
    // One that waits for ever fails the test, and does not hang it.
    let mut limited = std::process::Command::new("timeout");
    limited.args(["--kill-after=10", "180"]).arg(command.get_program()).args(command.get_args());
    limited.env_clear().current_dir("/");
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    test_kit::deployment::run(limited, "")
}

/// How long a run has waited for answers that did not come, as it reports itself: the message at the end is sent beside
/// the ping.
fn waited(run: &Run) -> Result<f64> {
    let mut waited = [vec![], vec![]];
    for line in run.stderr.lines() {
        let Some((who, seconds)) = line.split_once(" was not notified: no answer within ") else {
            continue;
        };
        let seconds: f64 = seconds.trim_end_matches(" s").parse()?;
        waited[usize::from(who.ends_with("NOTIFY_URL"))].push(seconds);
    }
    let [pings, messages] = waited;
    // Those of a killed run come before.
    let of_killed = messages.len().saturating_sub(1);
    Ok(messages[..of_killed].iter().chain(&pings).sum())
}

/// The record of a run without what differs from one to the next.
fn timeless(record: RunRecord) -> RunRecord {
    let mut stages = record.stages;
    stages.iter_mut().for_each(|stage| stage.seconds = None);
    RunRecord {
        started: DateTime::UNIX_EPOCH,
        ended: None,
        last_success: None,
        bundle: record.bundle.map(|_| PathBuf::new()),
        bytes: ComponentBytes::default(),
        stages,
        ..record
    }
}

/// An address whose connections are never accepted, and those that fill its queue.
fn full() -> Result<(SocketAddr, TcpListener, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, mut waiting) = (listener.local_addr()?, Vec::new());
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        waiting.push(stream);
        ensure!(waiting.len() < 10_000, "its queue has no end");
    }
    Ok((address, listener, waiting))
}

#[test]
fn a_receiver_that_is_dead_slow_or_wrong_changes_nothing_but_a_warning() -> Result<()> {
    let deployment = deployment("")?;
    deployment.backup(&[])?.expect(0);
    let undisturbed = timeless(record(&deployment, Backup)?);
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let start = |manner| Receiver::start(manner);
    let (silent, dripping) = (start(Manner::Silent)?, start(Manner::Dripping)?);
    let (broken, elsewhere) = (start(Manner::Status(500))?, start(Manner::Status(302))?);
    let (full, _listener, _waiting) = full()?;
    for (address, why) in [
        (closed.as_str(), "no connection"),
        (silent.address(), "no answer within"),
        (dripping.address(), "no answer within"),
        (&full.to_string(), "no answer within"),
        (broken.address(), "the answer is 500"),
        (elsewhere.address(), "the answer is 302"),
        ("no-such-host.invalid", "its host cannot be reached"),
    ] {
        let bundles = deployment.bundles()?.len();
        let run = backup_notifying(&deployment, &format!("http://{address}"), None)?.expect(0);
        assert_eq!(deployment.bundles()?.len(), bundles + 1);
        let newest = deployment.newest_bundle()?;
        assert!(run.stdout.starts_with(&newest.display().to_string()), "{}", run.stdout);
        let verified = deployment.stage("bundle-manifest", &["verify"]).arg(&newest).output()?;
        assert!(verified.status.success(), "{address}");
        assert_eq!(timeless(record(&deployment, Backup)?), undisturbed, "{address}");
        let warning = format!("backup-run: warning: NOTIFY_PING was not notified: {why}");
        assert_eq!(run.stderr.matches(&warning).count(), 2, "{address}: {}", run.stderr);
        assert!(!run.stderr.contains("planted"), "{}", run.stderr);
        let (waited, is_slow) = (waited(&run)?, why.starts_with("no answer"));
        ensure!((waited > 0.0) == is_slow && waited < MOST + 0.1, "{address}: {waited} s");
    }
    for receiver in [silent, dripping, broken, elsewhere] {
        assert_eq!(receiver.take().len(), 2);
    }
    Ok(())
}

#[test]
fn a_run_that_fails_or_reports_a_killed_one_too_waits_no_longer() -> Result<()> {
    let deployment = deployment("")?;
    let silent = Receiver::start(Manner::Silent)?;
    let url = format!("http://{}", silent.address());
    // Killed while it waits for an answer to its first ping.
    let mut killed = deployment.script("backup.sh", &[]);
    killed.env("NOTIFY_PING", format!("{url}/planted-ping"));
    killed.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut killed = killed.process_group(0).spawn()?;
    let pinged = wait_until("the ping", || Ok(!lines(&silent.take()).is_empty()));
    let group = Pid::from_raw(i32::try_from(killed.id())?).context("a process group")?;
    kill_process_group(group, Signal::KILL)?;
    killed.wait()?;
    pinged?;

    let replaced = replace(&deployment, "pg-snap", "exit 4")?;
    let run = backup_notifying(&deployment, &url, None)?.expect(4);
    replaced.put_back()?;
    assert!(run.stderr.contains("no bundle was made"), "{}", run.stderr);
    assert_eq!(record(&deployment, Backup)?.status, Some(4));
    let mut sent = silent.take();
    let ended = sent.split_off(2);
    // Of the killed one, and of its own beginning.
    assert_eq!(lines(&sent), ["POST /planted-url", "POST /planted-ping/start"]);
    let mut ended = lines(&ended);
    ended.sort_unstable();
    // What was not delivered of the killed one is sent again.
    assert_eq!(ended, ["POST /planted-ping/4", "POST /planted-url", "POST /planted-url"]);
    let waited = waited(&run)?;
    ensure!(waited > 2.5 && waited < MOST + 0.1, "{waited} s: {}", run.stderr);

    let lock = std::fs::File::open(deployment.dir().join(".restore/lock"))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    let run = backup_notifying(&deployment, &url, None)?.expect(5);
    assert!(run.stderr.contains("another backup or restore is running"), "{}", run.stderr);
    ensure!(self::waited(&run)? < MOST + 0.1, "{}", run.stderr);
    drop(lock);
    deployment.backup(&[])?.expect(0);
    Ok(())
}

#[test]
fn a_recovery_that_nobody_received_is_sent_again() -> Result<()> {
    let deployment = deployment("")?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    // A failure stays the failure that it is.
    let replaced = replace(&deployment, "pg-snap", "exit 4")?;
    let run = backup_notifying(&deployment, &format!("http://{closed}"), None)?.expect(4);
    assert!(run.stderr.contains("NOTIFY_URL was not notified"), "{}", run.stderr);
    replaced.put_back()?;
    let receiver = Receiver::start(Manner::Status(200))?;
    for (address, received) in
        [(closed.as_str(), 0), (receiver.address(), 1), (receiver.address(), 0)]
    {
        backup_notifying(&deployment, &format!("http://{address}"), None)?.expect(0);
        let sent = receiver.take();
        assert_eq!(sent.iter().filter(|r| r.line == "POST /planted-url").count(), received);
    }
    Ok(())
}
