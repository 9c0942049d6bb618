//! What the tests here share: a deployment whose rows name objects and hold a credential, with the checks of
//! `contrib/drill.d`, and one bundle of it.

use anyhow::{Context, Result};
use bundle_format::report::{DrillReport, DrillVerdict};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_kit::deployment::{BUCKET, Deployment, Options, Run, run, sh};
use test_kit::product::sealed::Key;
use test_kit::tools::workspace;

/// What is encrypted with the deployment's key.
pub const CREDENTIAL: &[u8] = b"planted-credential-49013";

/// A deployment and a bundle of it.
pub struct Stand {
    pub deployment: Deployment,
    pub bundle: PathBuf,
}

impl Stand {
    /// A deployment that a drill can look into, backed up once.
    pub fn new(docs: u32) -> Result<Self> {
        let stand = Self::without_checks(docs)?;
        checks(&stand.deployment, &["objects.sql"])?;
        Ok(stand)
    }

    /// The same without anything in `drill.d`.
    pub fn without_checks(docs: u32) -> Result<Self> {
        let deployment = Deployment::temporary(&Options { docs, ..Options::default() })?;
        fill(&deployment)?;
        deployment.backup(&[])?.expect(0);
        let bundle = deployment.newest_bundle()?;
        Ok(Self { deployment, bundle })
    }

    /// Runs `drill.sh`.
    pub fn drill(&self, arguments: &[&str]) -> Result<Run> {
        self.deployment.run_script("drill.sh", arguments, "")
    }

    /// Drills a bundle, and reads the report.
    #[track_caller]
    pub fn report(&self, bundle: &Path, status: i32) -> Result<DrillReport> {
        let mut command = self.deployment.script("drill.sh", &["--json"]);
        command.arg(bundle);
        let run = run(command, "")?.expect(status);
        serde_json::from_str(&run.stdout).with_context(|| run.stdout.clone())
    }

    /// Where drills work.
    pub fn drill_dir(&self) -> PathBuf {
        self.deployment.dir().join("backups/.drill")
    }

    /// The reports, oldest first.
    pub fn reports(&self) -> Result<Vec<PathBuf>> {
        let dir = self.deployment.dir().join(".drills");
        let names = |entry: std::io::Result<std::fs::DirEntry>| entry.map(|entry| entry.path());
        let mut all: Vec<PathBuf> = match dir.exists() {
            true => std::fs::read_dir(dir)?.map(names).collect::<std::io::Result<_>>()?,
            false => Vec::new(),
        };
        all.retain(|path| {
            path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("drill_"))
        });
        all.sort();
        Ok(all)
    }

    /// A script in `drill.d`.
    pub fn add_check(&self, name: &str, text: &str) -> Result<()> {
        let path = self.deployment.dir().join("drill.d").join(name);
        std::fs::write(path, text).context("a check")
    }
}

/// Rows that name every object, a credential, a role with a right, and a row of now.
fn fill(deployment: &Deployment) -> Result<()> {
    deployment.psql(
        "create role reader; grant usage on schema tenant_0001 to reader;
         grant select, insert on tenant_0001.documents to reader;
         create table public.files (key text primary key, content_type text);
         create table tenant_0001.credentials (name text primary key, sealed text not null);
         insert into public.schema_migrations values ('now', 'now', now())",
    )?;
    let client = deployment.s3();
    for key in client.list(BUCKET, "")? {
        let object = client.get((BUCKET, &key))?;
        let content_type = object.header("content-type").unwrap_or_default();
        let quoted = [key.as_str(), content_type].map(|text| text.replace('\'', "''")).join("', '");
        deployment.psql(&format!("insert into public.files values ('{quoted}')"))?;
    }
    let key = std::fs::read(deployment.dir().join("secrets/credential_encryption_key"))?;
    let sealed = Key::new(&key)?.seal(CREDENTIAL)?;
    deployment.psql(&format!("insert into tenant_0001.credentials values ('smtp', '{sealed}')"))?;
    Ok(())
}

/// The examples of the project, except those that are for another layout, and SQL for this one.
pub fn checks(deployment: &Deployment, other: &[&str]) -> Result<()> {
    let dir = deployment.dir().join("drill.d");
    std::fs::create_dir(&dir)?;
    for entry in std::fs::read_dir(workspace().join("contrib/drill.d"))? {
        let entry = entry?;
        if !other.iter().any(|name| entry.file_name() == *name) {
            std::fs::copy(entry.path(), dir.join(entry.file_name()))?;
        }
    }
    std::fs::write(dir.join("objects.sql"), "select key, content_type from public.files;\n")?;
    // As a package's files would be: root runs nothing that others may write.
    sh(&dir, "chmod go-w . *").map(drop)
}

/// A bundle of the same content, so many days older.
pub fn older(stand: &Stand, days: i64) -> Result<String> {
    let name = bundle_format::BundleName::parse(stand.bundle.file_name().context("a name")?);
    let taken = name.context("a bundle")?.taken() - chrono::TimeDelta::days(days);
    let name = taken.format("piprio_%Y%m%dT%H%M%SZ").to_string();
    let script = format!("cp -a '{}' {name}", stand.bundle.display());
    sh(stand.bundle.parent().context("a root")?, &script)?;
    Ok(name)
}

/// Every finding, as a line.
pub fn findings(report: &DrillReport) -> Vec<String> {
    let is_one = |v: DrillVerdict| matches!(v, DrillVerdict::Finding | DrillVerdict::Failed);
    let checks = report.checks.iter().filter(|check| is_one(check.verdict));
    checks
        .map(|c| format!("{}: {}: {} (expected: {})", c.step, c.check, c.found, c.expected))
        .collect()
}

/// Every process in whose environment or command line a text stands.
pub fn processes(text: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        if path
            .file_name()
            .is_none_or(|n| !n.to_string_lossy().starts_with(|c: char| c.is_ascii_digit()))
        {
            continue;
        }
        // One that has just ended has neither.
        let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        if command.contains(text) || environment.contains(text) {
            found.push(format!("{} {command}", path.display()));
        }
    }
    Ok(found)
}

/// The files below a directory, sorted, without those of drills.
pub fn files(dir: &Path) -> Result<String> {
    sh(
        dir,
        "find . -not -path './.drills*' -not -path './.restore/last-drill.json' -not -path './backups/.drill*' \
         -printf '%y %m %p %s\\n' | sort",
    )
}

/// Sets a command's environment so that everything it starts can be found, and all its temporary files.
pub fn marked(mut command: Command, mark: &str, temporary: &Path) -> Command {
    command.env("DRILL_TEST_MARK", mark).env("TMPDIR", temporary);
    command
}

/// A directory for temporary files, also for those of PostgreSQL's user.
pub fn temporary() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755))?;
    Ok(dir)
}
