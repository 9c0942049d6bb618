//! A deployment on which backups run, and are made to fail.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use test_kit::deployment::{Deployment, Options, Run, sh};

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
