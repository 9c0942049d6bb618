//! Clients of the engine, as children: each ends within its limit, and with us.

use crate::guarded::{self, Held};
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::cleanup::{self, Guard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a client has to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);

/// A running client.
pub struct Client {
    child: Child,
    ended: OwnedFd,
    held: Held<Process>,
    guard: Guard,
}

/// How a client is ended from another thread.
struct Process {
    pidfd: OwnedFd,
    /// Its process group, where it has one of its own. A plugin of `docker` is a process in it.
    group: Option<Pid>,
}

impl Process {
    fn end(self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::TERM);
            has_ended(&self.pidfd, Some(GRACE));
            let _ = kill_process_group(group, Signal::KILL);
        } else {
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
        has_ended(&self.pidfd, Some(GRACE));
    }
}

/// Waits for the end of a process, for so long at most.
fn has_ended(pidfd: &OwnedFd, limit: Option<Duration>) -> bool {
    let start = Instant::now();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
        match poll(&mut ended, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.is_ok_and(|n| n > 0),
        }
    }
}

impl Client {
    /// Starts a client that may take any time, in our own process group: it may read a terminal. It
    /// is killed when a signal ends us.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: Command) -> Result<Self> {
        Self::spawn(command, false)
    }

    fn spawn(mut command: Command, in_own_group: bool) -> Result<Self> {
        let made = guarded::make(|| launch(&mut command, in_own_group), Process::end);
        let program = command.get_program().to_string_lossy();
        let ((child, ended), held, guard) = made.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!("{program} is not on PATH"),
            _ => anyhow!(error).context(format!("starting {program}")),
        })?;
        Ok(Self { child, ended, held, guard })
    }

    /// Waits for its end, and gives its status.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn wait(self) -> Result<ExitStatus> {
        self.wait_for(None)?.context("waiting without a limit")
    }

    /// Waits for its end, for so long at most; then ends it and gives `None`.
    fn wait_for(mut self, limit: Option<Duration>) -> Result<Option<ExitStatus>> {
        let is_in_time = has_ended(&self.ended, limit);
        let process = guarded::lock(&self.held).take();
        if let Some(process) = process.filter(|_| !is_in_time) {
            process.end();
        }
        self.guard.disarm();
        let status = self.child.wait().context("waiting for a child")?;
        cleanup::halt_if_ending();
        Ok(is_in_time.then_some(status))
    }
}

fn launch(command: &mut Command, in_own_group: bool) -> io::Result<(Process, (Child, OwnedFd))> {
    if in_own_group {
        command.process_group(0);
    }
    let mut child = command.spawn()?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let open = || {
        let pidfd = pidfd_open(pid.ok_or(io::ErrorKind::NotFound)?, PidfdFlags::empty())?;
        Ok((pidfd.try_clone()?, pidfd))
    };
    match open() {
        Ok((ended, pidfd)) => {
            let group = pid.filter(|_| in_own_group);
            Ok((Process { pidfd, group }, (child, ended)))
        }
        Err(error) => {
            let _ = child.kill().and_then(|()| child.wait());
            Err(error)
        }
    }
}

/// Runs a client to its end, within a limit. `what` names it in errors.
///
/// # Errors
/// If it cannot be started, or does not end in time.
pub fn run(command: Command, limit: Duration, what: &str) -> Result<ExitStatus> {
    match Client::spawn(command, true)?.wait_for(Some(limit))? {
        Some(status) => Ok(status),
        None => Err(late(what, limit)),
    }
}

/// Runs a client to its end, within a limit, and gives its status and what `read` has made of its
/// standard output.
///
/// # Errors
/// If it cannot be started, or does not end in time.
pub fn read<T: Send + 'static>(
    mut command: Command,
    limit: Duration,
    what: &str,
    read: impl FnOnce(ChildStdout) -> T + Send + 'static,
) -> Result<(ExitStatus, T)> {
    command.stdout(Stdio::piped());
    let mut client = Client::spawn(command, true)?;
    let pipe = client.child.stdout.take().context("no output pipe")?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(read(pipe)));
    let Some(status) = client.wait_for(Some(limit))? else { return Err(late(what, limit)) };
    match receive.recv_timeout(limit) {
        Ok(result) => Ok((status, result)),
        Err(_) => Err(late(what, limit)),
    }
}

/// The whole output as text.
///
/// # Errors
/// If the client cannot be started, fails, does not end in time, or writes what is not UTF-8.
pub fn text(command: Command, limit: Duration, what: &str) -> Result<String> {
    let (status, text) = read(command, limit, what, io::read_to_string)?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    text.with_context(|| format!("reading the output of {what}"))
}

fn late(what: &str, limit: Duration) -> anyhow::Error {
    anyhow!(
        "{what} did not end within {} s; check that the engine answers: docker info",
        limit.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    #[test]
    fn a_client_that_hangs_is_ended_with_all_that_it_has_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("trap '' TERM; sleep 1000 & echo $! > {}; wait", file.display());
        let error = run(sh(&script), Duration::from_millis(500), "docker ps").unwrap_err();
        assert!(error.to_string().starts_with("docker ps did not end within 0 s"), "{error}");
        let pid = std::fs::read_to_string(&file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let is_there = || std::fs::read_to_string(&stat).is_ok_and(|s| !s.contains(") Z "));
        let start = Instant::now();
        while is_there() && start.elapsed() < LONG {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!is_there());
    }

    #[test]
    fn an_answer_is_whole_or_an_error() {
        assert_eq!(text(sh("echo a; echo b"), LONG, "it").unwrap(), "a\nb\n");
        let error = text(sh("echo half; exit 3"), LONG, "it").unwrap_err();
        assert_eq!(error.to_string(), "it failed (exit status: 3)");
        let error = run(Command::new("no-such-program"), LONG, "it").unwrap_err();
        assert_eq!(error.to_string(), "no-such-program is not on PATH");
        let (status, ()) = read(sh("exec yes"), LONG, "it", drop).unwrap();
        assert!(!status.success());
    }

    #[test]
    fn a_client_that_was_dropped_is_ended() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut command = sh("exec sleep 1000");
        command.stdout(writer);
        drop(Client::start(command).unwrap());
        // The end of its output comes only with the end of the process.
        assert_eq!(io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
    }
}
