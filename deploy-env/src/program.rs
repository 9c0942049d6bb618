//! Programs that are asked, each with a time limit.

use anyhow::{Context, Result, bail};
use pipe_kit::{child, cleanup};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a program may take, unless its check knows better.
pub const LIMIT: Duration = Duration::from_secs(10);

/// How long one may take to end that took too long.
const GRACE: Duration = Duration::from_secs(2);

/// What a program has answered.
#[derive(Debug, Default)]
pub struct Answer {
    /// Its exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub text: String,
    /// The lines of its standard error.
    pub words: Vec<String>,
}

impl Answer {
    /// Whether it ended with 0.
    pub fn is_good(&self) -> bool {
        self.status == Some(0)
    }

    /// Its last words, or its status.
    pub fn why(&self) -> String {
        match (self.words.last(), self.status) {
            (Some(words), _) => words.clone(),
            (None, Some(status)) => format!("status {status}"),
            (None, None) => "ended by a signal".to_owned(),
        }
    }
}

/// The environment in which the tools of the deployment run: what is set, and what (`None`) is removed.
#[derive(Default)]
pub struct Tools(Vec<(OsString, Option<OsString>)>);

impl Tools {
    /// With the changes that make the settings known.
    pub fn new(changes: impl IntoIterator<Item = (OsString, Option<OsString>)>) -> Self {
        Self(changes.into_iter().collect())
    }

    /// A program with that environment, found on its PATH.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, value) in &self.0 {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// The PATH of that environment.
    pub fn path(&self) -> OsString {
        let set = self.0.iter().find(|(name, _)| name == "PATH");
        let own = || std::env::var_os("PATH").unwrap_or_default();
        set.and_then(|(_, value)| value.clone()).unwrap_or_else(own)
    }
}

/// Runs a program with a text as its standard input, and returns what it answers. One that takes too long is ended with
/// every process that it has started.
///
/// # Errors
/// If it cannot be started, or does not end in time.
pub fn ask(command: &mut Command, input: &str, limit: Duration) -> Result<Answer> {
    let name = command.get_program().to_string_lossy().into_owned();
    let what = name.rsplit('/').next().unwrap_or(&name).to_owned();
    let until = Instant::now() + limit;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    let mut running = child::spawn_captured(command, what.clone())?;
    let group = Pid::from_raw(running.id().cast_signed());
    let signal = move |signal| {
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    };
    let guard = cleanup::on_failure(move || signal(Signal::TERM));
    // The texts are shorter than a pipe holds, so that writing waits for nobody.
    if let Some(mut stdin) = running.take_stdin()
        && let Err(error) = stdin.write_all(input.as_bytes())
        && error.kind() != ErrorKind::BrokenPipe
    {
        return Err(error).with_context(|| format!("writing to {what}"));
    }
    let mut stdout = running.take_stdout().with_context(|| format!("{what}: no output"))?;
    let (send, receive) = mpsc::channel();
    // Either end may never come: of the output, and of whoever has kept the error output.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.read_to_end(&mut bytes).map(|_| bytes);
        let _ = send.send((read, running.finish()));
    });
    let rest = |until: Instant| until.saturating_duration_since(Instant::now());
    let Ok((bytes, finished)) = receive.recv_timeout(rest(until)) else {
        drop(guard);
        if receive.recv_timeout(GRACE).is_err() {
            signal(Signal::KILL);
        }
        bail!("{what} did not answer within {} s", limit.as_secs())
    };
    guard.disarm();
    let (bytes, finished) = (bytes.with_context(|| format!("reading from {what}"))?, finished?);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer { status: finished.status.code(), text, words: finished.stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Answer> {
        ask(Command::new("sh").args(["-c", script]), "in\n", limit)
    }

    #[test]
    fn status_output_and_last_words_are_the_answer() {
        let answer = sh("cat; echo one >&2; echo two >&2; exit 3", LIMIT).unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (Some(3), "in\n"));
        assert_eq!(answer.why(), "two");
        assert_eq!(sh("exit 4", LIMIT).unwrap().why(), "status 4");
        assert!(ask(&mut Command::new("no-such-program"), "", LIMIT).is_err());
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started() {
        for script in [
            "sleep 1000 & echo $! > \"$0\"; wait",
            // It has closed its output, lives on, and cannot be asked to end.
            "trap '' TERM; echo $$ > \"$0\"; exec >&- 2>&-; while :; do sleep 1; done",
            // It has ended, and something that it has started holds the error output.
            "trap '' TERM; (exec >&-; sleep 1000) & echo $! > \"$0\"",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let pid = dir.path().join("pid");
            let mut command = Command::new("sh");
            command.args(["-c", script]).arg(&pid);
            let error = ask(&mut command, "", Duration::from_millis(500)).unwrap_err();
            assert!(error.to_string().contains("did not answer within"), "{error}");
            let stat = format!("/proc/{}/stat", std::fs::read_to_string(pid).unwrap().trim());
            let is_gone = || {
                let text = std::fs::read_to_string(&stat).unwrap_or_default();
                text.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
            };
            let in_time = (0..500).any(|_| {
                std::thread::sleep(Duration::from_millis(10));
                is_gone()
            });
            assert!(in_time, "{script}");
        }
    }
}
