//! A run's system calls, as `strace` records them.

use crate::deployment::Run;
use crate::process::PATIENCE;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A finished run, and what it asked of the system.
#[derive(Debug)]
pub struct Traced {
    /// How it ended.
    pub run: Run,
    /// What strace wrote.
    pub trace: String,
}

/// Why nothing can be traced on this machine; none if it can.
///
/// # Errors
/// If strace cannot be asked.
pub fn why_not() -> Result<Option<String>> {
    let asked = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    match asked {
        Ok(output) if output.status.success() => Ok(None),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Ok(Some(format!("strace cannot trace here: {words}")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("strace is not installed (scripts/dependencies.sh installs it)")
        }
        Err(error) => Err(error).context("running strace"),
    }
}

/// Runs a command and all that it starts under `strace -f` with further options. Services that it
/// has started continue when it has ended, untraced.
///
/// # Errors
/// If it cannot be started, or does not end in time.
pub fn run(command: &Command, options: &[&str]) -> Result<Traced> {
    let dir = tempfile::tempdir().context("a directory")?;
    let file = |name: &str| dir.path().join(name);
    let mut strace = Command::new("strace");
    // Else it blocks the signal that is to end it.
    strace
        .args(["-f", "--seccomp-bpf", "-q", "-I", "2"])
        .args(options)
        .arg("-o")
        .arg(file("trace"));
    // strace itself would end only with the last service.
    let script = r#"cd "$1"; "${@:2}" >out 2>err; echo $? >ended; mv ended status"#;
    strace.args(["bash", "-c", script, "-"]).arg(dir.path());
    strace.arg(command.get_program()).args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        strace.envs(value.map(|value| (name, value)));
    }
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = strace.spawn().context("starting strace")?;
    let until = Instant::now() + PATIENCE * 3;
    while !file("status").exists() {
        let ended = child.try_wait().context("strace")?;
        ensure!(
            ended.is_none() && Instant::now() < until,
            "the traced run does not end: {ended:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process(pid, Signal::TERM);
    }
    child.wait().context("waiting for strace")?;
    let text = |name: &str| -> Result<String> {
        let bytes = std::fs::read(file(name)).with_context(|| format!("a traced run's {name}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let status = text("status")?.trim().parse().context("a status")?;
    let run = Run { status, stdout: text("out")?, stderr: text("err")? };
    Ok(Traced { run, trace: text("trace")? })
}

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments and result, as strace spells them.
    pub text: String,
    /// The lines of the trace on which it began and ended.
    pub lines: (usize, usize),
}

impl Call {
    /// Whether it did what it was asked to.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.text.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-'))
    }

    /// The path of its first descriptor, from strace's option `-y`.
    #[must_use]
    pub fn descriptor(&self) -> Option<String> {
        let (number, rest) = self.text.split_once('<')?;
        let (path, _) = rest.split_once('>')?;
        let is_first = number.trim_end_matches(|c: char| c.is_ascii_digit()).is_empty();
        is_first.then(|| unescaped(path))
    }

    /// Its quoted arguments, in order, each made absolute with the directory that it is relative to.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut rest = self.text.as_str();
        while let Some((before, after)) = rest.split_once('"') {
            let Some((quoted, after)) = after.split_once('"') else { break };
            let directory = before.rsplit_once('<').and_then(|(_, dir)| dir.split_once('>'));
            paths.push(unescaped(&match directory {
                Some((directory, _)) if !quoted.starts_with('/') => format!("{directory}/{quoted}"),
                _ => quoted.to_owned(),
            }));
            rest = after;
        }
        paths
    }
}

/// A path as it is: strace writes what is not ASCII as `\303\234`.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The calls of a trace, in the order in which they ended.
#[must_use]
pub fn calls(trace: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((process, text)) = text.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(text) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(process, (line, text));
            continue;
        }
        let (first, whole) = match text.strip_prefix("<... ") {
            Some(resumed) => {
                let Some((first, text)) = begun.remove(process) else { continue };
                let rest = resumed.split_once(" resumed>").map_or("", |(_, rest)| rest);
                (first, format!("{text}{rest}"))
            }
            None => (line, text.to_owned()),
        };
        if let Some((name, text)) = whole.split_once('(') {
            calls.push(Call { name: name.to_owned(), text: text.to_owned(), lines: (first, line) });
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_another_interrupts_is_one_call() {
        let trace = "7 fsync(3</a/b> <unfinished ...>\n8 write(1</c>, \"\"..., 4) = 4\n\
                     7 <... fsync resumed>)       = 0\n9 rename(\"/a\", \"/b\") = -1 ENOENT (No)\n";
        let calls = calls(trace);
        assert_eq!(calls.iter().map(|c| c.lines).collect::<Vec<_>>(), [(1, 1), (0, 2), (3, 3)]);
        assert_eq!(calls[1].descriptor().as_deref(), Some("/a/b"));
        assert!(calls[1].is_done() && !calls[2].is_done());
        assert_eq!(calls[2].paths(), ["/a", "/b"]);
    }

    #[test]
    fn a_name_that_is_not_ascii_is_read_as_it_is() {
        assert_eq!(unescaped(r"/a/\303\234b\n"), "/a/Üb\\n");
    }

    #[test]
    fn a_path_is_reported_with_the_directory_that_it_is_relative_to() {
        let text = r#"AT_FDCWD</here>, "a", 5</there>, "b", 0) = 0"#.to_owned();
        let call = Call { name: "renameat2".into(), text, lines: (0, 0) };
        assert_eq!(call.paths(), ["/here/a", "/there/b"]);
        assert_eq!(call.descriptor(), None);
    }
}
