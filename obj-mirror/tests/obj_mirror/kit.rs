//! What the tests here share.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use test_kit::{S3, tool};

pub const BUCKET: &str = "documents";

/// How many of something a test tries: enough for every change, or, where `PIPRIO_TEST_FULL=yes` asks
/// so, as many as take their time.
pub fn tries<N>(usual: N, full: N) -> N {
    if std::env::var_os("PIPRIO_TEST_FULL").is_some_and(|v| v == "yes") { full } else { usual }
}

/// A server with an empty bucket, and a directory for mirrors.
pub struct Bench {
    pub s3: S3,
    pub dir: TempDir,
}

/// An object: its key, its bytes, and its headers.
pub type Object = (String, Vec<u8>, Vec<(String, String)>);

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// The same, if it ended with this status.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The same, if its stderr has this in it.
    #[track_caller]
    pub fn reports(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} in:\n{}", self.err);
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(S3::start(BUCKET).unwrap())
    }

    /// The same with a server of another kind.
    pub fn with(s3: S3) -> Self {
        let dir = tempfile::Builder::new().prefix("mirror-").tempdir().unwrap();
        Self { s3, dir }
    }

    /// A directory of the bench; it need not be there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `obj-mirror` with the server's settings.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(tool("obj-mirror"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in ["AWS_CA_BUNDLE", "AWS_SESSION_TOKEN", "S3_FORCE_PATH_STYLE"] {
            command.env_remove(name);
        }
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        command.envs(self.s3.env());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        end(&mut self.command(args))
    }

    /// Bucket into `minio/`, which must go well.
    #[track_caller]
    pub fn pull(&self) -> Ended {
        self.run(&["s3://documents", "minio"]).with(0)
    }

    /// A summary's count of the last `--json` run's kind.
    pub fn counted(&self, args: &[&str]) -> serde_json::Value {
        let mut args = args.to_vec();
        args.push("--json");
        self.run(&args).with(0).json()
    }

    pub fn keys(&self) -> Vec<String> {
        self.s3.client().list(BUCKET, "").unwrap()
    }

    /// Every object of a bucket with its bytes and its headers.
    pub fn state(&self, bucket: &str) -> Vec<Object> {
        let client = self.s3.client();
        let keys = client.list(bucket, "").unwrap();
        keys.into_iter()
            .map(|key| {
                let object = client.get((bucket, &key)).unwrap();
                let is_kept = |name: &str| {
                    ["content-type", "cache-control", "expires", "etag"].contains(&name)
                        || (name.starts_with("content-") && name != "content-length")
                        || name.starts_with("x-amz-meta-")
                };
                let mut headers: Vec<_> =
                    object.headers.into_iter().filter(|(name, _)| is_kept(name)).collect();
                headers.sort();
                (key, object.body, headers)
            })
            .collect()
    }
}

pub fn end(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// All regular files below a directory, relative, sorted; not the mirror's own.
pub fn files(dir: &Path) -> Vec<String> {
    let mut files: Vec<String> = walkdir::WalkDir::new(dir)
        .into_iter()
        .map(Result::unwrap)
        .filter(|e| e.file_type().is_file())
        .map(|e| e.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned())
        .filter(|path| !path.starts_with(".obj-mirror/"))
        .collect();
    files.sort();
    files
}

/// The index's entries.
pub fn index(mirror: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(mirror.join(".obj-mirror/index.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The highest resident size of a process until it ends, in MiB, and how it ended.
pub fn peak(mut command: Command) -> (u64, bool) {
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            return (peak / 1024, status.success());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
