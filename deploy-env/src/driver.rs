//! The service driver: which program it is, whether it may be run, and its answers.

use crate::deployment::Deployment;
use crate::layers;
use anyhow::{Context, Result, anyhow};
use pipe_kit::child::{self, Running};
use pipe_kit::trust::refuse_if_others_may_write;
use pipe_kit::{Exit, Stop};
use std::cell::OnceCell;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long the driver may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const NAMES: &[&str] = &["compose", "systemd", "process"];

/// The program that knows how this deployment's services are run.
pub struct Driver {
    program: PathBuf,
    deployment: PathBuf,
    units: Option<String>,
    services: OnceCell<Vec<String>>,
    /// Whether it is never asked.
    is_assumed: bool,
}

impl Driver {
    /// Finds the driver of `SERVICE_DRIVER`.
    ///
    /// # Errors
    /// [`Stop::usage`] if there is no such driver; [`Stop::refused`] if others may write it and we are root.
    pub fn find(deployment: &Deployment, setting: &str, scripts: Option<&str>) -> Result<Self> {
        let program = locate(deployment, setting, scripts)?;
        refuse_if_others_may_write(&program)?;
        for started in started_by(&program, deployment.dir()) {
            refuse_if_others_may_write(&started)?;
        }
        let deployment = deployment.dir().to_owned();
        Ok(Self { program, deployment, units: None, services: OnceCell::new(), is_assumed: false })
    }

    /// A driver that is never asked, of services that are assumed to be there, each reached at this machine.
    pub fn assumed(deployment: &Deployment, services: Vec<String>) -> Self {
        let services = OnceCell::from(services);
        let deployment = deployment.dir().to_owned();
        let program = deployment.join("scripts/drivers/none");
        Self { program, deployment, units: None, services, is_assumed: true }
    }

    /// With this deployment's `SYSTEMD_UNITS`, not one that another deployment's run left in the
    /// environment.
    pub fn with_units(mut self, units: Option<&str>) -> Self {
        self.units = units.map(str::to_owned);
        self
    }

    /// The program's absolute path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The names of all configured services; asked once.
    pub fn services(&self) -> Result<&[String]> {
        if self.services.get().is_none() {
            let text = self.ask(&["ps"])?;
            let names = text.lines().filter_map(|line| line.split('\t').next());
            let names = names.filter(|n| !n.is_empty()).map(str::to_owned).collect();
            let _ = self.services.set(names);
        }
        Ok(self.services.get().map(Vec::as_slice).unwrap_or_default())
    }

    /// The names, where they were asked for already.
    pub fn known_services(&self) -> Option<&[String]> {
        self.services.get().map(Vec::as_slice)
    }

    /// `HOST:PORT` at which a service's port answers from here.
    pub fn addr(&self, service: &str, port: u16) -> Result<String> {
        if self.is_assumed {
            return Ok(format!("127.0.0.1:{port}"));
        }
        Ok(self.ask(&["addr", service, &port.to_string()])?.trim().to_owned())
    }

    /// Those of some files that cannot be read where a service runs.
    pub fn unseen(&self, service: &str, files: &[&Path]) -> Result<Vec<PathBuf>> {
        if self.is_assumed {
            return Ok(Vec::new());
        }
        const LOOK: &str = r#"for file; do [ -r "$file" ] || printf '%s\n' "$file"; done"#;
        let files: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
        let mut args = vec!["exec", service, "sh", "-c", LOOK, "-"];
        args.extend(files.iter().map(AsRef::as_ref));
        Ok(self.ask(&args)?.lines().map(PathBuf::from).collect())
    }

    fn ask(&self, args: &[&str]) -> Result<String> {
        let what = format!("{} {}", self.program.display(), args.join(" "));
        let mut command = Command::new(&self.program);
        layers::forget_resolved(&mut command);
        command.args(args).current_dir(&self.deployment).env("PIPRIO_DEPLOY", &self.deployment);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        match &self.units {
            Some(units) => command.env("SYSTEMD_UNITS", units),
            None => command.env_remove("SYSTEMD_UNITS"),
        };
        answer(child::spawn_captured(&mut command, what.clone())?, &what, TIMEOUT)
    }
}

fn answer(mut running: Running, what: &str, timeout: Duration) -> Result<String> {
    let mut pipe = running.take_stdout().with_context(|| format!("{what}: no output"))?;
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = pipe.read_to_end(&mut bytes).map(|_| bytes);
        let _ = send.send(result);
    });
    // Returning drops the child, which ends it.
    let bytes = receive
        .recv_timeout(timeout)
        .map_err(|_| anyhow!("{what} did not answer within {} s", timeout.as_secs()))?
        .with_context(|| format!("reading from {what}"))?;
    let finished = running.finish()?;
    if finished.status.code() == Some(Exit::Refused.code().into()) {
        return Err(Stop::refused(format!("{:#}", finished.into_error())).into());
    }
    finished.check()?;
    String::from_utf8(bytes).map_err(|_| anyhow!("{what}: its output is not UTF-8"))
}

