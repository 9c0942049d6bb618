//! Programs that end within a limit.
//!
//! Not [`pipe_kit::child`], whose children a signal ends at once: an engine still creates what a client asked
//! for, and its container would come after our removal of it. A signal waits for these children instead, by the
//! lock that the caller holds ([`super::undo`]), and their limits bound that.

use crate::processes::is_readable;
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::text;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a program has to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// How much of a program's output is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// How a program ended.
pub struct Ended {
    pub status: ExitStatus,
    /// What it printed.
    pub text: String,
    errors: String,
}

/// Runs a program to its end, in a process group of its own: Ctrl-C must not end it before us. `what` names it in
/// errors.
///
/// # Errors
/// If it cannot be started, or does not end in time; then it is killed.
pub fn run(command: &mut Command, limit: Duration, what: &str) -> Result<ExitStatus> {
    let mut child = command.process_group(0).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("{what}: {} not found", command.get_program().to_string_lossy())
        }
        _ => anyhow!(error).context(what.to_owned()),
    })?;
    let pid = Pid::from_raw(child.id().cast_signed()).context("a process id")?;
    // Not waited for yet, so the id is its own.
    let is_in_time = pidfd_open(pid, PidfdFlags::empty()).map(|pidfd| {
        let is_in_time = is_readable(&pidfd, limit);
        if !is_in_time {
            let _ = kill_process_group(pid, Signal::TERM);
            is_readable(&pidfd, GRACE);
        }
        is_in_time
    });
    if is_in_time != Ok(true) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait().with_context(|| format!("waiting for {what}"))?;
    match is_in_time {
        Ok(true) => Ok(status),
        Ok(false) => Err(anyhow!("{what} did not end within {} s", limit.as_secs())),
        Err(error) => Err(error).with_context(|| format!("waiting for {what}")),
    }
}

/// The same, with what it prints, and without input.
///
/// # Errors
/// As [`run`].
pub fn read(command: &mut Command, limit: Duration, what: &str) -> Result<Ended> {
    read_from(Stdio::null(), command, limit, what)
}

/// The same, with this input.
///
/// # Errors
/// As [`run`].
pub fn read_from(
    input: impl Into<Stdio>,
    command: &mut Command,
    limit: Duration,
    what: &str,
) -> Result<Ended> {
    // Files rather than pipes: what a child of it keeps open does not keep us.
    let file = |name| memfd_create(name, MemfdFlags::CLOEXEC).map(File::from);
    let (mut out, mut err) = (file("output")?, file("errors")?);
    command.stdin(input).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let status = run(command, limit, what)?;
    let text = |file: &mut File| -> Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Ended { status, text: text(&mut out)?, errors: text(&mut err)? })
}

impl Ended {
    /// All that it printed, as a line.
    pub fn all(&self) -> String {
        text::one_line(format!("{}{}", self.text, self.errors).trim())
    }

    /// # Errors
    /// If the status is not 0; with the last line of its standard error.
    pub fn check(self, what: &str) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        let last = self.errors.lines().rev().find(|line| !line.trim().is_empty());
        match last {
            Some(last) => bail!("{what} failed ({}): {}", self.status, text::one_line(last.trim())),
            None => bail!("{what} failed ({})", self.status),
        }
    }
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
    fn what_hangs_is_ended_with_all_that_it_has_started() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut command = sh("trap '' TERM; sleep 1000 & wait");
        command.stdout(writer);
        let error = run(&mut command, Duration::from_millis(300), "it").unwrap_err();
        assert_eq!(error.to_string(), "it did not end within 0 s");
        drop(command);
        // Its end comes when no process has the pipe any more.
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn the_output_is_read_and_a_failure_has_the_last_line_of_its_errors() {
        let ended = read(&mut sh("echo a; echo b; echo why >&2; exit 3"), LONG, "it").unwrap();
        assert_eq!(ended.text, "a\nb\n");
        let error = ended.check("it").err().unwrap();
        assert_eq!(error.to_string(), "it failed (exit status: 3): why");
        let error = read(&mut Command::new("/no-such/program"), LONG, "it").err().unwrap();
        assert_eq!(error.to_string(), "it: /no-such/program not found");
    }
}
