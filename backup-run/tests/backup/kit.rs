//! A deployment on which backups run, and are made to fail.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use test_kit::deployment::{Deployment, Options, Run, sh};
use test_kit::process::wait_until;

pub fn deployment() -> Result<Deployment> {
    Deployment::temporary(&Options::default())
}

pub fn mode(path: &Path) -> Result<u32> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode()
        & 0o7777)
}

/// A deployment with one good bundle, on which backups are made to fail.
pub struct Failing {
    pub deployment: Deployment,
    pub bundle: PathBuf,
    before: BTreeMap<String, Vec<u8>>,
}

impl Failing {
    pub fn new() -> Result<Self> {
        let deployment = deployment()?;
        deployment.backup(&[])?.expect(0);
        let bundle = deployment.newest_bundle()?;
        let before = contents(&bundle)?;
        Ok(Self { deployment, bundle, before })
    }

    /// The run failed with that status and reason, and left nothing but the bundle before it.
    pub fn check(&self, run: Run, status: i32, reason: &str) -> Result<()> {
        let run = run.expect(status);
        assert!(run.stderr.contains(reason), "{reason} is not in\n{}", run.stderr);
        assert_eq!(run.stdout, "");
        for secret in
            [&self.deployment.facts().postgres_password, &self.deployment.facts().s3_secret_key]
        {
            assert!(!run.stderr.contains(secret.as_str()), "a secret in\n{}", run.stderr);
        }
        self.is_as_before()
    }

    pub fn is_as_before(&self) -> Result<()> {
        let root = self.bundle.parent().context("a root")?;
        let left = sh(root, "ls -A | grep -v '^.lock$'")?;
        assert_eq!(
            left.lines().collect::<Vec<_>>(),
            [self.bundle.file_name().context("name")?.to_string_lossy()]
        );
        assert!(contents(&self.bundle)? == self.before, "the bundle before changed");
        Ok(())
    }

    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = self.deployment.dir().join(".env");
        let text = std::fs::read_to_string(&path)?;
        let text: String =
            text.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect();
        Ok(std::fs::write(path, format!("{text}{key}={value}\n"))?)
    }
}

pub fn contents(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry?;
        let bytes =
            if entry.file_type().is_file() { std::fs::read(entry.path())? } else { Vec::new() };
        all.insert(entry.path().display().to_string(), bytes);
    }
    Ok(all)
}

pub fn finish(child: Child) -> Result<Run> {
    let out = child.wait_with_output()?;
    Ok(Run {
        status: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}

pub fn start(deployment: &Deployment) -> Result<Child> {
    let mut command = deployment.script("backup.sh", &[]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

pub fn record_file(deployment: &Deployment) -> PathBuf {
    deployment.dir().join(".restore/last-backup.json")
}

/// What the last run has recorded of itself.
pub fn record(deployment: &Deployment) -> Result<Value> {
    let file = record_file(deployment);
    let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
    Ok(serde_json::from_slice(&text)?)
}

/// Holds a lock that keeps pg_dump waiting, so that a backup is surely in the middle of its dump.
pub struct Held<'a> {
    psql: Child,
    deployment: &'a Deployment,
}

impl<'a> Held<'a> {
    pub fn new(deployment: &'a Deployment) -> Result<Self> {
        let mut psql = deployment.postgres_client("psql");
        let sql = "begin; lock table public.tenants; select pg_sleep(600)";
        psql.args(["-X", "-d", "piprio", "-c", sql]).stdout(Stdio::null()).stderr(Stdio::null());
        let held = Self { psql: psql.spawn()?, deployment };
        wait_until("the lock", || {
            let ask = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted
                       and relation = 'public.tenants'::regclass";
            Ok(deployment.psql(ask)? == "1")
        })?;
        Ok(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // A session does not notice that its client is gone while it sleeps.
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
                   where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()";
        let _ = self.deployment.psql_in("postgres", end);
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

pub fn waiting_for_lock(deployment: &Deployment) -> Result<bool> {
    Ok(deployment.psql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")?
        != "0")
}

/// Puts a script into the place of a program.
pub fn replace(deployment: &Deployment, program: &str, script: &str) -> Result<()> {
    let path = deployment.dir().join("bin").join(program);
    std::fs::remove_file(&path)?;
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?)
}
