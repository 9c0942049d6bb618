//! Everything that can be checked before harm. Each problem is a line with its remedy.

use crate::bundle::Bundle;
use crate::settings::Settings;
use crate::{cache, services, storage};
use anyhow::Result;
use bundle_format::report::LoadPreflight;
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop, info};
use rustix::fs::{Access, access};
use std::path::Path;
use std::time::{Duration, Instant};

const TOOLS: [&str; 4] = ["pg-snap", "obj-mirror", "cfg-pack", "health-probe"];
/// How long to wait between two checks of services that are starting.
const PAUSE: Duration = Duration::from_secs(1);

/// What is checked.
pub struct Preflight<'a> {
    pub bundle: &'a Bundle,
    pub settings: &'a Settings,
    pub drop_first: bool,
    pub keep_going: bool,
}

impl Preflight<'_> {
    /// Checks, and reports every problem, not only the first. A missing bucket is created. Services that
    /// have just been started get `wait_seconds` to answer.
    ///
    /// # Errors
    /// [`Stop::refused`] if there is a problem, [`Stop::damaged`] if the dump's head is damaged.
    pub fn run(&self, wait_seconds: u32) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(wait_seconds.into());
        let mut problems = self.problems(true)?;
        while !problems.is_empty() && Instant::now() + PAUSE < end {
            std::thread::sleep(PAUSE);
            problems = self.problems(true)?;
        }
        refuse_if_any(&problems)
    }

    /// The same, for a dry run: nothing is changed.
    ///
    /// # Errors
    /// [`Stop::refused`] if there is a problem.
    pub fn dry_run(&self) -> Result<()> {
        refuse_if_any(&self.problems(false)?)
    }

    fn problems(&self, may_create: bool) -> Result<Vec<String>> {
        let mut problems: Vec<String> = missing_tools().collect();
        let settings = self.settings;
        match services::list(settings) {
            Ok(services) if services.is_empty() => problems.push(format!(
                "{} ps lists no service, so there is nothing to stop and start; correct the driver or its configuration",
                settings.driver.display()
            )),
            Ok(_) => {}
            Err(error) => problems.push(format!(
                "cannot list the services: {error:#}; try {} ps",
                settings.driver.display()
            )),
        }
        match self.database_tool().report::<LoadPreflight>() {
            Ok(report) => {
                report.notes.iter().for_each(|note| info!("{note}"));
                problems.extend(report.problems);
            }
            Err(error) if pipe_kit::status::of(&error) == Exit::Damaged => return Err(error),
            Err(error) => problems.push(format!(
                "the database does not answer: {error:#}; start it, or correct the POSTGRES_ settings"
            )),
        }
        if settings.bundled_storage && self.bundle.mirror().is_some() {
            problems.extend(self.bucket(may_create).err().map(|error| {
                format!("the object storage: {error:#}; start it, correct the S3_ settings, or give the keys of S3_ACCESS_KEY the right to write")
            }));
        }
        problems.extend(cache::problem(settings));
        problems.extend(["", ".restore", "secrets", "certs"].into_iter().filter_map(|name| {
            let dir = settings.deploy.join(name);
            (dir.exists() && !writable(&dir))
                .then(|| format!("{} is not writable; correct its owner or mode", dir.display()))
        }));
        Ok(problems)
    }

    pub fn database_tool(&self) -> Tool {
        let tool = self.settings.tool("pg-snap").args(["preflight", "--json"]);
        let tool = if self.drop_first { tool.arg("--drop-first") } else { tool };
        let tool = if self.keep_going { tool.arg("--keep-going") } else { tool };
        tool.arg(self.bundle.dump())
    }

    /// A bucket that can be created is no problem; whether it can is known once it is.
    fn bucket(&self, may_create: bool) -> Result<()> {
        if storage::is_writable(self.settings)? {
            return Ok(());
        }
        let url = self.settings.bucket_url()?;
        if may_create {
            return self.settings.tool("obj-mirror").arg("make-bucket").arg(url).run();
        }
        info!("there is no bucket {url}; it would be created");
        Ok(())
    }
}

fn refuse_if_any(problems: &[String]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    for problem in problems {
        pipe_kit::log::line(format_args!("preflight: {problem}"));
    }
    let problems = pipe_kit::text::count(problems.len(), "problem");
    Err(Stop::refused(format!("{problems}, listed above with the remedy of each")).into())
}

fn missing_tools() -> impl Iterator<Item = String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = move |tool: &&str| !std::env::split_paths(&path).any(|d| d.join(tool).is_file());
    TOOLS
        .into_iter()
        .filter(missing)
        .map(|tool| format!("{tool} is not on PATH; run install.sh for this deployment again"))
}

fn writable(dir: &Path) -> bool {
    access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}
