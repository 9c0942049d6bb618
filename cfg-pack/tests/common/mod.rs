//! What the black-box tests share: a deployment on disk, and archives made by hand.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod extras;

use assert_cmd::Command;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};
use tempfile::TempDir;

/// The tool.
pub fn cfg_pack() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cfg-pack"))
}

/// A deployment's directory in a directory of its own.
pub struct Deployment {
    pub dir: TempDir,
    pub root: PathBuf,
}

impl Deployment {
    /// An empty one.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("deploy");
        fs::create_dir(&root).unwrap();
        chmod(&root, 0o750);
        Self { dir, root }
    }

    /// One with settings, secrets and certbot's kind of certificates.
    pub fn usual() -> Self {
        let this = Self::empty();
        this.file(".env", "PIPRIO_DOMAIN=example.org\nPOSTGRES_PASSWORD=hunter2\n", 0o600);
        this.file("secrets/db_password", "hunter2\n", 0o400);
        this.file("secrets/deep/signing.key", "\0\x01\x02", 0o440);
        this.file("certs/archive/x1.pem", "-----BEGIN CERTIFICATE-----\n", 0o644);
        this.link("certs/live/x.pem", "../archive/x1.pem");
        chmod(&this.at("secrets"), 0o700);
        chmod(&this.at("certs"), 0o755);
        this
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A place beside the deployment.
    pub fn outside(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn file(&self, path: &str, text: &str, mode: u32) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&at);
        fs::write(&at, text).unwrap();
        chmod(&at, mode);
    }

    pub fn link(&self, path: &str, target: &str) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, at).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.at(path)).unwrap()).unwrap()
    }

    pub fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.at(path)).unwrap().mode() & 0o7777
    }

    /// `cfg-pack VERB --root ROOT`.
    pub fn run(&self, verb: &str) -> Command {
        let mut command = cfg_pack();
        command.arg(verb).arg("--root").arg(&self.root);
        command
    }

    /// The archive of `.env`, `secrets` and `certs`.
    pub fn archive(&self) -> Vec<u8> {
        let all = [".env", "secrets", "certs"];
        self.run("create").args(all).assert().success().get_output().stdout.clone()
    }

    /// Every path with its kind, mode, time and content.
    pub fn tree(&self) -> BTreeMap<String, String> {
        tree(&self.root)
    }

    /// The kept copies, anywhere.
    pub fn kept(&self) -> Vec<String> {
        self.tree().into_keys().filter(|path| path.contains(".before-")).collect()
    }
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Every path below a directory with its kind, mode, time and content; links are not followed. A
/// directory's time is left out.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let mode = meta.mode() & 0o7777;
            let line = if meta.is_symlink() {
                format!("link {:?}", fs::read_link(&path).unwrap())
            } else if meta.is_dir() {
                todo.push(path.clone());
                format!("dir {mode:o}")
            } else {
                format!("file {mode:o} {} {:?}", meta.mtime(), fs::read(&path).unwrap())
            };
            all.insert(path.strip_prefix(root).unwrap().display().to_string(), line);
        }
    }
    all
}

/// An archive made by hand, header by header: what no tar would write.
#[derive(Default)]
pub struct Hostile {
    tar: Vec<u8>,
}

impl Hostile {
    pub fn new() -> Self {
        Self::default()
    }

    /// An entry whose name and target are put into the header as they are.
    pub fn entry(self, kind: EntryType, name: &str, target: &str, content: &str) -> Self {
        self.with(kind, name, target, content, |_| {})
    }

    pub fn with(
        mut self,
        kind: EntryType,
        name: &str,
        target: &str,
        content: &str,
        change: impl Fn(&mut Header),
    ) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_776_736_800);
        header.set_size(content.len() as u64);
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        change(&mut header);
        header.set_cksum();
        self.tar.extend(header.as_bytes());
        self.tar.extend(content.as_bytes());
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, "", content)
    }

    pub fn mode(self, name: &str, content: &str, mode: u32) -> Self {
        self.with(EntryType::Regular, name, "", content, |h| h.set_mode(mode))
    }

    pub fn dir(self, name: &str) -> Self {
        self.with(EntryType::Directory, name, "", "", |h| h.set_mode(0o755))
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, "")
    }

    /// The tar with its end mark, gzipped.
    pub fn finish(mut self) -> Vec<u8> {
        self.tar.extend([0; 1024]);
        gzip(&self.tar)
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

pub fn gunzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut out)?;
    Ok(out)
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Prints on the test's output that a case needs what this run lacks.
pub fn skipped(why: &str) {
    println!("skipped: {why}");
}
