//! Other programs, run with a time limit.

use crate::limit::Limit;
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::{child, cleanup};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// A program's standard output. A program that takes too long is ended with every process that it started, so that
/// a client that hangs does not stay behind at each check.
pub fn output(command: &mut Command, what: &str, limit: Limit) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut running = child::spawn_captured(command, what)?;
    let group = Pid::from_raw(running.id().cast_signed());
    let guard = cleanup::on_failure(move || {
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::TERM);
        }
    });
    let mut pipe = running.take_stdout().with_context(|| format!("{what}: no output"))?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let result = pipe.read_to_string(&mut text).map(|_| text);
        let _ = send.send(result);
    });
    match receive.recv_timeout(limit.left()) {
        Ok(text) => {
            guard.disarm();
            running.wait()?;
            text.map_err(|e| anyhow!(e).context(format!("reading from {what}")))
        }
        Err(_) => {
            drop(guard);
            // Returning drops the child, which ends it.
            bail!(limit.no_answer())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_hangs_is_ended_and_one_that_fails_is_reported() {
        let limit = Limit::of(Duration::from_millis(100));
        let error = output(&mut sh("exec sleep 1000"), "it", limit).unwrap_err();
        assert_eq!(error.to_string(), "no answer in 0.1 s");
        let limit = Limit::of(Duration::from_secs(60));
        let error = output(&mut sh("echo half; echo why >&2; exit 1"), "it", limit);
        assert_eq!(error.unwrap_err().to_string(), "it ended with status 1: why");
    }

    #[test]
    fn what_a_hanging_program_has_started_is_ended_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let limit = Limit::of(Duration::from_secs(1));
        output(&mut sh(&script), "it", limit).unwrap_err();
        let pid = std::fs::read_to_string(&file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let is_there = || std::fs::read_to_string(&stat).is_ok_and(|s| !s.contains(") Z "));
        let start = Instant::now();
        while is_there() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!is_there());
    }
}
