//! A whole deployment in a directory, run by the `process` driver: PostgreSQL, Redis and an S3 server,
//! two app services, settings, secrets and certificates, the toolkit installed, data filled in.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use test_kit::deployment::{DOMAIN, Deployment, Options};
//! let deployment = Deployment::temporary(&Options::default())?;
//! let before = deployment.state()?;
//! deployment.backup(&[])?.expect(0);
//! deployment.psql("drop schema tenant_0001 cascade")?;
//! let bundle = deployment.newest_bundle()?;
//! deployment.restore(&bundle, &[], &format!("{DOMAIN}\nn\n"))?.expect(0);
//! assert_eq!(deployment.state()?, before);
//! # Ok(())
//! # }
//! ```

mod facts;
mod fill;
mod layout;
mod run;
mod services;
mod settings;
mod state;

pub use facts::Facts;
pub use run::{Run, clean, run, sh};
pub use settings::{APPS, BUCKET, DATABASE, DOMAIN, Options, REDIS_DATABASE, STATEFUL};

use crate::postgres;
use crate::redis;
use crate::s3::client::Client;
use crate::s3::faults::{self, Fault};
use crate::tools::{bin_dir, workspace};
use anyhow::{Context, Result, ensure};
use pipe_kit::cleanup;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A deployment. Dropped, its services are stopped and its directory is removed, unless
/// [`Deployment::keep`] was called.
pub struct Deployment {
    dir: PathBuf,
    facts: Facts,
    is_kept: bool,
}

