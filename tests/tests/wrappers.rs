//! What the wrappers do before they become a tool.

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use test_kit::process::wait_until;
use test_kit::tools::workspace;

const WRAPPERS: [&str; 5] = ["backup.sh", "health-check.sh", "restore.sh", "ship.sh", "drill.sh"];

/// A deployment of scripts, with programs of its own.
struct Deployment(TempDir);

impl Deployment {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("scripts"))?;
        std::fs::create_dir(dir.path().join("path"))?;
        for name in WRAPPERS.iter().chain(&["lib.sh"]) {
            let to = dir.path().join("scripts").join(name);
            std::fs::copy(workspace().join("scripts").join(name), to)?;
        }
        Ok(Self(dir))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A script that is found as a program.
    fn program(&self, name: &str, script: &str) -> Result<()> {
        let path = self.path("path").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        Ok(std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?)
    }

    fn wrapper(&self, script: &Path) -> Command {
        let mut command = Command::new("/bin/bash");
        command.arg(script).arg("piprio_1").stdin(Stdio::null()).env_remove("PIPRIO_DEPLOY");
        command.env("PATH", self.path("path"));
        command
    }
}

fn is_there(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_program_that_is_stopped_before_the_tool_begins_ends_with_the_wrapper() -> Result<()> {
    for script in WRAPPERS {
        // Root looks for programs that others can write; the others read a setting.
        let program = match script {
            "restore.sh" | "drill.sh" => "deploy-env",
            _ if !rustix::process::geteuid().is_root() => continue,
            _ => "find",
        };
        let deployment = Deployment::new()?;
        if program == "find" {
            std::fs::create_dir(deployment.path("bin"))?;
        }
        let noted = deployment.path("pid");
        let stops =
            format!("echo $$ > '{0}.new'\n/bin/mv '{0}.new' '{0}'\nkill -STOP $$", noted.display());
        deployment.program(program, &stops)?;
        let mut child = deployment
            .wrapper(&deployment.path("scripts").join(script))
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        wait_until("the program is stopped", || {
            let pid = std::fs::read_to_string(&noted).unwrap_or_default();
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            Ok(!pid.is_empty() && stat.is_ok_and(|stat| stat.contains(") T ")))
        })?;
        let pid = std::fs::read_to_string(&noted)?;
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        assert_eq!(child.wait()?.code(), Some(143), "{script}");
        assert!(!is_there(pid.trim()), "{script}");
    }
    Ok(())
}

#[test]
fn no_program_is_started_before_the_tool_where_none_is_needed() -> Result<()> {
    let deployment = Deployment::new()?;
    let root = deployment.0.path().canonicalize()?;
    let tool = "echo \"$PIPRIO_DEPLOY $PIPRIO_SCRIPTS\"";
    for name in ["backup-run", "health-probe", "ship-run"] {
        deployment.program(name, tool)?;
    }
    let expected = format!("{0} {0}/scripts\n", root.display());
    for name in ["backup.sh", "health-check.sh", "ship.sh"] {
        for (dir, script) in [
            ("/".to_owned(), root.join("scripts").join(name)),
            (root.display().to_string(), format!("scripts/{name}").into()),
            (format!("{}/scripts", root.display()), name.into()),
            (format!("{}/path", root.display()), format!("../scripts/.//{name}").into()),
        ] {
            let out = deployment.wrapper(&script).current_dir(&dir).env_remove("PWD").output()?;
            assert_eq!(String::from_utf8(out.stderr)?, "", "{name} in {dir}");
            assert_eq!(String::from_utf8(out.stdout)?, expected, "{name} in {dir}");
        }
    }
    Ok(())
}

#[test]
fn a_restore_of_a_path_that_cannot_be_resolved_is_the_tools_to_report() -> Result<()> {
    let deployment = Deployment::new()?;
    deployment.program("restore-run", "echo \"restores $*.\"")?;
    let path = format!("{}:{}", deployment.path("path").display(), std::env::var("PATH")?);
    for (argument, enter) in [
        ("", "true"),
        ("piprio_1", "mkdir gone && cd gone && rmdir ../gone"),
        ("--abandon", "mkdir gone && cd gone && rmdir ../gone"),
    ] {
        let script = format!("{enter} && exec bash \"$0\" \"$1\"");
        let mut command = Command::new("bash");
        command.args(["-c", &script]).arg(deployment.path("scripts/restore.sh")).arg(argument);
        command.env("PATH", &path).env_remove("PIPRIO_DEPLOY").current_dir(deployment.0.path());
        let out = command.output()?;
        let printed = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(printed, format!("restores {argument}.\n"), "{out:?}");
    }
    Ok(())
}

#[test]
fn a_link_to_a_wrapper_or_to_its_directory_leads_to_the_deployment() -> Result<()> {
    let deployment = Deployment::new()?;
    let root = deployment.0.path().canonicalize()?;
    deployment.program("backup-run", "echo \"$PIPRIO_DEPLOY $PIPRIO_SCRIPTS\"")?;
    let links = tempfile::tempdir()?;
    symlink(root.join("scripts/backup.sh"), links.path().join("backup"))?;
    symlink(&root, links.path().join("current"))?;
    for script in ["backup", "current/scripts/backup.sh", "current/scripts/../scripts/backup.sh"] {
        let path = format!("{}:{}", root.join("path").display(), std::env::var("PATH")?);
        let script = links.path().join(script);
        let out = deployment.wrapper(&script).env("PATH", path).output()?;
        let expected = format!("{0} {0}/scripts\n", root.display());
        assert_eq!(String::from_utf8_lossy(&out.stdout), expected, "{out:?}");
    }
    Ok(())
}

#[test]
fn a_commands_first_line_and_its_status_are_never_lost() -> Result<()> {
    let script = r#"
        . "$1"
        for (( i = 0; i < 400; i++ )); do
          status=0
          capture bash -c "echo first; echo second; exit $(( i % 3 ))" || status=$?
          [[ "$status $REPLY" == "$(( i % 3 )) first" ]] || die 1 "$i: $status $REPLY"
        done
        capture true
        [[ -z "$REPLY" ]] || die 1 "$REPLY"
        capture printf 'no line feed'
        [[ "$REPLY" == 'no line feed' ]] || die 1 "$REPLY"
        capture cat <<< 'its input'
        [[ "$REPLY" == 'its input' ]] || die 1 "$REPLY"
    "#;
    let lib = workspace().join("scripts/lib.sh");
    let out = Command::new("bash").args(["-c", script, "test"]).arg(lib).output()?;
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

#[test]
fn a_drill_that_a_signal_ends_while_its_copy_is_opened_is_reported_by_the_tool() -> Result<()> {
    let deployment = Deployment::new()?;
    let unseal = "scripts/unseal.sh";
    std::fs::copy(workspace().join(unseal), deployment.path(unseal))?;
    std::fs::write(deployment.path("copy"), "")?;
    let (opens, noted) = (deployment.path("opens"), deployment.path("noted"));
    deployment.program("deploy-env", "true")?;
    let waits = format!("echo > '{}'\nexec sleep 1000", opens.display());
    deployment.program("bundle-manifest", &waits)?;
    deployment.program("drill-run", &format!("echo \"$*\" >> '{}'", noted.display()))?;
    let path = format!("{}:{}", deployment.path("path").display(), std::env::var("PATH")?);
    let mut command = Command::new("bash");
    command.arg(deployment.path("scripts/drill.sh")).args(["--level", "data", "copy", "-i", "key"]);
    command.current_dir(deployment.0.path()).env("PATH", path).env_remove("PIPRIO_DEPLOY");
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait_until("the copy is being opened", || Ok(opens.exists()))?;
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    assert_eq!(child.wait()?.code(), Some(143));
    assert_eq!(std::fs::read_to_string(noted)?, "--unopened 143 --level data copy\n");
    Ok(())
}
