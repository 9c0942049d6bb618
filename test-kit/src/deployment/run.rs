//! A program run to its end, and what it left.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a finished run left.
#[derive(Clone, Debug)]
pub struct Run {
    /// The exit status; 128 + N for signal N, as a shell reports it.
    pub status: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Run {
    /// Itself, where it ended with the status that a test expects.
    ///
    /// # Panics
    /// If it did not, with all that it wrote.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        let Self { status: got, stdout, stderr } = &self;
        assert!(
            *got == status,
            "ended with {got}, not {status}\n-- stdout\n{stdout}\n-- stderr\n{stderr}"
        );
        self
    }

    pub(super) fn check(self, what: &str) -> Result<Self> {
        if self.status != 0 {
            bail!("{what} ended with {}: {}{}", self.status, self.stderr, self.stdout);
        }
        Ok(self)
    }
}

/// Runs a bash script in a directory; what it wrote to stdout.
///
/// # Errors
/// If a command of it fails, with what it wrote to stderr.
pub fn sh(dir: &Path, script: &str) -> Result<String> {
    let out =
        Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(dir).output()?;
    ensure!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A command in an environment as bare as cron's.
#[must_use]
pub fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs a command to its end with a text on stdin.
///
/// # Errors
/// If it cannot be started or waited for.
pub fn run(mut command: Command, stdin: &str) -> Result<Run> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {program}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // Answers are short and fit the pipe; who does not want them need not read them.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    let output = child.wait_with_output().with_context(|| format!("waiting for {program}"))?;
    let status = output.status.code().or(output.status.signal().map(|n| 128 + n)).unwrap_or(1);
    Ok(Run {
        status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
