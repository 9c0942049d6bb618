//! A machine whose first process is systemd: a container with the toolkit of this source.

mod driver;
mod owner;
mod schedule;
mod units;

use crate::kit::image;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use test_kit::deployment::{Run, clean, run};
use test_kit::process::wait_until;
use test_kit::tools::{bin_dir, workspace};

/// Gone when dropped.
pub struct Machine {
    id: String,
}

impl Machine {
    /// With nothing on it; none where the test is skipped.
    pub fn bare() -> Result<Option<Self>> {
        let Some(image) = machine_image()? else { return Ok(None) };
        let source = workspace();
        let (programs, root) = (bin_dir()?, source.display());
        let mut docker = clean("docker");
        docker.args(["run", "-d", "--hostname", "machine", "--network", "none"]);
        docker.args(["--label", "piprio.test=compose"]);
        // What systemd needs, and no more: an engine that is in a container itself may lack the rest of --privileged.
        docker.args([
            "--cap-add",
            "SYS_ADMIN",
            "--cgroupns",
            "host",
            "-v",
            "/sys/fs/cgroup:/sys/fs/cgroup",
        ]);
        docker.args([
            "--security-opt",
            "apparmor=unconfined",
            "--security-opt",
            "seccomp=unconfined",
        ]);
        docker.args(["--tmpfs", "/run:exec", "--tmpfs", "/run/lock"]);
        docker.args(["-v", &format!("{}:/toolkit/bin:ro", programs.display())]);
        for dir in ["scripts", "contrib"] {
            docker.args(["-v", &format!("{root}/{dir}:/toolkit/{dir}:ro")]);
        }
        let machine = Self { id: run_docker(docker.arg(image))?.trim().to_owned() };
        let mut state = String::new();
        let booted = wait_until("systemd", || {
            state = machine.typed("systemctl is-system-running || true").stdout;
            Ok(["running\n", "degraded\n"].contains(&state.as_str()) || !machine.is_up()?)
        });
        if !machine.is_up()? {
            let mut logs = clean("docker");
            logs.args(["logs", &machine.id]);
            let log = run(logs, "")?;
            test_kit::skipped!(
                "systemd ends in a container of this engine: {}{}",
                log.stdout,
                log.stderr
            );
            return Ok(None);
        }
        booted.with_context(|| format!("systemd is {state}"))?;
        Ok(Some(machine))
    }

    /// With the deployment `/srv/piprio`, whose services are units.
    pub fn with_deployment() -> Result<Option<Self>> {
        let Some(machine) = Self::bare()? else { return Ok(None) };
        machine.typed("prepare").expect(0);
        Ok(Some(machine))
    }

    fn is_up(&self) -> Result<bool> {
        let mut docker = clean("docker");
        docker.args(["inspect", "-f", "{{.State.Running}}", &self.id]);
        Ok(run_docker(&mut docker)? == "true\n")
    }

    /// A line of a shell, as root in `/srv`.
    pub fn typed(&self, line: &str) -> Run {
        self.typed_by("root", line, "")
    }

    /// The same as a user, with a text on stdin.
    pub fn typed_by(&self, user: &str, line: &str, stdin: &str) -> Run {
        let mut docker = clean("docker");
        docker.args(["exec", "-i", "-u", user, "-w", "/srv", &self.id]);
        docker.args(["bash", "-euo", "pipefail", "-c", line]);
        run(docker, stdin).unwrap()
    }

    /// What a line prints, which must succeed.
    pub fn printed(&self, line: &str) -> String {
        self.typed(line).expect(0).stdout
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.printed(&format!("systemctl show --value -p {name} '{unit}'")).trim().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let mut docker = clean("docker");
        docker.args(["rm", "-fv", &self.id]);
        if let Err(error) = run_docker(&mut docker) {
            eprintln!("removing a machine: {error:#}");
        }
    }
}

fn run_docker(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn machine_image() -> Result<Option<String>> {
    let Some(services) = image() else { return Ok(None) };
    let mut build = clean(workspace().join("tests/compose/machine/build"));
    build.arg(services);
    let built = run(build, "")?;
    if built.status == 75 {
        test_kit::skipped!("the packages of systemd cannot be had: {}", built.stderr);
        return Ok(None);
    }
    Ok(Some(built.expect(0).stdout.trim().to_owned()))
}
