//! A root with bundles in it, and stand-ins for the other tools.

use assert_cmd::Command;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const NAME: &str = "piprio_20260421T020000Z";
pub const PARTIAL: &str = ".piprio_20260421T020000Z.partial";

const PG_SNAP: &str = r#"#!/bin/sh
[ "$1 $2" = "inspect --json" ] || exit 2
gunzip -c "$3" 2>/dev/null | tail -n 1 | grep -q 'dump complete' && gzip -t "$3" 2>/dev/null && { echo '{}'; exit 0; }
echo 'pg-snap: the dump is cut' >&2
exit 4
"#;

const OBJ_MIRROR: &str = r#"#!/bin/sh
[ "$1 $3" = "verify --json" ] || exit 2
cd "$2" || exit 1
LC_ALL=C sha256sum -c --quiet .obj-mirror/SHA256SUMS >/dev/null 2>&1 && { echo '{"objects":1,"bytes":6,"problems":[]}'; exit 0; }
echo '{"objects":1,"bytes":6,"problems":[{"path":"b/c","key":"b/c","problem":"sha256 differs"}]}'
echo 'obj-mirror: 1 object is damaged' >&2
exit 4
"#;

const CFG_PACK: &str = r#"#!/bin/sh
[ "$1" = "list" ] || exit 2
tar tzf "$2" 2>/dev/null && exit 0
echo 'cfg-pack: not an archive' >&2
exit 4
"#;

pub struct World {
    dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(world.root()).unwrap();
        fs::create_dir(world.dir.path().join("bin")).unwrap();
        for (name, script) in
            [("pg-snap", PG_SNAP), ("obj-mirror", OBJ_MIRROR), ("cfg-pack", CFG_PACK)]
        {
            world.stand_in(name, script);
        }
        world
    }

    pub fn stand_in(&self, name: &str, script: &str) {
        let path = self.dir.path().join("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    pub fn bundle(&self) -> PathBuf {
        self.root().join(NAME)
    }

    pub fn partial(&self) -> PathBuf {
        self.root().join(PARTIAL)
    }

    /// The tool, with the stand-ins first on PATH.
    pub fn tool(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bundle-manifest"));
        let old = std::env::var_os("PATH").unwrap_or_default();
        let mut path = vec![self.dir.path().join("bin")];
        path.extend(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(path).unwrap());
        command.env_remove("PIPRIO_VERSION").env("PIPRIO_DOMAIN", "docs.example.org");
        command.args(args);
        command
    }

    pub fn run(&self, verb: &str, dir: &Path) -> assert_cmd::assert::Assert {
        self.tool(&[verb]).arg(dir).assert()
    }

    /// The components of a bundle under its partial name, neither described nor sealed.
    pub fn components(&self, mirror: bool) -> PathBuf {
        let dir = self.partial();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("database.sql.gz"), gzip(DUMP)).unwrap();
        fs::write(dir.join("config.tar.gz"), gzip(&[0; 10240])).unwrap();
        if mirror {
            let minio = dir.join("minio");
            fs::create_dir_all(minio.join(".obj-mirror")).unwrap();
            fs::create_dir(minio.join("b")).unwrap();
            fs::write(minio.join("a\nx"), "one").unwrap();
            fs::write(minio.join("b/c"), "three").unwrap();
            let index = concat!(
                "{\"key\":\"a\\nx\",\"path\":\"a\\nx\",\"size\":3}\n",
                "{\"key\":\"b/c\",\"path\":\"b/c\",\"size\":5}\n",
            );
            fs::write(minio.join(".obj-mirror/index.jsonl"), index).unwrap();
            let text = concat!(
                "\\7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  a\\nx\n",
                "8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f  b/c\n",
            );
            fs::write(minio.join(".obj-mirror/SHA256SUMS"), text).unwrap();
        }
        dir
    }

    /// A finished bundle, made as a backup makes it.
    pub fn finished(&self, mirror: bool) -> PathBuf {
        let dir = self.components(mirror);
        self.describe_and_seal(&dir);
        self.run("publish", &dir).success();
        self.bundle()
    }

    pub fn describe_and_seal(&self, dir: &Path) {
        for (verb, file) in [("describe", "MANIFEST.txt"), ("sums", "SHA256SUMS")] {
            // The shell makes the file before the tool runs.
            fs::write(dir.join(file), "").unwrap();
            let out = self.run(verb, dir).success().get_output().stdout.clone();
            fs::write(dir.join(file), out).unwrap();
        }
    }

    /// What the older script made: no seal, a manifest of another kind.
    pub fn old_bundle(&self) -> PathBuf {
        let dir = self.components(true);
        fs::remove_dir_all(dir.join("minio/.obj-mirror")).unwrap();
        fs::write(dir.join("MANIFEST.txt"), "Piprio backup\nVersion: 3.1\n").unwrap();
        fs::rename(&dir, self.bundle()).unwrap();
        self.bundle()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub const DUMP: &[u8] = b"--\n-- PostgreSQL database dump\n--\n\n\
-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)\n\
SELECT 1;\n-- PostgreSQL database dump complete\n";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
