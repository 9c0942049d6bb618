//! Other programs, found by name on PATH, as commands that can be shown and run.

use crate::{Exit, Stop, child, cleanup, written};
use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::de::DeserializeOwned;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Input {
    Empty,
    Ours,
    File(PathBuf),
    Text(Vec<u8>),
}

/// One command: a program, its arguments, and where its input comes from and its output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    removed: Vec<OsString>,
    input: Input,
    output: Option<PathBuf>,
}

impl Tool {
    /// A command without arguments yet. Its standard input is empty, so that it reads nothing that is meant for
    /// its caller.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            removed: Vec::new(),
            input: Input::Empty,
            output: None,
        }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, arguments: I) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// With variables beyond those of our own environment, or in their place.
    #[must_use]
    pub fn envs(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Without variables of our own environment. What [`Tool::envs`] adds stays, in whatever order they are called.
    #[must_use]
    pub fn env_remove(mut self, names: impl IntoIterator<Item = OsString>) -> Self {
        self.removed.extend(names);
        self
    }

    /// With a file as standard input.
    #[must_use]
    pub fn input(mut self, file: &Path) -> Self {
        self.input = Input::File(file.to_owned());
        self
    }

    /// With a text as standard input.
    #[must_use]
    pub fn input_text(mut self, text: Vec<u8>) -> Self {
        self.input = Input::Text(text);
        self
    }

    /// With our own standard input.
    #[must_use]
    pub fn inherit_input(mut self) -> Self {
        self.input = Input::Ours;
        self
    }

    /// With a file as standard output, which is created with mode 0600.
    #[must_use]
    pub fn output(mut self, file: &Path) -> Self {
        self.output = Some(file.to_owned());
        self
    }

    /// As it would be typed.
    #[must_use]
    pub fn to_shell(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let words: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
        let mut line = shell_words::join(&words);
        let mut redirect = |sign: &str, file: &Path| {
            line += &format!(" {sign} {}", shell_words::quote(&file.to_string_lossy()));
        };
        if let Input::File(input) = &self.input {
            redirect("<", input);
        }
        if let Some(output) = &self.output {
            redirect(">", output);
        }
        line
    }

    fn name(&self) -> String {
        Path::new(&self.program).file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn command(&self) -> Result<Command> {
        // Its output is a new file, which must not come into a directory that is being removed.
        cleanup::halt_if_ending();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for name in &self.removed {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(match &self.input {
            Input::Empty => Stdio::null(),
            Input::Ours => Stdio::inherit(),
            Input::File(path) => {
                File::open(path).with_context(|| format!("opening {}", path.display()))?.into()
            }
            Input::Text(text) => in_memory(text).context("its standard input")?.into(),
        });
        if let Some(path) = &self.output {
            command.stdout(create(path)?);
        }
        Ok(command)
    }

    /// Starts it, beside what else runs. What it prints goes where [`Tool::run`] has it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self) -> Result<Started> {
        let mut command = self.command()?;
        if self.output.is_none() {
            command.stdout(io::stderr().as_fd().try_clone_to_owned()?);
        }
        Ok(Started(child::spawn(&mut command, self.name())?))
    }

    /// Runs it to its end. What it prints, where no file takes it, is for the operator and goes to stderr: it must
    /// not be taken for data of ours.
    ///
    /// # Errors
    /// If it does not end with 0; with its own exit status, if that is one of [`Exit`].
    pub fn run(&self) -> Result<()> {
        self.start()?.finish()
    }

    /// Runs it to its end, and writes what it prints to its output file ourselves; `observe` gets every piece that was
    /// written, in order. Returns the finished file.
    ///
    /// # Errors
    /// As [`Tool::run`]; if the file cannot be written, or no output file was named.
    pub fn run_observed(&self, observe: impl FnMut(&[u8])) -> Result<File> {
        let path = self.output.as_ref().with_context(|| format!("{}: no file", self.name()))?;
        let mut command = self.command()?;
        let mut file = create(path)?;
        let mut running = child::spawn(command.stdout(Stdio::piped()), self.name())?;
        // Where it fails, the program is ended.
        written::copy(&mut running, &mut file, observe)
            .with_context(|| format!("writing {}", path.display()))?;
        ended(running.finish()?)?;
        Ok(file)
    }

    /// Runs it to its end. Its standard output, where no file takes it, is ours.
    ///
    /// # Errors
    /// As [`Tool::run`].
    pub fn run_to_stdout(&self) -> Result<()> {
        ended(child::spawn(&mut self.command()?, self.name())?.finish()?)
    }

    /// Runs it to its end, and prints nothing of what it writes to stderr.
    ///
    /// # Errors
    /// As [`Tool::run`]; the error holds a line of its stderr.
    pub fn run_quietly(&self) -> Result<()> {
        let mut command = self.command()?;
        if self.output.is_none() {
            command.stdout(Stdio::null());
        }
        ended(child::spawn_captured(&mut command, self.name())?.finish()?)
    }

    /// Runs it and returns what it prints.
    ///
    /// # Errors
    /// If it does not end with 0; the error holds the end of its stderr.
    pub fn capture(&self) -> Result<String> {
        child::capture(&mut self.command()?, self.name())
    }

    /// Runs it and returns what it prints, read as JSON.
    ///
    /// # Errors
    /// If it does not end with 0, or prints something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.capture()?)
            .with_context(|| format!("reading the report of {}", self.to_shell()))
    }

    /// Runs it and returns its report, read as JSON, whatever its exit status is.
    ///
    /// # Errors
    /// If there is no report; with its own exit status, if that is one of [`Exit`].
    pub fn report<T: DeserializeOwned>(&self) -> Result<T> {
        let mut command = self.command()?;
        command.stdout(Stdio::piped());
        let mut running = child::spawn_captured(&mut command, self.name())?;
        let mut text = String::new();
        if let Some(mut stdout) = running.take_stdout() {
            stdout
                .read_to_string(&mut text)
                .with_context(|| format!("reading from {}", self.name()))?;
        }
        let finished = running.finish()?;
        match serde_json::from_str(&text) {
            Ok(report) => Ok(report),
            Err(_) if !finished.status.success() => Err(failure(finished)),
            Err(error) => {
                Err(error).with_context(|| format!("reading the report of {}", self.to_shell()))
            }
        }
    }
}

