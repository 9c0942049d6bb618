//! A bundle made by the real tools from a real database and a real bucket: sealed, published,
//! verified, damaged in every part, listed and pruned.

use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use test_kit::{Postgres, S3, tool, tool_path};

const NAME: &str = "piprio_20260421T020000Z";

struct World {
    dir: TempDir,
    variables: Vec<(String, String)>,
}

impl World {
    /// A root that holds one finished bundle.
    fn new() -> Result<Self> {
        let postgres = Postgres::start()?;
        postgres.create_tenants("piprio", 2, 20)?;
        let s3 = S3::start("documents")?;
        for (key, body) in [("a", "one"), ("a/b", "two"), ("folder/", ""), ("odd\nkey\\", "three")]
        {
            s3.put(key, &[("Content-Type", "text/plain")], body.as_bytes())?;
        }
        let mut variables = [postgres.env(), s3.env()].concat();
        variables.push(("PGDATABASE".into(), "piprio".into()));
        variables.push(("PIPRIO_DOMAIN".into(), "docs.example.org".into()));
        let world = Self { dir: tempfile::tempdir()?, variables };
        world.make()?;
        Ok(world)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    fn bundle(&self) -> PathBuf {
        self.root().join(NAME)
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(tool(name));
        command.args(arguments).env("PATH", tool_path()).envs(self.variables.iter().cloned());
        command.output().with_context(|| name.to_owned())
    }

    /// Runs a tool that must succeed; its standard output goes to a file.
    fn to_file(&self, file: &Path, name: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(tool(name));
        command.args(arguments).env("PATH", tool_path()).envs(self.variables.iter().cloned());
        let output = command.stdout(File::create(file)?).output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {words}");
        Ok(())
    }

    fn make(&self) -> Result<()> {
        let deploy = self.dir.path().join("deploy");
        fs::create_dir_all(deploy.join("secrets"))?;
        fs::write(deploy.join(".env"), "PIPRIO_DOMAIN=docs.example.org\n")?;
        fs::write(deploy.join("secrets/key"), "a key")?;
        let partial = self.root().join(format!(".{NAME}.partial"));
        fs::create_dir_all(&partial)?;
        let (deploy, dir) = (deploy.to_string_lossy(), partial.to_string_lossy());
        self.to_file(&partial.join("database.sql.gz"), "pg-snap", &["dump"])?;
        let mirror = partial.join("minio");
        self.to_file(
            Path::new("/dev/null"),
            "obj-mirror",
            &["s3://documents", &mirror.to_string_lossy()],
        )?;
        let pack = ["create", "--root", &deploy, ".env", "secrets"];
        self.to_file(&partial.join("config.tar.gz"), "cfg-pack", &pack)?;
        self.to_file(&partial.join("MANIFEST.txt"), "bundle-manifest", &["describe", &dir])?;
        self.to_file(&partial.join("SHA256SUMS"), "bundle-manifest", &["sums", &dir])?;
        self.to_file(Path::new("/dev/null"), "bundle-manifest", &["publish", &dir])
    }

    /// The status of a full verify, and what it printed.
    fn verify(&self) -> Result<(Option<i32>, String)> {
        let output = self.run("bundle-manifest", &["verify", &self.bundle().to_string_lossy()])?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

#[test]
fn a_bundle_of_the_real_tools_is_intact_and_any_damage_to_it_is_found() -> Result<()> {
    let world = World::new()?;
    let bundle = world.bundle();
    assert_eq!(world.verify()?, (Some(0), String::new()));
    let manifest = fs::read_to_string(bundle.join("MANIFEST.txt"))?;
    assert!(!manifest.contains("Postgres:  unknown"), "{manifest}");
    assert!(manifest.contains("  4 objects\n"), "{manifest}");
    for (dir, sums) in
        [(bundle.clone(), "SHA256SUMS"), (bundle.join("minio"), ".obj-mirror/SHA256SUMS")]
    {
        let check =
            Command::new("sha256sum").args(["-c", "--strict", sums]).current_dir(dir).output()?;
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    }

    for file in files(&bundle)? {
        let whole = fs::read(&file)?;
        let mut changed = whole.clone();
        match changed.len() / 2 {
            0 => changed.push(b'x'),
            middle => changed[middle] ^= 1,
        }
        let cut = whole[..whole.len().saturating_sub(1)].to_vec();
        let cut = if whole.is_empty() { b"\n".to_vec() } else { cut };
        for content in [changed, cut] {
            fs::write(&file, content)?;
            let (status, message) = world.verify()?;
            assert_eq!(status, Some(4), "{}: {message}", file.display());
        }
        fs::remove_file(&file)?;
        let (status, message) = world.verify()?;
        assert_eq!(status, Some(4), "{}: {message}", file.display());
        fs::write(&file, whole)?;
    }
    assert_eq!(world.verify()?, (Some(0), String::new()));
    Ok(())
}

#[test]
fn a_bundle_is_listed_and_outlives_retention_as_the_newest_intact_one() -> Result<()> {
    let world = World::new()?;
    let older = "piprio_20260101T000000Z";
    let copied =
        Command::new("cp").arg("-a").arg(world.bundle()).arg(world.root().join(older)).status()?;
    assert!(copied.success());
    let root = world.root();
    let output = world.run("bundle-prune", &["--keep-days", "1", &root.to_string_lossy()])?;
    let message = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(message.contains(&format!("removed {older} older than 1 d\n")), "{message}");
    let listed = world.run("bundle-manifest", &["list", &root.to_string_lossy()])?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.starts_with(NAME) && listed.ends_with("intact\n"), "{listed}");
    assert_eq!(fs::read_dir(root)?.count(), 1);
    Ok(())
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    ensure!(files.len() >= 10, "only {files:?}");
    Ok(files)
}
