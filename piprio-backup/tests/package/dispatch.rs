//! One file under many names, and the command that starts them.

use crate::{PROGRAM, source, stderr, stdout};
use piprio_backup::{programs::PROGRAMS, scripts::SCRIPTS};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A prefix as the package has it.
struct Prefix {
    dir: TempDir,
}

impl Prefix {
    fn new() -> Self {
        let prefix = Self { dir: tempfile::tempdir().unwrap() };
        let programs = prefix.path("libexec/piprio-backup");
        for dir in [&programs, &prefix.path("bin"), &prefix.path("share/piprio-backup/scripts")] {
            std::fs::create_dir_all(dir).unwrap();
        }
        let whole = programs.join("piprio-backup");
        std::fs::copy(PROGRAM, &whole).unwrap();
        for program in &PROGRAMS {
            std::fs::hard_link(&whole, programs.join(program.name)).unwrap();
        }
        let target = "../libexec/piprio-backup/piprio-backup";
        std::os::unix::fs::symlink(target, prefix.path("bin/piprio-backup")).unwrap();
        prefix
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn copy_scripts(&self) {
        let scripts = self.path("share/piprio-backup/scripts");
        for entry in std::fs::read_dir(source("scripts")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sh") {
                std::fs::copy(&path, scripts.join(path.file_name().unwrap())).unwrap();
            }
        }
    }

    /// `piprio-backup` in a directory that is no deployment.
    fn command(&self, program: &str) -> Command {
        let elsewhere = self.path("elsewhere");
        std::fs::create_dir_all(&elsewhere).unwrap();
        let mut command = Command::new(self.path(program));
        command.current_dir(elsewhere).env_remove("PIPRIO_DEPLOY").env("TMPDIR", self.dir.path());
        command
    }
}

fn version(name: &str) -> String {
    format!("{name} {}\n", env!("CARGO_PKG_VERSION"))
}

#[test]
fn each_name_is_its_program() {
    let prefix = Prefix::new();
    for program in &PROGRAMS {
        let name = program.name;
        let path = format!("libexec/piprio-backup/{name}");
        assert_eq!(stdout(prefix.command(&path).arg("--version")), version(name));
        let whole = "bin/piprio-backup";
        assert_eq!(stdout(prefix.command(whole).args([name, "--version"])), version(name));
    }
    assert_eq!(
        stdout(prefix.command("bin/piprio-backup").arg("--version")),
        version("piprio-backup")
    );
}

#[test]
fn a_copy_under_another_name_is_the_command() {
    let prefix = Prefix::new();
    std::fs::copy(PROGRAM, prefix.path("renamed")).unwrap();
    assert_eq!(stdout(prefix.command("renamed").arg("--version")), version("piprio-backup"));
    // Without the programs beside it, the file starts itself.
    let out = stdout(prefix.command("renamed").args(["pg-snap", "--version"]));
    assert_eq!(out, version("pg-snap"));
}

fn ends_with_usage(mut command: Command, words: &str) {
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{command:?}: {text}");
    assert!(output.stdout.is_empty() && text.contains(words), "{command:?}: {text}");
}

#[test]
fn a_command_that_does_not_exist_is_a_usage_error() {
    let prefix = Prefix::new();
    let mut command = prefix.command("bin/piprio-backup");
    command.arg("backpu");
    ends_with_usage(command, "backpu");
    ends_with_usage(prefix.command("bin/piprio-backup"), "Usage");
}

#[test]
fn a_script_needs_the_package_and_a_deployment() {
    let prefix = Prefix::new();
    for script in &SCRIPTS {
        let mut command = prefix.command("bin/piprio-backup");
        command.arg(script.name);
        ends_with_usage(command, &format!("scripts/{}.sh", script.name));
    }
    prefix.copy_scripts();
    for script in &SCRIPTS {
        let mut command = prefix.command("bin/piprio-backup");
        command.arg(script.name);
        ends_with_usage(command, &format!("piprio-backup --deploy DIR {}", script.name));
    }
}

#[test]
fn a_script_finds_the_programs_beside_the_command() {
    let prefix = Prefix::new();
    prefix.copy_scripts();
    let deploy = prefix.path("deploy");
    std::fs::create_dir_all(&deploy).unwrap();
    let mut command = prefix.command("bin/piprio-backup");
    command.arg("--deploy").arg(&deploy).args(["backup", "--version"]);
    command.env("PATH", Path::new("/usr/bin:/bin"));
    assert_eq!(stdout(&mut command), version("backup-run"));
}

/// `install --yes DIR`, where neither form of Compose can read a file.
fn install_where_compose_fails(prefix: &Prefix, deploy: &Path) -> std::process::Output {
    let stand_ins = prefix.path("stand-ins");
    std::fs::create_dir_all(&stand_ins).unwrap();
    for name in ["docker", "docker-compose"] {
        let path = stand_ins.join(name);
        std::fs::write(&path, "#!/bin/sh\necho 'line 3 is no YAML' >&2\nexit 1\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).unwrap();
    }
    let mut command = prefix.command("bin/piprio-backup");
    command.env("PATH", format!("{}:/usr/bin:/bin", stand_ins.display()));
    command.args(["install", "--yes"]).arg(deploy).output().unwrap()
}

#[test]
fn nothing_is_installed_where_the_services_are_not_known() {
    let prefix = Prefix::new();
    prefix.copy_scripts();
    let deploy = prefix.path("deploy");
    std::fs::create_dir(&deploy).unwrap();
    std::fs::write(deploy.join("compose.yaml"), "services\n").unwrap();
    let output = install_where_compose_fails(&prefix, &deploy);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(&deploy).unwrap().count(), 1);
    // Without a Compose file nobody is asked: an empty directory is enough for a restore.
    std::fs::remove_file(deploy.join("compose.yaml")).unwrap();
    let output = install_where_compose_fails(&prefix, &deploy);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(deploy.join("bin/pg-snap").is_file() && deploy.join("scripts/backup.sh").is_file());
}
