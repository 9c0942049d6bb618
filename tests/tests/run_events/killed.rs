//! Runs that are killed where a record alone does not show it: before it begins, and after its end.

use crate::hooks::write_hook;
use crate::metrics::{measured, samples, value};
use crate::{configure, record, replace};
use anyhow::{Context, Result, ensure};
use bundle_format::report::RunKind::Backup;
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use test_kit::deployment::Deployment;
use test_kit::process::wait_until;
use test_kit::receiver::{Manner, Receiver, lines, messages};

/// A deployment, and what is sent to its operator.
struct Watched {
    deployment: Deployment,
    metrics: PathBuf,
    hooks: Receiver,
}

impl Watched {
    fn new(pings: &Receiver) -> Result<Self> {
        let hooks = Receiver::start(Manner::Status(200))?;
        let (deployment, metrics) = measured(&format!(
            "\nNOTIFY_PING=http://{}/p\nNOTIFY_URL=http://{}/u\n",
            pings.address(),
            hooks.address()
        ))?;
        Ok(Self { deployment, metrics, hooks })
    }

    /// Starts a backup, and kills all of it as soon as something is so.
    fn kill_when(&self, what: &str, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        let mut command = self.deployment.script("backup.sh", &[]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn()?;
        let reached = wait_until(what, is_so);
        let group = Pid::from_raw(i32::try_from(child.id())?).context("a process group")?;
        kill_process_group(group, Signal::KILL)?;
        child.wait()?;
        reached
    }

    /// A backup succeeds; the messages that were sent until then, and how many failures are counted.
    fn succeeds(&self) -> Result<(Vec<(String, String)>, f64)> {
        self.deployment.backup(&[])?.expect(0);
        let left = std::fs::read_dir(self.deployment.dir().join(".restore"))?.flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        let is_begun = |name: &std::ffi::OsString| name.as_encoded_bytes().starts_with(b"begun");
        ensure!(!left.iter().any(is_begun), "{left:?}");
        let failures = value(&samples(&self.metrics)?, "piprio_backup_failed_runs_total");
        Ok((messages(&self.hooks.take())?, failures))
    }
}

#[test]
fn a_run_that_is_killed_before_it_holds_its_locks_is_reported_by_the_next() -> Result<()> {
    let pings = Receiver::start(Manner::Silent)?;
    let watched = Watched::new(&pings)?;
    // It waits for an answer to its first ping.
    watched.kill_when("the ping", || Ok(lines(&pings.take()) == ["POST /p/start"]))?;
    ensure!(record(&watched.deployment, Backup).is_err(), "it had come further");
    assert!(watched.hooks.take().is_empty());
    let (sent, failures) = watched.succeeds()?;
    let [(first, text), (second, _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((first.as_str(), second.as_str(), failures), ("failure", "recovery", 1.0));
    assert!(text.contains("backup failed: the run that began at "), "{text}");
    assert!(text.ends_with(" was killed, or the host went down"), "{text}");
    Ok(())
}

#[test]
fn a_run_that_is_killed_after_its_end_is_reported_if_it_had_failed_and_only_then() -> Result<()> {
    let pings = Receiver::start(Manner::Status(200))?;
    let watched = Watched::new(&pings)?;
    let reached = watched.deployment.dir().join("reached");
    // For as long as the run lives.
    let waits = format!("touch '{}'; while kill -0 $PPID; do sleep 0.1; done", reached.display());
    for when in ["after", "failed"] {
        write_hook(&watched.deployment, &format!("{when}-backup.d/1"), &waits)?;
    }
    configure(&watched.deployment, "\nHOOK_TIMEOUT_SECONDS=900\n")?;
    let is_reached = || Ok(reached.exists());
    let without_hooks = || -> Result<_> {
        std::fs::remove_file(&reached)?;
        let (hooks, aside) =
            ["hooks", "hooks.aside"].map(|d| watched.deployment.dir().join(d)).into();
        std::fs::rename(&hooks, &aside)?;
        let seen = watched.succeeds()?;
        std::fs::rename(&aside, &hooks)?;
        Ok(seen)
    };

    watched.kill_when("the hook", is_reached)?;
    assert_eq!(record(&watched.deployment, Backup)?.status, Some(0));
    // As the safety backup of a restore does, which replaces it.
    let record = watched.deployment.dir().join(".restore").join(Backup.record_name());
    std::fs::remove_file(&record)?;
    assert_eq!(without_hooks()?, (vec![], 0.0));

    let replaced = replace(&watched.deployment, "pg-snap", "exit 4")?;
    watched.kill_when("the hook", is_reached)?;
    replaced.put_back()?;
    assert!(watched.hooks.take().is_empty());
    std::fs::remove_file(&record)?;
    let (sent, failures) = without_hooks()?;
    let [(first, text), (second, _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((first.as_str(), second.as_str(), failures), ("failure", "recovery", 1.0));
    assert!(text.contains("backup failed with status 4 in database: the run that"), "{text}");
    assert!(text.ends_with(" went down, after it had failed"), "{text}");
    Ok(())
}
