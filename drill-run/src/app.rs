//! Level `app`: the product's own services, restored from the bundle as a project of their own on an isolated
//! network.

mod checks;
mod deployment;
mod endpoints;
mod environment;
mod notes;
mod program;
mod project;
mod scripts;

use crate::script;
use crate::secrets::Secrets;
use anyhow::Result;
use bundle_format::report::{DrillCheck, DrillVerdict, HealthReport};
use deployment::Deployment;
use pipe_kit::{Stop, info, warning};
use program::Program;
use project::Project;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub use deployment::Plan;
pub use project::remove_leftover;

/// What the health check looks at: the disk is this host's, and the drill has no bundles.
const PROBES: &str = "service,database,cache,readiness,storage";
/// How much of a log is shown.
const LAST_LINES: usize = 5;
const LAST_CHARACTERS: usize = 2000;

/// What is asked for.
#[derive(Clone, Copy)]
pub struct AppRequest<'a> {
    /// What is restored, and where.
    pub plan: Plan<'a>,
    /// The operator's checks: `DEPLOY/drill.d/app`.
    pub scripts: &'a Path,
    /// How long services may take to become ready, in seconds.
    pub wait_seconds: u32,
    /// Leave it running, and print how to remove it.
    pub keep: bool,
}

impl AppRequest<'_> {
    fn restore(&self, domain: &str) -> Program {
        let tool = self.plan.resolved().args(["restore-run"]).args([self.plan.bundle]);
        let tool = tool.args(["--confirm", domain, "--config", "no", "--no-root-lock", "--wait"]);
        tool.args([self.wait_seconds.to_string()])
    }

    fn health(&self) -> Program {
        let probes = ["health-probe", "--json", "--quiet", "--only", PROBES];
        self.plan.resolved().args(probes)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.plan.dir.join(format!("{name}.log"))
    }
}

/// The commands, in order, as they would be typed.
#[must_use]
pub fn plan(request: &AppRequest<'_>) -> Vec<String> {
    let plan = &request.plan;
    let commands = [
        plan.extract(),
        plan.replace_secrets(),
        plan.isolate(),
        request.restore("DOMAIN"),
        request.health(),
        plan.driver().args(["isolation"]),
        plan.driver().args(["destroy", "--project", request.plan.project]),
    ];
    commands.iter().map(Program::to_shell).collect()
}

/// Refuses services that the deployment does not have: one with a wrong name would run.
///
/// # Errors
/// [`Stop::usage`] with the names; if the driver does not answer.
pub fn refuse_unknown(skip: &[String], driver: &Path, deploy: &Path) -> Result<()> {
    if skip.is_empty() {
        return Ok(());
    }
    let list = Program::new(driver).of_deployment().variable("PIPRIO_DEPLOY", deploy).args(["ps"]);
    let listed = list.capture()?;
    let known: Vec<&str> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
    let unknown = skip.iter().map(String::as_str).filter(|name| !known.contains(name));
    let unknown: Vec<&str> = unknown.collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Stop::usage(format!(
        "DRILL_SKIP_SERVICES: no service of this deployment is called {}; they are {}",
        unknown.join(" "),
        known.join(" ")
    ))
    .into())
}

/// Restores the services, checks them, and removes all of it again, whatever happens.
///
/// # Errors
/// [`Stop::usage`] where the deployment's driver knows no drills; [`Stop::refused`] where
/// its services cannot be restored apart, or there is no room; if something of it cannot be removed.
pub fn run(request: &AppRequest<'_>) -> Result<Vec<DrillCheck>> {
    script::refuse_if_others_may_write(request.scripts)?;
    let scripts = script::files(request.scripts, "sh")?;
    let project = Project::begin(request.plan.dir, request.plan.project, request.plan.driver)?;
    let deployment = Deployment::make(&request.plan)?;
    let mut found = checks::of_deployment(&deployment);
    let secrets = Secrets::of_config(&request.plan.deploy())?;
    let restored = restore(request, &secrets)?;
    let is_restored = restored.verdict == DrillVerdict::Pass;
    found.push(restored);
    found.extend(isolation(request, is_restored)?);
    found.extend(health(request)?);
    if is_restored {
        found.extend(run_scripts(request, &deployment, &scripts, &secrets)?);
    }
    match request.keep {
        true => {
            info!("kept: the project {}; to remove it: {}", request.plan.project, project.keep())
        }
        false => project.remove()?,
    }
    Ok(found)
}

/// The toolkit's own restore, with the drill's settings alone.
fn restore(request: &AppRequest<'_>, secrets: &Secrets) -> Result<DrillCheck> {
    let log = request.log("restore");
    info!("restoring into {}; the log is {}", request.plan.project, log.display());
    let begun = Instant::now();
    let status = request.restore(&request.plan.domain()?).logged(&log)?;
    Ok(checks::of_restore(status, begun.elapsed().as_secs(), &last_lines(&log, secrets)))
}

