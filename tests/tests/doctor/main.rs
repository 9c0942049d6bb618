//! `deploy-env doctor` on real servers: a sound deployment has no finding, and each of many mistakes is named with the
//! command that mends it, which is typed as printed.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

mod mistakes;
mod recipients;
mod unfinished;

use anyhow::{Context, Result, ensure};
use mistakes::{MISTAKES, Mistake};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;
use test_kit::deployment::{Deployment, Options, sh};
use test_kit::postgres;
use test_kit::tools::{bin_dir, tool_path, workspace};

/// A deployment that lacks nothing: a schedule, a bundle, a copy of it, a clock that is synchronized.
struct Sound {
    deployment: Deployment,
    /// What is outside the deployment: the root of the schedule, copies, the key that opens them.
    outside: TempDir,
}

/// What the host's `timedatectl` would answer: a test cannot set the host's clock.
const CLOCK: &str = r#"#!/bin/sh
here=${0%/*}
case $1 in
  set-ntp) rm -f "$here/../.unsynchronized" ;;
  show) if [ -e "$here/../.unsynchronized" ]; then echo no; else echo yes; fi ;;
esac
"#;

impl Sound {
    fn new() -> Result<Self> {
        let deployment = Deployment::temporary(&Options::default())?;
        let outside = tempfile::tempdir()?;
        let clock = deployment.dir().join("bin/timedatectl");
        std::fs::write(&clock, CLOCK)?;
        std::fs::set_permissions(&clock, PermissionsExt::from_mode(0o755))?;
        let sound = Self { deployment, outside };
        sound.sh("mkdir \"$OUTSIDE/copies\" && age-keygen -o \"$OUTSIDE/key\" 2>/dev/null
            age-keygen -y \"$OUTSIDE/key\" > certs/backup.pub
            printf '%s\\n' SHIP_RECIPIENTS=certs/backup.pub \"SHIP_1=$OUTSIDE/copies\" >> .env
            bash \"$INSTALL\" --from \"$BIN\" --cron \"$PWD\"")?;
        sound.deployment.backup(&[])?.expect(0);
        Ok(sound)
    }

    /// Where gpg's keyring is, if there is one.
    fn keyring(&self) -> PathBuf {
        self.outside.path().join("keyring")
    }

    /// A shell in the deployment, in which the test's places have names.
    fn shell(&self, script: &str) -> Result<Command> {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]).current_dir(self.deployment.dir());
        command.env("PATH", tool_path()).env("OUTSIDE", self.outside.path());
        command.env("DESTDIR", self.outside.path().join("root")).env("BIN", bin_dir()?);
        command.env("INSTALL", workspace().join("scripts/install.sh"));
        command.env("GNUPGHOME", self.keyring());
        command.env("PGPASSWORD", &self.deployment.facts().postgres_password);
        Ok(command)
    }

    fn sh(&self, script: &str) -> Result<()> {
        let output = self.shell(script)?.output()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{script}: {}: {words}", output.status);
        Ok(())
    }

    /// The exit status, and the report.
    fn doctor(&self) -> Result<(Option<i32>, Value)> {
        let mut command = Command::new(self.deployment.dir().join("bin/deploy-env"));
        command.args(["doctor", "--json"]).env("DESTDIR", self.outside.path().join("root"));
        command.env("GNUPGHOME", self.keyring());
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let facts = self.deployment.facts();
        for secret in [&facts.postgres_password, &facts.s3_secret_key, &facts.redis_password] {
            ensure!(
                !text.contains(secret) && !words.contains(secret),
                "a secret is printed: {text}{words}"
            );
        }
        ensure!(!text.contains("AGE-SECRET-KEY"), "a key is printed: {text}");
        let report = serde_json::from_str(&text).with_context(|| format!("{text:?} {words}"))?;
        Ok((output.status.code(), report))
    }

    fn ensure_sound(&self, after: &str) -> Result<()> {
        let (status, report) = self.doctor()?;
        ensure!(status == Some(0), "{after}: {status:?} {:#?}", findings(&report));
        Ok(())
    }
}

/// The check of a name: its status, what was found, and its command.
fn check_of<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    let text = |key: &str| check[key].as_str().unwrap_or_default();
    (text("status"), text("found"), text("command"))
}

fn findings(report: &Value) -> Vec<&Value> {
    report["checks"].as_array().unwrap().iter().filter(|c| c["status"] == "finding").collect()
}

/// What an operator adds to a command: an editor's work, a password, the place of what is in capitals.
fn typed(mistake: &Mistake, command: &str) -> String {
    let from = "\"$INSTALL\" --from \"$BIN\"";
    let superuser = format!("psql -U {} ", postgres::USER);
    let command =
        command.replace("scripts/install.sh", from).replace("psql -U postgres ", &superuser);
    format!(
        "scp() {{ cp \"$1\" \"$OUTSIDE/elsewhere\"; edit \"$1\"; }}
         mount() {{ rm \"$OLDPWD/.restore/ship/mounts.json\"; }}
         edit() {{ {} \"$1\"; }}
         EDITOR=edit; PATH=\"$PWD/bin:$PATH\"; cd \"$OUTSIDE\"
         {command}",
        match mistake.with {
            "" => "false",
            with => with,
        }
        .replace("certs/", "\"$OLDPWD/certs\"/")
    )
}

fn check(sound: &Sound, mistake: &Mistake) -> Result<()> {
    sound.sh(mistake.make)?;
    let (status, report) = sound.doctor()?;
    ensure!(status == Some(1), "ended with {status:?}");
    let found = findings(&report);
    for check in &found {
        ensure!(check["command"].as_str().is_some_and(|c| !c.is_empty()), "no command: {check}");
    }
    let command = command_of(mistake, &report).with_context(|| format!("{found:#?}"))?;
    ensure!(command.starts_with(mistake.command), "{command}");
    sound.sh(&typed(mistake, &command))?;
    // One mistake may have several findings.
    for _ in 0..3 {
        let (status, report) = sound.doctor()?;
        if status == Some(0) {
            return Ok(());
        }
        ensure!(command_of(mistake, &report).is_none(), "not mended by {command}");
        for finding in findings(&report) {
            // Some only show again what is wrong.
            let _ = sound.sh(&typed(mistake, finding["command"].as_str().unwrap()));
        }
    }
    sound.ensure_sound("every command was typed")
}

/// The command of the finding that a mistake should have.
fn command_of(mistake: &Mistake, report: &Value) -> Option<String> {
    let is_it = |check: &&&Value| {
        check["name"] == mistake.name && check["found"].as_str().unwrap().contains(mistake.found)
    };
    let found = findings(report);
    found.iter().find(is_it).map(|check| check["command"].as_str().unwrap().to_owned())
}

/// The table of checks has each of them.
fn ensure_documented(report: &Value) -> Result<()> {
    let page = std::fs::read_to_string(workspace().join("docs/DOCTOR.md"))?;
    for check in report["checks"].as_array().unwrap() {
        let name = check["name"].as_str().unwrap();
        let first = name.split(' ').next().unwrap();
        let is_named = |form: String| page.lines().any(|l| l.starts_with('|') && l.contains(&form));
        let forms = [format!("`{name}`"), format!("`{first} …`")];
        ensure!(forms.into_iter().any(is_named), "docs/DOCTOR.md lacks {name}");
    }
    Ok(())
}

#[test]
fn a_sound_deployment_has_no_finding_and_each_mistake_is_mended_by_the_command_that_names_it()
-> Result<()> {
    let sound = Sound::new()?;
    let password = sound.deployment.facts().postgres_password.replace('\'', "''");
    sound.deployment.psql(&format!(
        "create role reader login password '{password}'; grant {} to reader;
         create role creator login createdb bypassrls password '{password}'",
        postgres::USER
    ))?;
    let dotenv = sound.deployment.dir().join(".env");
    let before = std::fs::read(&dotenv)?;
    sound.ensure_sound("nothing was changed")?;
    ensure_documented(&sound.doctor()?.1)?;
    let failed: Vec<String> = MISTAKES
        .iter()
        .filter_map(|mistake| {
            let error = check(&sound, mistake).err();
            std::fs::write(&dotenv, &before).unwrap();
            error.map(|error| format!("{}: {error:#}", mistake.make))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn without_a_database_the_other_checks_still_run() -> Result<()> {
    let sound = Sound::new()?;
    sound.deployment.stop(&["postgres"])?;
    let (status, report) = sound.doctor()?;
    assert_eq!(status, Some(1));
    let state = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name);
        check.map(|check| check["status"].as_str().unwrap().to_owned())
    };
    for (name, expected) in [
        ("service postgres", "finding"),
        ("database piprio", "finding"),
        ("database server", "skipped"),
        ("storage documents", "ok"),
        ("schedule", "ok"),
        ("keys", "ok"),
        ("bundle newest", "ok"),
        ("room bundles", "ok"),
        ("clock", "ok"),
    ] {
        assert_eq!(state(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(report["findings"], findings(&report).len());
    assert_eq!(report["deployment"], sound.deployment.dir().to_str().unwrap());
    Ok(())
}

#[test]
fn settings_that_do_not_resolve_leave_the_checks_of_the_host() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let doctor = |deploy: &str| -> Result<(Option<i32>, String)> {
        let mut command = Command::new(test_kit::tool("deploy-env"));
        command
            .args(["doctor", "--deploy", deploy])
            .current_dir(dir.path())
            .env("DESTDIR", dir.path());
        let output = command.env_remove("PIPRIO_DEPLOY").output()?;
        Ok((output.status.code(), String::from_utf8(output.stdout)?))
    };
    assert_eq!(doctor("absent")?, (Some(2), String::new()));
    sh(dir.path(), "mkdir deploy")?;
    assert_eq!(doctor("deploy")?, (Some(2), String::new()));
    for (env, found) in [
        ("POSTGRES_PORT=hunter2\nSERVICE_DRIVER=./driver\n", "POSTGRES_PORT is not a port"),
        ("PIPRIO_DOMAIN='unclosed\n", "deploy/.env, line 1"),
    ] {
        std::fs::write(dir.path().join("deploy/.env"), env)?;
        sh(
            dir.path(),
            "cd deploy && printf '#!/bin/sh\\n' > driver && chmod 755 driver && chmod 600 .env",
        )?;
        let (status, text) = doctor("deploy")?;
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains(found) && !text.contains("hunter2"), "{text}");
        for name in ["access .env", "schedule", "everything else"] {
            assert!(text.contains(name), "{text}");
        }
    }
    Ok(())
}
