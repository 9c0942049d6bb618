//! What the tests here share.

use md5::{Digest, Md5};
use pipe_kit::framed::Writer;
use sha2::Sha256;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use test_kit::process::wait_until;
use test_kit::{S3, tool};

pub const BUCKET: &str = "offsite";
pub const OBJECT: &str = "s3://offsite/dir/a.tar.age";
pub const KEY: &str = "dir/a.tar.age";
pub const MIB: usize = 1 << 20;

/// A server with an empty bucket, and a directory for files.
pub struct Bench {
    pub s3: S3,
    dir: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ended {
    /// The same, if it ended with this status.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stderr:\n{}", self.err);
        self
    }

    /// The same, if its stderr has this in it.
    #[track_caller]
    pub fn reports(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} in:\n{}", self.err);
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap()
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(S3::start(BUCKET).unwrap())
    }

    pub fn with(s3: S3) -> Self {
        Self { s3, dir: tempfile::Builder::new().prefix("put-").tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of the bench, and its content: no two blocks of it are the same.
    pub fn file(&self, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
        let mut bytes = vec![b'x'; size];
        for (n, block) in bytes.chunks_mut(4096).enumerate() {
            let length = block.len().min(8);
            block[..length].copy_from_slice(&n.to_le_bytes()[..length]);
        }
        std::fs::write(self.path(name), &bytes).unwrap();
        (self.path(name), bytes)
    }

    /// `obj-mirror` with the server's settings.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(tool("obj-mirror"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in ["AWS_CA_BUNDLE", "AWS_SESSION_TOKEN", "S3_FORCE_PATH_STYLE"] {
            command.env_remove(name);
        }
        command.envs(self.s3.env());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        end(&mut self.command(args))
    }

    /// `put` with a file as standard input.
    pub fn put(&self, name: &str, args: &[&str]) -> Ended {
        let mut command = self.command(&[&["put", OBJECT], args].concat());
        end(command.stdin(File::open(self.path(name)).unwrap()))
    }

    /// `put` with bytes from a pipe that is closed after them.
    pub fn pipe(&self, bytes: &[u8], args: &[&str]) -> Ended {
        let mut child = self.start(&[&["put", OBJECT], args].concat());
        let mut stdin = child.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        // The run may end before it has read everything.
        let writing = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
        let ended = finish(child);
        writing.join().unwrap();
        ended
    }

    /// Starts a run with a pipe as its standard input.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub fn get(&self, args: &[&str]) -> Ended {
        self.run(&[&["get", OBJECT], args].concat())
    }

    pub fn stored(&self) -> Vec<u8> {
        self.s3.client().get((BUCKET, KEY)).unwrap().body
    }

    /// The number of uploads that are not completed.
    pub fn unfinished(&self) -> usize {
        let answer = self.s3.client().request("GET", (BUCKET, ""), &[("uploads", "")], &[], b"");
        answer.unwrap().text().matches("<UploadId>").count()
    }

    /// The number of parts of the newest upload that is not completed.
    pub fn parts_there(&self) -> usize {
        let client = self.s3.client();
        let uploads = client.request("GET", (BUCKET, ""), &[("uploads", "")], &[], b"");
        let uploads = uploads.unwrap().text();
        // The server numbers them.
        let ids = uploads.split("<UploadId>upload-").skip(1);
        let newest = ids.filter_map(|rest| rest.split('<').next()?.parse::<u64>().ok()).max();
        let id = format!("upload-{}", newest.unwrap_or_default());
        let parts = client.request("GET", (BUCKET, KEY), &[("uploadId", &*id)], &[], b"");
        parts.unwrap().text().matches("<PartNumber>").count()
    }

    /// No object and no unfinished upload is there.
    #[track_caller]
    pub fn is_empty(&self) {
        assert_eq!(self.s3.client().list(BUCKET, "").unwrap(), [""; 0]);
        assert_eq!(self.unfinished(), 0, "an upload is left");
    }

    /// Waits until the server has been asked so often for an operation.
    pub fn wait_for(&self, operation: &str, times: u64) {
        wait_until(operation, || Ok(self.s3.count(operation)? >= times)).unwrap();
    }
}

pub fn end(command: &mut Command) -> Ended {
    ended(command.output().unwrap())
}

pub fn finish(child: Child) -> Ended {
    ended(child.wait_with_output().unwrap())
}

fn ended(output: std::process::Output) -> Ended {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Ended { code: output.status.code(), out: output.stdout, err }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes as a framed stream in parts of 8 MiB.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut writer = Writer::new(&mut stream).unwrap();
    for part in bytes.chunks(8 * MIB) {
        part.chunks(MIB).for_each(|piece| writer.data(piece).unwrap());
        let sums = [&Sha256::digest(part)[..], &Md5::digest(part)[..]].concat();
        writer.checkpoint(&sums).unwrap();
    }
    writer.finish().unwrap();
    stream
}

/// The highest resident size of a process until it ends, in MiB, and how it ended.
pub fn peak(child: &mut Child) -> (u64, bool) {
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
