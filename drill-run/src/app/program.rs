//! A program that a drill of the services starts, as a command that can be shown and run.

use super::environment;
use anyhow::{Context, Result};
use pipe_kit::child::{self, Finished};
use pipe_kit::{Exit, Stop};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    words: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    input: Option<PathBuf>,
    /// Whether it reads the deployment's configuration.
    of_deployment: bool,
}

impl Program {
    /// A command without arguments yet.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let words = vec![program.as_ref().to_owned()];
        Self { words, variables: Vec::new(), input: None, of_deployment: false }
    }

    /// With more arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.words.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// With one more variable.
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// With a file as standard input.
    pub fn input(mut self, file: &Path) -> Self {
        self.input = Some(file.to_owned());
        self
    }

    /// With the variables that name the deployment's configuration.
    pub fn of_deployment(mut self) -> Self {
        self.of_deployment = true;
        self
    }

    /// As it would be typed.
    pub fn to_shell(&self) -> String {
        let quoted = |word: &OsStr| shell_words::quote(&word.to_string_lossy()).into_owned();
        let variables = self
            .variables
            .iter()
            .map(|(name, value)| format!("{}={}", quoted(name), quoted(value)));
        let words = self.words.iter().map(|word| quoted(word));
        let mut line = variables.chain(words).collect::<Vec<_>>().join(" ");
        if let Some(input) = &self.input {
            line += &format!(" < {}", quoted(input.as_os_str()));
        }
        line
    }

    fn name(&self) -> String {
        let words = [self.words.first(), self.words.get(1)].into_iter().flatten();
        let name = |word: &OsString| {
            Path::new(word).file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        words.map(name).filter(|word| !word.starts_with('-')).collect::<Vec<_>>().join(" ")
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).env_clear();
        command.envs(match self.of_deployment {
            true => environment::of_deployment(),
            false => environment::of_drill(),
        });
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(match &self.input {
            None => Stdio::null(),
            Some(path) => {
                File::open(path).with_context(|| format!("opening {}", path.display()))?.into()
            }
        });
        Ok(command)
    }

    /// Runs it to its end, whatever its status, and gives what it prints.
    ///
    /// # Errors
    /// If it cannot be started, or writes what is not UTF-8.
    pub fn outcome(&self) -> Result<(Finished, String)> {
        let mut command = self.command()?;
        command.stdout(Stdio::piped());
        let mut running = child::spawn_captured(&mut command, self.name())?;
        let mut text = String::new();
        if let Some(mut stdout) = running.take_stdout() {
            stdout
                .read_to_string(&mut text)
                .with_context(|| format!("reading from {}", self.name()))?;
        }
        Ok((running.finish()?, text))
    }

    /// Runs it to its end and gives what it prints.
    ///
    /// # Errors
    /// If it does not end with 0; with its own exit status, if that is one that callers act on.
    pub fn capture(&self) -> Result<String> {
        let (finished, text) = self.outcome()?;
        let exit = match finished.status.code() {
            Some(0) => return Ok(text),
            Some(2) => Exit::Usage,
            Some(4) => Exit::Damaged,
            Some(5) => Exit::Refused,
            _ => Exit::Failed,
        };
        // The last line is the program's own.
        let last = finished.stderr.last().cloned();
        Err(Stop::with_exit(exit, finished.describe(last.as_deref())).into())
    }

    /// Runs it to its end, with all that it writes at the end of a file, and gives its status.
    ///
    /// # Errors
    /// If it cannot be started, or the file not be written.
    pub fn logged(&self, log: &Path) -> Result<Option<i32>> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(log);
        let file = file.with_context(|| format!("opening {}", log.display()))?;
        let mut command = self.command()?;
        command.stdout(file.try_clone().context("a log")?).stderr(file);
        Ok(child::spawn(&mut command, self.name())?.finish()?.status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_as_it_would_be_typed() {
        let program = Program::new("/d/compose").args(["isolate", "--from", "/a b"]);
        let program = program.variable("PIPRIO_DEPLOY", "/x").input(Path::new("/i"));
        assert_eq!(program.to_shell(), "PIPRIO_DEPLOY=/x /d/compose isolate --from '/a b' < /i");
        assert_eq!(program.name(), "compose isolate");
    }

    #[test]
    fn it_gets_its_own_variables_and_its_status_is_handed_on() {
        let sh = |script: &str| Program::new("sh").args(["-c", script]).variable("OWN", "x");
        // Of the test itself.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let text = sh("printf '%s' \"$OWN$CARGO_MANIFEST_DIR\"").capture().unwrap();
        assert_eq!(text, "x");
        for (code, exit) in [
            (1, Exit::Failed),
            (2, Exit::Usage),
            (4, Exit::Damaged),
            (5, Exit::Refused),
            (7, Exit::Failed),
        ] {
            let error =
                sh(&format!("echo first >&2; echo why >&2; exit {code}")).capture().unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), exit);
            assert!(
                error.to_string().ends_with(&format!("ended with status {code}: why")),
                "{error}"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        assert_eq!(sh("echo out; echo err >&2; exit 3").logged(&log).unwrap(), Some(3));
        assert_eq!(sh("echo more").logged(&log).unwrap(), Some(0));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "out\nerr\nmore\n");
    }
}
