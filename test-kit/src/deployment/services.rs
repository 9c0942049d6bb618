//! A deployment's services, through its driver.

use super::Deployment;
use super::run::{self, Run};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

impl Deployment {
    pub(super) fn driver_path(&self) -> PathBuf {
        self.dir.join("scripts/drivers/process")
    }

    pub(super) fn driver_command(&self, arguments: &[&str]) -> Command {
        let mut command = run::clean(self.driver_path());
        command.args(arguments).env("PIPRIO_DEPLOY", &self.dir);
        command
    }

    pub(super) fn provider_command(&self, verb: &str) -> Command {
        let mut command = run::clean(self.driver_path());
        command.args([verb, "minio"]).env("PIPRIO_DEPLOY", self.facts.data.join("provider"));
        command
    }

    /// Runs the service driver.
    ///
    /// # Errors
    /// If it cannot be started; how it ended is in [`Run`].
    pub fn driver(&self, arguments: &[&str]) -> Result<Run> {
        run::run(self.driver_command(arguments), "")
    }

    /// What the driver's `ps` prints: each service's name with its state.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn ps(&self) -> Result<Vec<(String, String)>> {
        let run = self.driver(&["ps"])?.check("ps")?;
        let pair = |line: &str| line.split_once('\t').map(|(n, s)| (n.to_owned(), s.to_owned()));
        Ok(run.stdout.lines().filter_map(pair).collect())
    }

    /// The names of all configured services.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn services(&self) -> Result<Vec<String>> {
        Ok(self.ps()?.into_iter().map(|(name, _)| name).collect())
    }

    /// Starts services.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn start<S: AsRef<str>>(&self, services: &[S]) -> Result<()> {
        self.driver_on("start", services)
    }

    /// Stops services. What the S3 server and Redis hold is lost with that.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn stop<S: AsRef<str>>(&self, services: &[S]) -> Result<()> {
        self.driver_on("stop", services)
    }

    fn driver_on<S: AsRef<str>>(&self, verb: &str, services: &[S]) -> Result<()> {
        let mut arguments = vec![verb];
        arguments.extend(services.iter().map(AsRef::as_ref));
        self.driver(&arguments)?.check(&arguments.join(" ")).map(drop)
    }

    /// The process id of a running service, as the driver wrote it down.
    ///
    /// # Errors
    /// If it was never started.
    pub fn pid(&self, service: &str) -> Result<i32> {
        let file = self.dir.join("run").join(format!("{service}.pid"));
        let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let first = text.split_whitespace().next().context("an empty pid file")?;
        first.parse().context("a pid file")
    }
}
