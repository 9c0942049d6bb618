//! Everything that can be checked before harm. Each failure is a line with its remedy.

use crate::bundle::Bundle;
use crate::settings::Settings;
use crate::summary::bucket_answers;
use crate::tool::Tool;
use crate::{cache, services};
use anyhow::Result;
use bundle_format::report::LoadPreflight;
use pipe_kit::{Exit, Stop, say};
use rustix::fs::{Access, access};
use std::path::Path;
use std::time::{Duration, Instant};

const TOOLS: [&str; 4] = ["pg-snap", "obj-mirror", "cfg-pack", "health-probe"];
/// Between two looks at services that are starting.
const REST: Duration = Duration::from_secs(1);

/// What is to be checked.
pub struct Preflight<'a> {
    pub bundle: &'a Bundle,
    pub settings: &'a Settings,
    pub drop_first: bool,
}

impl Preflight<'_> {
    /// Checks, and tells every problem, not only the first. A missing bucket is made. Services that
    /// have just been started get so many seconds to answer.
    ///
    /// # Errors
    /// [`Stop::refused`] if there is a problem, [`Stop::damaged`] if the dump's head is damaged.
    pub fn run(&self, wait_seconds: u32) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(wait_seconds.into());
        let mut problems = self.problems(true)?;
        while !problems.is_empty() && Instant::now() + REST < end {
            std::thread::sleep(REST);
            problems = self.problems(true)?;
        }
        tell(&problems)
    }

    /// The same, changing nothing.
    ///
    /// # Errors
    /// [`Stop::refused`] if there is a problem.
    pub fn rehearse(&self) -> Result<()> {
        tell(&self.problems(false)?)
    }

    fn problems(&self, may_make: bool) -> Result<Vec<String>> {
        let mut problems: Vec<String> = missing_tools().collect();
        let settings = self.settings;
        match services::list(settings) {
            Ok(services) if services.is_empty() => problems.push(format!(
                "{} ps names no service: what would be stopped and started?",
                settings.driver.display()
            )),
            Ok(_) => {}
            Err(error) => problems.push(format!(
                "the services cannot be listed: {error:#}; try {} ps",
                settings.driver.display()
            )),
        }
        match self.database_tool().report::<LoadPreflight>() {
            Ok(report) => {
                report.notes.iter().for_each(|note| say!("{note}"));
                problems.extend(report.problems);
            }
            Err(error) if pipe_kit::status::of(&error) == Exit::Damaged => return Err(error),
            Err(error) => problems.push(format!(
                "the database does not answer: {error:#}; start it, or correct the POSTGRES_ settings"
            )),
        }
        if settings.bundled_storage && self.bundle.mirror().is_some() {
            problems.extend(self.bucket(may_make).err().map(|error| {
                format!("the object storage: {error:#}; start it, or correct the S3_ settings")
            }));
        }
        if let Err(error) = cache::ping(settings) {
            problems.push(format!("{error:#}; start it, or correct REDIS_URL"));
        }
        problems.extend(["", ".restore", "secrets", "certs"].into_iter().filter_map(|name| {
            let dir = settings.deploy.join(name);
            (dir.exists() && !writable(&dir))
                .then(|| format!("{} cannot be written to; mend its owner or mode", dir.display()))
        }));
        Ok(problems)
    }

    pub fn database_tool(&self) -> Tool {
        let tool = Tool::new("pg-snap").args(["preflight", "--json"]);
        let tool = if self.drop_first { tool.arg("--drop-first") } else { tool };
        tool.arg(self.bundle.dump())
    }

    /// A bucket that can be made is no problem: to know that it can is to make it, empty as it is.
    fn bucket(&self, may_make: bool) -> Result<()> {
        if bucket_answers(self.settings)? {
            return Ok(());
        }
        let url = self.settings.bucket_url()?;
        if may_make {
            return Tool::new("obj-mirror").arg("make-bucket").arg(url).run();
        }
        say!("there is no bucket {url}; it would be made");
        Ok(())
    }
}

fn tell(problems: &[String]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    for problem in problems {
        pipe_kit::log::line(format_args!("preflight: {problem}"));
    }
    Err(Stop::refused(format!("{} problem(s), told above, with what to do", problems.len())).into())
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