fn locate(deployment: &Deployment, setting: &str, scripts: Option<&str>) -> Result<PathBuf> {
    if setting.contains('/') {
        return existing(&[deployment.path(setting)]).ok_or_else(|| {
            let path = deployment.path(setting);
            anyhow!(Stop::usage(format!("SERVICE_DRIVER: no such program: {}", path.display())))
        });
    }
    if !NAMES.contains(&setting) {
        let message = "SERVICE_DRIVER must be compose, systemd, process or a path to a driver";
        return Err(Stop::usage(message).into());
    }
    let mut places = vec![deployment.dir().join("scripts/drivers").join(setting)];
    places.extend(scripts.map(|dir| deployment.path(dir).join("drivers").join(setting)));
    existing(&places).ok_or_else(|| {
        anyhow!(Stop::usage(format!(
            "SERVICE_DRIVER={setting}: no such program: {}; install the toolkit into this \
             deployment or set SERVICE_DRIVER to a driver's path",
            places[0].display()
        )))
    })
}

fn existing(places: &[PathBuf]) -> Option<PathBuf> {
    let executable =
        |path: &&PathBuf| path.metadata().is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0);
    places.iter().find(executable).cloned()
}

/// The programs that the script of the Compose driver may start in its place.
fn started_by(script: &Path, deployment: &Path) -> Vec<PathBuf> {
    if script.file_name().is_none_or(|name| name != "compose") {
        return Vec::new();
    }
    let toolkit = script.parent().map(|drivers| drivers.join("../.."));
    let bins = toolkit.into_iter().chain([deployment.to_owned()]);
    bins.map(|dir| dir.join("bin/compose-driver")).filter(|program| program.exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn deployment_with(script: &str) -> (tempfile::TempDir, Driver) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        let driver = Driver::find(&Deployment::at(dir.path()).unwrap(), "./driver", None).unwrap();
        (dir, driver)
    }

    #[test]
    fn the_compose_script_starts_the_program_of_its_toolkit_or_of_the_deployment() {
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str| dir.path().join("toolkit/scripts/drivers").join(name);
        let deploy = dir.path().join("deploy");
        for bin in ["toolkit/scripts/drivers", "toolkit/bin", "deploy/bin"] {
            std::fs::create_dir_all(dir.path().join(bin)).unwrap();
        }
        assert!(started_by(&script("compose"), &deploy).is_empty());
        std::fs::write(dir.path().join("toolkit/bin/compose-driver"), "").unwrap();
        std::fs::write(deploy.join("bin/compose-driver"), "").unwrap();
        assert_eq!(started_by(&script("compose"), &deploy).len(), 2);
        assert!(started_by(&script("process"), &deploy).is_empty());
    }

    #[test]
    fn the_services_are_asked_for_once() {
        let (_dir, driver) =
            deployment_with("echo x >> asked; printf 'db\\trunning\\napi\\tstopped\\n'");
        assert_eq!(driver.known_services(), None);
        assert_eq!(driver.services().unwrap(), ["db", "api"]);
        assert_eq!(driver.services().unwrap(), ["db", "api"]);
        assert_eq!(std::fs::read_to_string(_dir.path().join("asked")).unwrap(), "x\n");
    }

    #[test]
    fn a_driver_that_fails_is_named_with_its_last_words_and_a_refusal_stays_one() {
        let (_dir, driver) = deployment_with("echo 'no engine' >&2; exit 1");
        let error = driver.services().unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("driver ps ended with status 1: no engine"), "{text}");
        let (_dir, driver) = deployment_with("echo 'not yours' >&2; exit 5");
        assert_eq!(pipe_kit::status::of(&driver.services().unwrap_err()), Exit::Refused);
    }

    #[test]
    fn a_driver_that_hangs_is_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "exec sleep 1000"]).stdout(Stdio::piped());
        let running = child::spawn_captured(&mut command, "it").unwrap();
        let error = answer(running, "it", Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("did not answer"));
    }

    #[test]
    fn a_named_driver_is_looked_for_in_the_deployment_and_then_beside_the_wrappers() {
        let dir = tempfile::tempdir().unwrap();
        let scripts = tempfile::tempdir().unwrap();
        let deployment = Deployment::at(dir.path()).unwrap();
        let fallback = scripts.path().join("drivers/process");
        std::fs::create_dir(scripts.path().join("drivers")).unwrap();
        std::fs::write(&fallback, "").unwrap();
        let find = || locate(&deployment, "process", scripts.path().to_str());
        assert_eq!(pipe_kit::status::of(&find().unwrap_err()), Exit::Usage);
        std::fs::set_permissions(&fallback, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(find().unwrap(), fallback);
        for wrong in ["", "docker", "./absent"] {
            let error = locate(&deployment, wrong, None).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), Exit::Usage, "{wrong}");
        }
    }
}
