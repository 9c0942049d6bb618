//! The operator's own checks of the services: `drill.d/app/*.sh`.

use super::deployment::{Deployment, Plan};
use super::program::Program;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How long a script may take, in seconds, and how long it then has to end.
const LIMIT: &str = "600";
const GRACE: &str = "10";
/// `timeout` ends with one of these where the time is over.
const OVERDUE: [i32; 2] = [124, 137];
/// Ports that answer in TLS by custom.
const TLS: [u16; 2] = [443, 8443];

/// The scripts of a directory, in order of name.
///
/// # Errors
/// [`Stop::refused`] if others could have written them and we are root.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let reading = || format!("reading {}", dir.display());
    let entries = std::fs::read_dir(dir).with_context(reading)?;
    let paths: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let is_script =
        |path: &PathBuf| path.is_file() && path.extension().is_some_and(|it| it == "sh");
    let mut scripts: Vec<PathBuf> =
        paths.with_context(reading)?.into_iter().filter(is_script).collect();
    scripts.sort();
    if rustix::process::geteuid().is_root() {
        for path in std::iter::once(&dir.to_owned()).chain(&scripts) {
            let meta = path.metadata().with_context(reading)?;
            if meta.uid() != 0 || meta.mode() & 0o022 != 0 {
                return Err(Stop::refused(format!(
                    "{} is writable by users other than root, so root does not run it: chown root:root {0} && \
                     chmod go-w {0}",
                    path.display()
                ))
                .into());
            }
        }
    }
    Ok(scripts)
}

/// Where services answer from this host, by their names: those that the deployment publishes a port of.
///
/// # Errors
/// If the driver does not answer.
pub fn urls(plan: &Plan<'_>, deployment: &Deployment) -> Result<BTreeMap<String, String>> {
    let mut urls = BTreeMap::new();
    for port in deployment.notes.ports.values() {
        if urls.contains_key(&port.service) {
            continue;
        }
        let tool = plan.driver().args(["addr", &port.service, &port.target.to_string()]);
        // One that is down has none: the health check has named it.
        if let Ok(address) = tool.capture() {
            let scheme = if TLS.contains(&port.target) { "https" } else { "http" };
            urls.insert(port.service.clone(), format!("{scheme}://{}", address.trim()));
        }
    }
    Ok(urls)
}

/// The name of the variable with a service's URL.
fn variable(service: &str) -> String {
    let each = service
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("DRILL_URL_{}", each.collect::<String>())
}

/// The command of a script.
pub fn program(script: &Path, plan: &Plan<'_>, urls: &BTreeMap<String, String>) -> Program {
    let pairs: Vec<String> = urls.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let mut tool = Program::new("timeout")
        .args(["--kill-after", GRACE, LIMIT, "bash"])
        .args([script])
        .variable("DRILL_URLS", pairs.join(" "))
        .variable("DRILL_CONFIG", plan.deploy())
        .variable("DRILL_BUNDLE", plan.bundle)
        .variable("PIPRIO_DEPLOY", plan.deploy())
        .variable("PIPRIO_DRIVER", plan.driver);
    for (service, url) in urls {
        tool = tool.variable(&variable(service), url);
    }
    tool
}

/// How a script ended, where that is not well.
pub fn failure(status: Option<i32>) -> Option<String> {
    match status {
        Some(0) => None,
        Some(status) if OVERDUE.contains(&status) => Some(format!("ended after {LIMIT} s")),
        Some(status) => Some(format!("status {status}")),
        None => Some("ended by a signal".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_in_order_of_name_and_nothing_else_is_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(list(&dir.path().join("gone")).unwrap().is_empty());
        for name in ["b.sh", "a.sh", "c.sql", "README"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names = list(dir.path()).unwrap();
        assert_eq!(names, ["a.sh", "b.sh"].map(|name| dir.path().join(name)));
        if rustix::process::geteuid().is_root() {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
            std::fs::set_permissions(&names[0], mode).unwrap();
            let error = list(dir.path()).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
        }
    }

    #[test]
    fn a_services_url_has_a_variable_of_its_own() {
        assert_eq!(variable("web"), "DRILL_URL_WEB");
        assert_eq!(variable("doc-api.2"), "DRILL_URL_DOC_API_2");
        assert_eq!(failure(Some(0)), None);
        assert_eq!(failure(Some(124)).unwrap(), "ended after 600 s");
        assert_eq!(failure(Some(3)).unwrap(), "status 3");
        assert_eq!(failure(None).unwrap(), "ended by a signal");
    }
}
