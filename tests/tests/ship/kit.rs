//! What the tests here share: bundles without a deployment, keys, and two destinations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use test_kit::tools::workspace;
use test_kit::{S3, tool, tool_path};

pub const NAME: &str = "piprio_20260421T020000Z";
pub const OFFSITE: &str = "offsite";

/// A root with bundles, a key, a bucket and a directory.
pub struct Bench {
    pub dir: TempDir,
    pub s3: S3,
}

/// How a run ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ended {
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.err);
        self
    }

    #[track_caller]
    pub fn reports(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} in:\n{}", self.err);
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap()
    }
}

pub fn end(command: &mut Command) -> Ended {
    let out = command.output().unwrap();
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    Ended { code: out.status.code(), out: out.stdout, err }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(S3::start(OFFSITE).unwrap())
    }

    /// A bench with one small bundle.
    pub fn with(s3: S3) -> Self {
        let dir = tempfile::Builder::new().prefix("ship-").tempdir().unwrap();
        let bench = Self { dir, s3 };
        for dir in ["deploy/.restore", "backups", "copies"] {
            fs::create_dir_all(bench.path(dir)).unwrap();
        }
        fs::write(bench.path("deploy/.env"), "PIPRIO_DOMAIN=docs.example.org\n").unwrap();
        bench.sh("age-keygen -o key 2>/dev/null && age-keygen -y key > key.pub");
        bench.make(NAME, "SELECT 1;");
        bench
    }

    /// Makes a bundle whose dump holds a text.
    pub fn make(&self, name: &str, text: &str) -> PathBuf {
        self.make_of("docs.example.org", name, text)
    }

    /// Makes a bundle of the deployment with this domain.
    pub fn make_of(&self, domain: &str, name: &str, text: &str) -> PathBuf {
        let partial = self.path("backups").join(format!(".{name}.partial"));
        fs::create_dir(&partial).unwrap();
        let dump = format!(
            "--\n-- PostgreSQL database dump\n--\n\n{text}\n--\n-- PostgreSQL database dump complete\n--\n"
        );
        fs::write(partial.join("database.sql"), dump).unwrap();
        self.sh(&format!("gzip -1 -n '{}/database.sql'", partial.display()));
        let (dir, deploy) = (partial.display().to_string(), self.path("deploy"));
        for (file, name, arguments) in [
            (
                "config.tar.gz",
                "cfg-pack",
                &["create", "--root", deploy.to_str().unwrap(), ".env"][..],
            ),
            ("MANIFEST.txt", "bundle-manifest", &["describe", &dir]),
            ("SHA256SUMS", "bundle-manifest", &["sums", &dir]),
        ] {
            let mut command = self.command(tool(name), arguments);
            let out = end(command.env("PIPRIO_DOMAIN", domain)).with(0).out;
            fs::write(partial.join(file), out).unwrap();
        }
        end(&mut self.command(tool("bundle-manifest"), &["publish", &dir])).with(0);
        self.path("backups").join(name)
    }

    /// A bundle of several parts.
    pub fn make_large(&self, name: &str) -> PathBuf {
        let noise: String = (0..300_000)
            .map(|_| {
                format!(
                    "-- {:016x}{:016x}{:016x}\n",
                    fastrand::u64(..),
                    fastrand::u64(..),
                    fastrand::u64(..)
                )
            })
            .collect();
        self.make(name, &noise)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn bundle(&self) -> PathBuf {
        self.path("backups").join(NAME)
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("PATH", tool_path()).env("GNUPGHOME", self.path("keyring"));
        command.env("PIPRIO_DEPLOY", self.path("deploy")).env_remove("GPG_TTY");
        command.env("PIPRIO_SCRIPTS", workspace().join("scripts"));
        command
    }

    /// `ship-run` with a bucket as SHIP_1, a directory as SHIP_2, and an age key.
    pub fn ship_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(tool("ship-run"), arguments);
        command.env("PIPRIO_RESOLVED", "1").env("BACKUP_ROOT", self.path("backups"));
        command.env("PIPRIO_DOMAIN", "docs.example.org").env("BACKUP_KEEP_DAYS", "30");
        command.env("SHIP_RECIPIENTS", self.path("key.pub"));
        command.env("SHIP_1", format!("s3://{OFFSITE}/host1")).env("SHIP_2", self.path("copies"));
        for (name, value) in self.s3.env() {
            let name = match name.as_str() {
                "AWS_ENDPOINT_URL" => "SHIP_1_ENDPOINT",
                "AWS_REGION" => "SHIP_1_REGION",
                "AWS_ACCESS_KEY_ID" => "SHIP_1_ACCESS_KEY",
                _ => "SHIP_1_SECRET_KEY",
            };
            command.env(name, value);
        }
        // Another storage's keys, which must not be used.
        command.env("AWS_ACCESS_KEY_ID", "other").env("AWS_SECRET_ACCESS_KEY", "other");
        command
    }

    pub fn ship(&self, arguments: &[&str]) -> Ended {
        end(&mut self.ship_command(arguments))
    }

    pub fn sh(&self, script: &str) -> String {
        let mut command = self.command("bash", &["-euo", "pipefail", "-c", script]);
        String::from_utf8(end(&mut command).with(0).out).unwrap()
    }

    /// Names in the directory that copies go to.
    pub fn copies(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("copies")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Keys in the bucket, without the folder.
    pub fn objects(&self) -> Vec<String> {
        let keys = self.s3.client().list(OFFSITE, "").unwrap();
        keys.iter().map(|key| key.strip_prefix("host1/").unwrap().to_owned()).collect()
    }

    pub fn object(&self, name: &str) -> Vec<u8> {
        self.s3.client().get((OFFSITE, &format!("host1/{name}"))).unwrap().body
    }

    pub fn put_object(&self, name: &str, bytes: &[u8]) {
        self.s3.put(&format!("host1/{name}"), &[], bytes).unwrap();
    }

    /// Opens a sealed file, and compares it with the bundle.
    pub fn opens_as(&self, sealed: &Path, bundle: &Path) {
        let name = bundle.file_name().unwrap().to_str().unwrap();
        let into = tempfile::tempdir().unwrap();
        let (sealed, dir) = (sealed.to_str().unwrap(), into.path().to_str().unwrap());
        let arguments = ["unpack", sealed, dir, "-i", "key"];
        end(&mut self.command(tool("bundle-manifest"), &arguments)).with(0);
        self.sh(&format!("diff -r '{}' '{dir}/{name}'", bundle.display()));
    }
}
