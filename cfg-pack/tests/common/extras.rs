//! Access control lists and extended attributes, by the programs that operators have for them.

use super::{Deployment, skipped};
use std::fs;
use std::path::Path;
use std::process::Command;

pub fn sh(program: &str, arguments: &[&str], at: &Path) -> Option<String> {
    let out = Command::new(program).args(arguments).arg(at).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Whether lists can be set and read here; a test without them is skipped.
pub fn lists(d: &Deployment) -> bool {
    let probe = d.outside("probe");
    fs::write(&probe, "").unwrap();
    if sh("setfacl", &["-m", "u:4242:r"], &probe).is_some() && !acl(&probe).is_empty() {
        return true;
    }
    skipped("no setfacl here, or a filesystem without access control lists");
    false
}

/// Whether extended attributes can be set and read here.
pub fn attributes(d: &Deployment) -> bool {
    let probe = d.outside("probe");
    fs::write(&probe, "").unwrap();
    if sh("setfattr", &["-n", "user.probe", "-v", "x"], &probe).is_some() {
        return true;
    }
    skipped("no setfattr here, or a filesystem without extended attributes");
    false
}

#[track_caller]
pub fn setfacl(at: &Path, spec: &str) {
    sh("setfacl", &["-m", spec], at).unwrap();
}

/// The list, numbers for names, one entry a line.
pub fn acl(at: &Path) -> String {
    sh("getfacl", &["-cnpE"], at).unwrap_or_default().trim().to_owned()
}

#[track_caller]
pub fn value(at: &Path, name: &str) -> Option<String> {
    sh("getfattr", &["--absolute-names", "--only-values", "-n", name], at)
}

/// The secret of everything below: nobody but its owner and user 4242 reads it, though `stat` shows
/// 0660.
pub fn secret(d: &Deployment, path: &str) {
    d.file(path, "hunter2\n", 0o600);
    setfacl(&d.at(path), "u:4242:rw,g::---,m::rw");
    assert_eq!(d.mode(path), 0o660);
}

pub const SECRET: &str = "user::rw-\nuser:4242:rw-\ngroup::---\nmask::rw-\nother::---";

pub fn extract(d: &Deployment, archive: &[u8]) -> String {
    let out = d.run("extract").write_stdin(archive.to_vec()).assert().success();
    String::from_utf8_lossy(&out.get_output().stderr).into_owned()
}

pub fn create(d: &Deployment, paths: &[&str]) -> (Vec<u8>, String) {
    let out = d.run("create").args(paths).assert().success();
    let out = out.get_output();
    (out.stdout.clone(), String::from_utf8_lossy(&out.stderr).into_owned())
}