/// A restore that failed early has started no service.
fn isolation(request: &AppRequest<'_>, is_restored: bool) -> Result<Vec<DrillCheck>> {
    let (finished, text) = request.plan.driver().args(["isolation"]).outcome()?;
    let found = checks::of_isolation(&text);
    if !found.is_empty() {
        return Ok(found);
    }
    let (verdict, why) = match is_restored {
        true => (DrillVerdict::Failed, format!("{:#}", finished.into_error())),
        false => {
            warning!("{:#}", finished.into_error());
            (DrillVerdict::Skipped, "no service was started".to_owned())
        }
    };
    Ok(vec![checks::check("network", verdict, "internal", why)])
}

fn health(request: &AppRequest<'_>) -> Result<Vec<DrillCheck>> {
    let (finished, text) = request.health().outcome()?;
    match serde_json::from_str::<HealthReport>(&text) {
        Ok(report) => Ok(checks::of_health(&report)),
        Err(_) => {
            let found = format!("{:#}", finished.into_error());
            Ok(vec![checks::check("health check", DrillVerdict::Failed, "a report", found)])
        }
    }
}

fn run_scripts(
    request: &AppRequest<'_>,
    deployment: &Deployment,
    scripts: &[PathBuf],
    secrets: &Secrets,
) -> Result<Vec<DrillCheck>> {
    if scripts.is_empty() {
        return Ok(Vec::new());
    }
    let urls = scripts::urls(&request.plan, deployment)?;
    let variables = scripts::variables(&request.plan, &urls);
    let dir = request.plan.dir.join("script");
    deployment::make_dir(&dir)?;
    let mut found = Vec::new();
    for script in scripts {
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        let ended = script::run(script, &dir, variables.clone())?;
        let verdict = if ended.passed { DrillVerdict::Pass } else { DrillVerdict::Finding };
        let detail = secrets.masked(&ended.detail);
        found.push(checks::check(format!("drill.d/app/{name}"), verdict, "status 0", detail));
    }
    Ok(found)
}

/// The end of a log as one line, without secrets.
fn last_lines(log: &Path, secrets: &Secrets) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = secrets.masked(&String::from_utf8_lossy(&bytes));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("; ");
    let begin = last.chars().count().saturating_sub(LAST_CHARACTERS);
    pipe_kit::text::one_line(&last.chars().skip(begin).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_shown_and_none_has_a_secret() {
        let (keys, skip) = (["credential_key".to_owned()], ["mailer".to_owned()]);
        let request = AppRequest {
            plan: Plan {
                from: Path::new("/srv/deploy"),
                bundle: Path::new("/b/piprio_1"),
                dir: Path::new("/b/.drill/1/app"),
                project: "piprio-drill-1",
                data_keys: &keys,
                skip: &skip,
                driver: Path::new("/srv/deploy/scripts/drivers/compose"),
                bytes: 4096,
            },
            scripts: Path::new("/srv/deploy/drill.d/app"),
            wait_seconds: 60,
            keep: false,
        };
        let lines = plan(&request);
        let begins = [
            "cfg-pack extract",
            "deploy-env replace-secrets",
            "PIPRIO_DEPLOY=/b/.drill/1/app/deploy",
            "deploy-env --deploy",
            "deploy-env --deploy",
            "PIPRIO_DEPLOY=",
            "PIPRIO_DEPLOY=",
        ];
        assert_eq!(lines.len(), begins.len());
        for (line, begin) in lines.iter().zip(begins) {
            assert!(line.starts_with(begin), "{line}");
        }
        assert!(
            lines[1].contains("--keep credential_key") && lines[1].contains("--unset 'NOTIFY_*'")
        );
        assert!(lines[2].ends_with("isolate --from /srv/deploy --skip mailer --room 4096"));
        let restore = "--afresh -- restore-run /b/piprio_1 --confirm DOMAIN --config no --no-root-lock --wait 60";
        assert!(lines[3].ends_with(restore), "{}", lines[3]);
    }

    #[test]
    fn the_end_of_a_log_is_one_line() {
        let log = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(log.path(), "1\n2\n\n3\n4\n5\u{1b}[1m\n6\n").unwrap();
        let line = last_lines(log.path(), &Secrets::default());
        assert_eq!(line, "2; 3; 4; 5\\u{1b}[1m; 6");
        std::fs::write(log.path(), "x".repeat(3000)).unwrap();
        assert_eq!(last_lines(log.path(), &Secrets::default()).len(), LAST_CHARACTERS);
        assert_eq!(last_lines(Path::new("/gone"), &Secrets::default()), "");
    }
}