impl Deployment {
    /// A deployment in a new directory under the system's temporary one, running and filled.
    ///
    /// # Errors
    /// If anything that it needs is not installed or does not start.
    pub fn temporary(options: &Options) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("deploy-").tempdir().context("a directory")?;
        let deployment = Self::create(dir.path(), options)?;
        // Ours from here on: it goes when the services have been stopped.
        let _ = dir.keep();
        Ok(deployment)
    }

    /// A deployment in `dir` (new or empty), running and filled.
    ///
    /// # Errors
    /// If `dir` holds anything, or anything needed is not installed or does not start.
    pub fn create(dir: &Path, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("finding {}", dir.display()))?;
        let mut entries = std::fs::read_dir(&dir).context("reading the directory")?;
        ensure!(entries.next().is_none(), "{} is not empty", dir.display());
        let facts = Facts::choose(options)?;
        let deployment = Self { dir, facts, is_kept: false };
        deployment.facts.save(&deployment.dir)?;
        // A signal drops nothing, and would leave the services that run by then.
        let begun = deployment.dir.clone();
        let guard = cleanup::on_failure(move || {
            if let Ok(deployment) = Self::open(&begun) {
                let _ = deployment.remove();
            }
        });
        deployment.stand_up(options)?;
        guard.disarm();
        Ok(deployment)
    }

    fn stand_up(&self, options: &Options) -> Result<()> {
        let bin = match &options.bin_dir {
            Some(dir) => dir.clone(),
            None => bin_dir()?.to_owned(),
        };
        layout::write(&self.dir, &self.facts)?;
        let mut install = run::clean("bash");
        install.arg(workspace().join("scripts/install.sh")).arg("--from").arg(bin).arg(&self.dir);
        run::run(install, "")?.check("install.sh")?;
        postgres::initdb(
            &self.facts.programs,
            &self.facts.data.join("postgres"),
            &self.facts.postgres_password,
            &options.initdb,
        )?;
        if self.facts.external_storage {
            run::run(self.provider_command("start"), "")?.check("starting the storage provider")?;
        }
        // The apps are ready only when what they need is.
        let services = self.services()?;
        let (apps, stateful): (Vec<_>, Vec<_>) =
            services.iter().partition(|name| APPS.contains(&name.as_str()));
        self.start(&stateful)?;
        self.start(&apps)?;
        self.psql_in("postgres", &format!("create database {DATABASE}"))?;
        self.fill(options)
    }

    /// A deployment made earlier; kept when dropped.
    ///
    /// # Errors
    /// If `dir` is not one of ours.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().with_context(|| format!("finding {}", dir.display()))?;
        let facts = Facts::load(&dir)?;
        Ok(Self { dir, facts, is_kept: true })
    }

    /// Lets it outlive this value.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Stops every service and removes the directory and the services' data.
    ///
    /// # Errors
    /// If something cannot be stopped or removed.
    pub fn remove(mut self) -> Result<()> {
        self.is_kept = true;
        self.tear_down()
    }

    fn tear_down(&self) -> Result<()> {
        let stop = |command| run::run(command, "").map(drop);
        if self.driver_path().exists() {
            let services: Vec<&str> = APPS.iter().chain(&STATEFUL).copied().collect();
            for service in services.iter().filter(|s| self.dir.join("services").join(s).exists()) {
                stop(self.driver_command(&["stop", service]))?;
            }
            if self.facts.external_storage {
                stop(self.provider_command("stop"))?;
            }
        }
        for dir in [&self.facts.data, &self.dir] {
            std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
        }
        Ok(())
    }

    /// The deployment's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its ports, passwords and keys.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// `bash DIR/scripts/NAME ARGS…` in an environment like cron's, for tests that need more than
    /// [`Deployment::backup`] and its like: a signal in the middle, another environment.
    #[must_use]
    pub fn script(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = run::clean("bash");
        command.arg(self.dir.join("scripts").join(name)).args(arguments).current_dir("/");
        command
    }

    /// Runs `backup.sh`.
    ///
    /// # Errors
    /// If it cannot be started; how it ended is in [`Run`].
    pub fn backup(&self, arguments: &[&str]) -> Result<Run> {
        run::run(self.script("backup.sh", arguments), "")
    }

    /// Runs `restore.sh BUNDLE ARGS…` with `stdin` as the operator's answers, a line each.
    ///
    /// # Errors
    /// If it cannot be started; how it ended is in [`Run`].
    pub fn restore(&self, bundle: &Path, arguments: &[&str], stdin: &str) -> Result<Run> {
        let mut command = self.script("restore.sh", &[]);
        command.arg(bundle).args(arguments);
        run::run(command, stdin)
    }

    /// Runs any of the scripts with answers on stdin.
    ///
    /// # Errors
    /// If it cannot be started; how it ended is in [`Run`].
    pub fn run_script(&self, name: &str, arguments: &[&str], stdin: &str) -> Result<Run> {
        run::run(self.script(name, arguments), stdin)
    }

    /// Runs `health-check.sh`.
    ///
    /// # Errors
    /// If it cannot be started; how it ended is in [`Run`].
    pub fn health_check(&self) -> Result<Run> {
        self.run_script("health-check.sh", &[], "")
    }

    /// `DIR/bin/deploy-env -- TOOL ARGS…`: one stage by hand, with the deployment's settings.
    #[must_use]
    pub fn stage(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = run::clean(self.dir.join("bin/deploy-env"));
        let mut path = self.dir.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path).args(["--", tool]).args(arguments).current_dir(&self.dir);
        command
    }

    /// Runs SQL in the deployment's database; see [`postgres::psql`].
    ///
    /// # Errors
    /// If a statement fails.
    pub fn psql(&self, sql: &str) -> Result<String> {
        self.psql_in(DATABASE, sql)
    }

    /// Runs SQL in another database of the cluster.
    ///
    /// # Errors
    /// If a statement fails.
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String> {
        postgres::psql(self.postgres_client("psql"), database, &[], sql)
    }

    /// One of PostgreSQL's client programs, with the cluster's superuser in its environment.
    #[must_use]
    pub fn postgres_client(&self, program: &str) -> Command {
        let mut command = run::clean(self.facts.programs.join(program));
        command.envs(self.facts.postgres_env());
        command
    }

    /// Runs a Redis command in the cache's database.
    ///
    /// # Errors
    /// If the server does not answer or answers an error.
    pub fn redis(&self, words: &[&str]) -> Result<String> {
        let password = self.facts.redis_password.as_str();
        redis::command(self.facts.redis_port, Some(password), REDIS_DATABASE, words)
    }

    /// A client of the object storage with the right keys.
    #[must_use]
    pub fn s3(&self) -> Client {
        let facts = &self.facts;
        Client::new(&facts.s3_endpoint(), &facts.s3_access_key, &facts.s3_secret_key)
    }

    /// Asks the object storage to do something wrong.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn s3_fault(&self, fault: &Fault) -> Result<()> {
        fault.ask(&self.facts.s3_endpoint())
    }

    /// Asks the object storage to do nothing wrong any more.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn s3_faults_end(&self) -> Result<()> {
        faults::clear(&self.facts.s3_endpoint())
    }

    /// The finished bundles, oldest first.
    ///
    /// # Errors
    /// If `DIR/backups` cannot be read.
    pub fn bundles(&self) -> Result<Vec<PathBuf>> {
        let root = self.dir.join("backups");
        if !root.exists() {
            return Ok(Vec::new());
        }
        let mut bundles = Vec::new();
        for entry in std::fs::read_dir(&root).context("reading backups")? {
            let path = entry.context("reading backups")?.path();
            let name =
                path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with("piprio_") {
                bundles.push(path);
            }
        }
        bundles.sort();
        Ok(bundles)
    }

    /// The newest finished bundle.
    ///
    /// # Errors
    /// If there is none.
    pub fn newest_bundle(&self) -> Result<PathBuf> {
        self.bundles()?.pop().context("there is no bundle")
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = self.tear_down()
        {
            pipe_kit::warning!("{}: {error:#}", self.dir.display());
        }
    }
}
