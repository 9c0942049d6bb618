//! Programs that have a time limit, and leave no process behind when it is over.

use anyhow::{Context, Result};
use pipe_kit::cleanup;
use pipe_kit::mutex::lock;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a program is looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// How long it has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// The program's process group; none once the program has been waited for.
type Group = Arc<Mutex<Option<Pid>>>;

/// Runs a program in a process group of its own. Returns its status, or none if it did not end in time and was ended,
/// with all its children. A signal ends it too.
///
/// # Errors
/// If it cannot be started.
pub fn run(command: &mut Command, limit: Duration) -> Result<Option<ExitStatus>> {
    cleanup::halt_if_ending();
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.process_group(0).spawn();
    let mut child = child.with_context(|| format!("starting {name}"))?;
    let group: Group = Arc::new(Mutex::new(Pid::from_raw(child.id().cast_signed())));
    let ended = Arc::clone(&group);
    let guard = cleanup::on_failure(move || end(&ended));
    let status = wait(&mut child, &group, limit).with_context(|| format!("waiting for {name}"))?;
    match status {
        Some(_) => guard.disarm(),
        None => {
            drop(guard);
            child.wait().with_context(|| format!("waiting for {name}"))?;
        }
    }
    cleanup::halt_if_ending();
    Ok(status)
}

fn wait(child: &mut Child, group: &Group, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        {
            let mut group = lock(group);
            if let Some(status) = child.try_wait()? {
                *group = None;
                return Ok(Some(status));
            }
        }
        if begun.elapsed() >= limit {
            return Ok(None);
        }
        sleep(PAUSE);
    }
}

/// Ends the group: first with SIGTERM, and what is left of it with SIGKILL. Its leader is not waited for, so that the
/// group's number stays its own.
fn end(group: &Group) {
    let group = lock(group);
    let Some(pid) = *group else { return };
    let _ = kill_process_group(pid, Signal::TERM);
    // A stopped process receives the signal only when it continues.
    let _ = kill_process_group(pid, Signal::CONT);
    let begun = Instant::now();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    while begun.elapsed() < GRACE && matches!(waitid(WaitId::Pid(pid), options), Ok(None)) {
        sleep(PAUSE);
    }
    let _ = kill_process_group(pid, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_ends_in_time_gives_its_status() {
        let status = run(&mut sh("exit 3"), Duration::from_secs(60)).unwrap();
        assert_eq!(status.unwrap().code(), Some(3));
        assert!(run(&mut Command::new("/no/such/program"), GRACE).is_err());
    }

    #[test]
    fn one_that_does_not_is_ended_with_all_its_children() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = sh("sleep 1000 & trap '' TERM; sleep 1000");
        command.stdout(writer).stderr(Stdio::null());
        assert!(run(&mut command, Duration::from_millis(100)).unwrap().is_none());
        drop(command);
        // The end of the pipe comes only with the end of the last of them.
        assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
    }
}
