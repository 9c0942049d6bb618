//! The other programs of the pipeline, as commands that can be shown and run.

use crate::settings::Settings;
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop, child};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where servers are dialled that had no address when the settings were resolved.
static ADDRESSES: OnceLock<Vec<(String, String)>> = OnceLock::new();

/// From now on, every tool reaches the servers at these addresses.
pub fn dial_at(addresses: Vec<(String, String)>) {
    // Services are started once a run.
    let _ = ADDRESSES.set(addresses);
}

/// A variable of the environment that tools get.
pub fn variable(name: &str) -> Option<String> {
    let dialled = ADDRESSES.get().and_then(|all| all.iter().find(|(n, _)| n == name));
    let value = dialled.map(|(_, value)| value.clone()).or_else(|| std::env::var(name).ok());
    value.filter(|value| !value.is_empty())
}

/// `deploy-env … --`: what follows runs with the settings as they now lie on the disk.
pub fn afresh(settings: &Settings) -> Tool {
    Tool::new("deploy-env").arg("--deploy").arg(&settings.deploy).args(["--afresh", "--"])
}

/// One command: program, arguments, and the file its standard input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    program: OsString,
    arguments: Vec<OsString>,
    input: Option<PathBuf>,
}

impl Tool {
    /// A command without arguments yet.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().to_owned(), arguments: Vec::new(), input: None }
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// With more arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, arguments: I) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// With a file as standard input; it is empty otherwise, so that no tool takes the operator's answers.
    pub fn input(mut self, file: &Path) -> Self {
        self.input = Some(file.to_owned());
        self
    }

    /// As it would be typed.
    pub fn to_shell(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let words: Vec<String> = words.map(|w| w.to_string_lossy().into_owned()).collect();
        let mut line = shell_words::join(&words);
        if let Some(input) = &self.input {
            line += &format!(" < {}", shell_words::quote(&input.to_string_lossy()));
        }
        line
    }

    /// As an operator types it, without this run's environment.
    pub fn by_hand(&self, settings: &Settings) -> String {
        let deploy_env = settings.deploy.join("bin/deploy-env");
        format!("{} -- {}", shell_words::quote(&deploy_env.to_string_lossy()), self.to_shell())
    }

    fn name(&self) -> String {
        Path::new(&self.program).file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.envs(ADDRESSES.get().into_iter().flatten().map(|(name, value)| (name, value)));
        command.args(&self.arguments).stdin(match &self.input {
            Some(path) => {
                File::open(path).with_context(|| format!("opening {}", path.display()))?.into()
            }
            None => Stdio::null(),
        });
        Ok(command)
    }

    /// Runs it to its end, its output going where ours goes.
    ///
    /// # Errors
    /// With the tool's own exit status, if that is one of ours.
    pub fn run(&self) -> Result<()> {
        // What it prints is for the operator, and must not be taken for data of ours.
        let stderr = std::io::stderr();
        let mut command = self.command()?;
        command.stdout(std::os::fd::AsFd::as_fd(&stderr).try_clone_to_owned()?);
        self.end(child::spawn(&mut command, self.name())?.finish()?)
    }

    /// Runs it with its standard output being ours.
    ///
    /// # Errors
    /// With the tool's own exit status.
    pub fn run_to_stdout(&self) -> Result<()> {
        self.end(child::spawn(&mut self.command()?, self.name())?.finish()?)
    }

    fn end(&self, finished: child::Finished) -> Result<()> {
        if finished.status.success() { Ok(()) } else { Err(as_ours(finished)) }
    }

    /// Runs it and gives what it prints.
    ///
    /// # Errors
    /// If it fails, with its last words.
    pub fn capture(&self) -> Result<String> {
        child::capture(&mut self.command()?, self.name())
    }

    /// Runs it and gives its report, read as JSON, whether the report is good or not.
    ///
    /// # Errors
    /// If there is no report.
    pub fn report<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
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
            Err(_) if !finished.status.success() => Err(as_ours(finished)),
            Err(error) => {
                Err(error).with_context(|| format!("reading the report of {}", self.to_shell()))
            }
        }
    }

    /// Runs it and gives what it prints, read as JSON.
    ///
    /// # Errors
    /// If it fails, or prints something else.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.capture()?)
            .with_context(|| format!("reading the report of {}", self.to_shell()))
    }
}

/// A tool's failure, with its status where that is one of ours.
fn as_ours(finished: child::Finished) -> anyhow::Error {
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

    #[test]
    fn is_shown_as_it_would_be_typed() {
        let tool = Tool::new("cfg-pack").arg("a b").input(Path::new("/x y"));
        assert_eq!(tool.to_shell(), "cfg-pack 'a b' < '/x y'");
    }

    #[test]
    fn the_tools_own_status_is_handed_on() {
        let status = |code: &str| {
            let error = Tool::new("sh").args(["-c", &format!("exit {code}")]).run().unwrap_err();
            pipe_kit::status::of(&error)
        };
        assert_eq!(status("3"), Exit::Incomplete);
        assert_eq!(status("4"), Exit::Damaged);
        assert_eq!(status("7"), Exit::Failed);
        assert_eq!(status("143"), Exit::Failed);
    }
}
