//! Other programs, asked with a time limit.

use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::child;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// A program's standard output; one that takes too long is ended.
///
/// # Errors
/// If it cannot be started, fails, or takes longer than the limit.
pub fn ask(command: &mut Command, what: &str, timeout: Duration) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = child::spawn_captured(command, what)?;
    let mut pipe = running.take_stdout().with_context(|| format!("{what}: no output"))?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let result = pipe.read_to_string(&mut text).map(|_| text);
        let _ = send.send(result);
    });
    match receive.recv_timeout(timeout) {
        Ok(text) => {
            running.wait()?;
            text.map_err(|e| anyhow!(e).context(format!("reading from {what}")))
        }
        // Leaving drops the child, which ends it.
        Err(_) => bail!("no answer in {} s", timeout.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_hangs_is_ended_and_one_that_fails_is_told() {
        let limit = Duration::from_millis(100);
        let error = ask(&mut sh("exec sleep 1000"), "it", limit).unwrap_err();
        assert!(error.to_string().starts_with("no answer"));
        let error = ask(&mut sh("echo half; echo why >&2; exit 1"), "it", Duration::from_secs(60));
        assert_eq!(error.unwrap_err().to_string(), "it ended with status 1: why");
    }
}
