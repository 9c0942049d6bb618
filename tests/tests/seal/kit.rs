//! What the tests here share: a bundle with odd names in it, keys, and the two scripts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use test_kit::tools::workspace;
use test_kit::{S3, tool, tool_path};

pub const NAME: &str = "piprio_20260421T020000Z";

/// A directory with a deployment, a finished bundle, and a keyring of its own.
pub struct Bench {
    dir: TempDir,
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

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

pub fn end(command: &mut Command) -> Ended {
    let out = command.output().unwrap();
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    Ended { code: out.status.code(), out: out.stdout, err }
}

impl Bench {
    pub fn new() -> Self {
        // A keyring's socket needs a short path.
        let bench = Self { dir: tempfile::Builder::new().prefix("seal-").tempdir().unwrap() };
        for dir in ["deploy", "backups", "keyring"] {
            fs::create_dir(bench.path(dir)).unwrap();
        }
        fs::set_permissions(bench.path("keyring"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(bench.path("backups"), fs::Permissions::from_mode(0o700)).unwrap();
        bench.make();
        bench
    }

    fn make(&self) {
        let partial = self.path("backups").join(format!(".{NAME}.partial"));
        fs::create_dir(&partial).unwrap();
        let dump = "--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n";
        fs::write(partial.join("database.sql"), dump).unwrap();
        self.sh(&format!("gzip -n '{}/database.sql'", partial.display()));
        fs::write(self.path("deploy/.env"), "PIPRIO_DOMAIN=docs.example.org\n").unwrap();

        let s3 = S3::start("documents").unwrap();
        let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
        for key in ["a", "a/b", "odd\nkey\\", "back\\slash", "ünï/ço∂é", "  ", &long, "empty/"]
        {
            s3.put(key, &[], key.as_bytes()).unwrap();
        }
        // More than the decrypter gives out at once, and not to be compressed away.
        let mut seed = 7_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let large: Vec<u8> = (0..300_000).map(|_| noise()).collect();
        s3.put("large", &[], &large).unwrap();
        let mirror = partial.join("minio").display().to_string();
        let mut pull = self.command(tool("obj-mirror"), &["s3://documents", &mirror]);
        end(pull.envs(s3.env())).with(0);

        let dir = partial.display().to_string();
        let deploy = self.path("deploy").display().to_string();
        for (file, name, arguments) in [
            ("config.tar.gz", "cfg-pack", &["create", "--root", &deploy, ".env"][..]),
            ("MANIFEST.txt", "bundle-manifest", &["describe", &dir]),
            ("SHA256SUMS", "bundle-manifest", &["sums", &dir]),
        ] {
            let out = self.tool(name, arguments).with(0).out;
            fs::write(partial.join(file), out).unwrap();
            fs::set_permissions(partial.join(file), fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::set_permissions(partial.join("database.sql.gz"), fs::Permissions::from_mode(0o600))
            .unwrap();
        self.tool("bundle-manifest", &["publish", &dir]).with(0);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn bundle(&self) -> PathBuf {
        self.path("backups").join(NAME)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// A program, started in the bench's directory.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("PATH", tool_path()).env("GNUPGHOME", self.path("keyring"));
        command.env("PIPRIO_DEPLOY", self.path("deploy")).env_remove("GPG_TTY");
        command
    }

    pub fn tool(&self, name: &str, arguments: &[&str]) -> Ended {
        end(&mut self.command(tool(name), arguments))
    }

    pub fn script(&self, name: &str, arguments: &[&str]) -> Command {
        let script = workspace().join("scripts").join(name).display().to_string();
        self.command("bash", &[&[script.as_str()], arguments].concat())
    }

    pub fn seal(&self, arguments: &[&str]) -> Ended {
        let bundle = self.bundle().display().to_string();
        end(&mut self.script("seal.sh", &[&[bundle.as_str()], arguments].concat()))
    }

    pub fn unseal(&self, arguments: &[&str]) -> Ended {
        end(&mut self.script("unseal.sh", arguments))
    }

    pub fn sh(&self, line: &str) {
        end(&mut self.command("bash", &["-euc", line])).with(0);
    }

    /// Makes a key: the name of its file, and who to encrypt for.
    pub fn age_key(&self, name: &str) -> (String, String) {
        self.sh(&format!("age-keygen -o {name} 2>/dev/null"));
        let recipient = end(&mut self.command("age-keygen", &["-y", name])).with(0).text();
        (name.to_owned(), recipient.trim().to_owned())
    }

    pub fn gpg(&self, arguments: &[&str]) {
        let quiet = ["--batch", "--quiet", "--pinentry-mode", "loopback"];
        end(&mut self.command("gpg", &[&quiet, arguments].concat())).with(0);
    }

    /// Unseals what must be refused, and gives the status; nothing may be left of it.
    #[track_caller]
    pub fn refused(&self, sealed: &[u8], keys: &[&str]) -> i32 {
        self.write("refused", sealed);
        let ended = self.unseal(&[&["refused", "gone"], keys].concat());
        assert_ne!(ended.code, Some(0), "{}", ended.err);
        assert_eq!(ended.text(), "");
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        self.assert_nothing("gone");
        ended.code.unwrap()
    }

    /// The directory was not left behind.
    #[track_caller]
    pub fn assert_nothing(&self, dir: &str) {
        assert!(!self.path(dir).exists(), "{:?}", fs::read_dir(self.path(dir)).map(|d| d.count()));
    }

    /// The bundle in a directory is the bench's own: names, kinds, modes, bytes, times to the second.
    #[track_caller]
    pub fn assert_identical(&self, dir: &str) {
        let copy = bytes_of(&self.path(dir).join(NAME));
        let original = bytes_of(&self.bundle());
        assert!(copy.keys().eq(original.keys()), "{:?}\n{:?}", copy.keys(), original.keys());
        for (path, is) in &copy {
            assert!(original[path] == *is, "{}", path.display());
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A keyring's agent outlives who asked it.
        let _ = self.command("gpgconf", &["--kill", "all"]).stderr(Stdio::null()).status();
    }
}

/// A recipient whose key lies in `key`.
pub fn age_recipient(bench: &Bench) -> String {
    bench.age_key("key").1
}

/// Every path below a directory: mode, time of a file, bytes.
pub fn bytes_of(dir: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let meta = entry.metadata().unwrap();
            let is_file = meta.is_file();
            let bytes = if is_file { fs::read(entry.path()).unwrap() } else { Vec::new() };
            let time = if is_file { meta.mtime() } else { 0 };
            (entry.path().strip_prefix(dir).unwrap().to_owned(), (meta.mode(), time, bytes))
        })
        .collect()
}

/// So many offsets below `length`: the first few, where the keys lie, the last, and others between.
pub fn spread(length: usize, count: usize) -> Vec<usize> {
    let head = count / 4;
    let step = (length - 1) / (count - head - 1);
    let mut all: Vec<usize> = (0..head).map(|n| n * 17).collect();
    all.extend((0..count - head - 1).map(|n| 200 + n * step).filter(|at| *at < length));
    all.push(length - 1);
    while all.len() < count {
        all.push(length - 1 - all.len() * 13);
    }
    all
}
