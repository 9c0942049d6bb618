//! Proof that the credentials of the bundle fit the running servers: the application will use them, and a
//! server keeps its own, whatever a file contains.

use crate::settings::Settings;
use anyhow::Result;
use bundle_format::report::{HealthReport, ProbeKind, ProbeReport};
use pipe_kit::tool::Tool;
use pipe_kit::warning;

/// How long a server may take to load its changed configuration.
const WAIT_SECONDS: &str = "20";

/// Connects to database, cache and storage with the settings as they now are on the disk. Each one that refuses is
/// logged, with the command that repairs it.
pub fn prove(settings: &Settings, stateful: &[String]) -> Result<()> {
    let tool = settings
        .resolved_again()
        .args(["health-probe", "--json", "--quiet", "--only", "database,cache,storage"])
        .args(["--wait", WAIT_SECONDS]);
    let report: HealthReport = tool.report()?;
    let failed: Vec<&ProbeReport> = report.probes.iter().filter(|probe| !probe.pass).collect();
    if failed.is_empty() {
        return Ok(());
    }
    for probe in &failed {
        warning!(
            "the restored settings do not work with the {} {}: {}",
            probe.kind.name(),
            probe.name,
            probe.detail
        );
        warning!("{}", repair(settings, stateful, probe.kind));
    }
    anyhow::bail!(
        "the restored credentials do not work with {} of the running servers; the application could \
         not connect",
        failed.len()
    )
}

/// The command that gives a server the restored credential, and how to keep the server's own.
fn repair(settings: &Settings, stateful: &[String], kind: ProbeKind) -> String {
    let or =
        "or, to keep the server's own: put the replaced files back (NAME.before-… beside them)";
    let deploy_env = settings.deploy.join("bin/deploy-env");
    let run = |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned());
        let tool = Tool::new(&deploy_env).arg("--").args(words);
        tool.to_shell()
    };
    match kind {
        ProbeKind::Database => format!(
            "to give the role its restored password, as the server's superuser, where it runs: \
             psql -c '\\password {}'  ({} shows where the password comes from); {or}",
            settings.variable("PGUSER").unwrap_or_else(|| "ROLE".into()),
            Tool::new(&deploy_env).arg("show").to_shell()
        ),
        _ => {
            let names = stateful.join(" ");
            let restart =
                format!("\"$PIPRIO_DRIVER\" stop {names} && \"$PIPRIO_DRIVER\" start {names}");
            format!(
                "to start it with the restored configuration: {}; {or}",
                run(&["sh", "-c", &restart])
            )
        }
    }
}