/// A command that runs beside what else does. Dropped before [`Started::finish`], it is ended, and has ended then.
pub struct Started(child::Running);

impl Started {
    /// Waits for its end.
    ///
    /// # Errors
    /// As [`Tool::run`].
    pub fn finish(self) -> Result<()> {
        ended(self.0.finish()?)
    }
}

/// A file that is on no disk, at its beginning.
fn in_memory(text: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file)
}

fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).with_context(|| format!("creating {}", path.display()))
}

fn ended(finished: child::Finished) -> Result<()> {
    if finished.status.success() { Ok(()) } else { Err(failure(finished)) }
}

/// A tool's failure, with its status where that is one that callers act on.
fn failure(finished: child::Finished) -> anyhow::Error {
    let exit = match finished.status.code() {
        Some(3) => Exit::Incomplete,
        Some(4) => Exit::Damaged,
        Some(5) => Exit::Refused,
        _ => Exit::Failed,
    };
    Stop::with_exit(exit, format!("{:#}", finished.into_error())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn is_shown_as_it_would_be_typed() {
        let tool = Tool::new("cfg-pack").arg("a b").input(Path::new("/x y"));
        assert_eq!(tool.to_shell(), "cfg-pack 'a b' < '/x y'");
        let tool = Tool::new("pg-snap").arg("dump").inherit_input().output(Path::new("/x y"));
        assert_eq!(tool.to_shell(), "pg-snap dump > '/x y'");
    }

    #[test]
    fn the_tools_own_status_is_handed_on() {
        let status = |code: &str| {
            let error = Tool::new("sh").args(["-c", &format!("exit {code}")]).run().unwrap_err();
            crate::status::of(&error)
        };
        assert_eq!(status("3"), Exit::Incomplete);
        assert_eq!(status("4"), Exit::Damaged);
        assert_eq!(status("7"), Exit::Failed);
        assert_eq!(status("143"), Exit::Failed);
    }

    #[test]
    fn a_variable_that_is_removed_and_added_has_the_added_value() {
        let tool = Tool::new("sh").args(["-c", "echo ${PATH-none} ${HOME-none}"]);
        let tool = tool.envs([("PATH".to_owned(), "/added:/bin:/usr/bin".to_owned())]);
        let tool = tool.env_remove(["PATH", "HOME"].map(OsString::from));
        assert_eq!(tool.capture().unwrap(), "/added:/bin:/usr/bin none\n");
    }

    #[test]
    fn what_it_prints_lies_in_a_file_that_others_cannot_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out");
        let tool = Tool::new("sh").args(["-c", "echo $WHAT"]).output(&file);
        tool.envs([("WHAT".to_owned(), "text".to_owned())]).run().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text\n");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let failing =
            Tool::new("sh").args(["-c", "echo half; echo 'why' >&2; exit 4"]).output(&file);
        let error = failing.run_quietly().unwrap_err();
        assert_eq!(error.to_string(), "sh ended with status 4: why");
        assert_eq!(crate::status::of(&error), Exit::Damaged);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "half\n");
    }

    #[test]
    fn what_is_observed_is_what_lies_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let tool = Tool::new("sh").args(["-c", "head -c 3000000 /dev/urandom"]).output(&path);
        let mut observed: Vec<u8> = Vec::new();
        let file = tool.run_observed(|bytes| observed.extend(bytes)).unwrap();
        assert!(observed.len() == 3_000_000 && observed == std::fs::read(&path).unwrap());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_program_that_fails_after_its_last_byte_fails() {
        let dir = tempfile::tempdir().unwrap();
        let tool = Tool::new("sh").args(["-c", "echo half; exit 4"]).output(&dir.path().join("a"));
        let error = tool.run_observed(|_| ()).unwrap_err();
        assert_eq!(crate::status::of(&error), Exit::Damaged);
    }

    #[test]
    fn a_full_disk_ends_the_program_and_names_the_file() {
        let tool = Tool::new("sh").args(["-c", "while echo more; do :; done; exec sleep 1000"]);
        let error = tool.output(Path::new("/dev/full")).run_observed(|_| ()).unwrap_err();
        assert!(format!("{error:#}").starts_with("writing /dev/full: No space left"), "{error:#}");
    }

    #[test]
    fn a_process_that_keeps_the_output_open_does_not_hold_up_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let tool = Tool::new("sh").args(["-c", "sleep 1000 2>&- & echo $!; exit 0"]).output(&path);
        tool.run_observed(|_| ()).unwrap();
        let left = std::fs::read_to_string(&path).unwrap();
        Tool::new("kill").arg(left.trim_end()).run().unwrap();
    }

    #[test]
    fn a_command_beside_others_ends_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let ended = dir.path().join("ended");
        let script = format!(
            "trap 'touch {}; exit 0' TERM; echo; while :; do sleep 0.05; done",
            ended.display()
        );
        let out = dir.path().join("out");
        let started = Tool::new("sh").args(["-c", &script]).output(&out).start().unwrap();
        while std::fs::read(&out).unwrap().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        drop(started);
        assert!(ended.exists());
        let failing = Tool::new("sh").args(["-c", "exit 3"]).start().unwrap();
        assert_eq!(crate::status::of(&failing.finish().unwrap_err()), Exit::Incomplete);
    }

    #[test]
    fn a_text_is_its_standard_input() {
        let tool = Tool::new("cat").input_text(b"known\n".to_vec());
        assert_eq!(tool.capture().unwrap(), "known\n");
    }
}
