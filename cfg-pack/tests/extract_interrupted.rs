//! `cfg-pack extract` that fails or is ended half way: each file is the old one or the new one.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use common::{Deployment, Hostile, chmod, is_root, skipped};
use predicates::prelude::*;
use predicates::str::is_match;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

#[test]
fn a_failure_half_way_reports_what_was_done_and_where_the_old_is() {
    let archive = Hostile::new().file("a", "new").file("locked/b", "new").file("z", "new").finish();
    let names_what_was_done = |stderr: &str| {
        let kept = is_match(
            r"interrupted; already done: replaced a, the old one is a\.before-\d{8}T\d{6}Z",
        )
        .unwrap();
        assert!(kept.eval(stderr), "{stderr}");
        assert!(stderr.contains("locked/b"), "{stderr}");
    };
    if is_root() {
        return full_disk(&names_what_was_done);
    }
    let d = Deployment::empty();
    d.file("a", "old", 0o600);
    d.file("locked/c", "old", 0o600);
    chmod(&d.at("locked"), 0o500);
    let out = d.run("extract").arg("--quiet").write_stdin(archive).assert().code(1);
    chmod(&d.at("locked"), 0o700);
    names_what_was_done(&String::from_utf8_lossy(&out.get_output().stderr));
    assert_eq!(d.read("a"), "new");
    assert!(!d.at("z").exists() && !d.at("locked/b").exists());
}

/// The same on a disk that is full, which root meets too.
fn full_disk(check: &dyn Fn(&str)) {
    let d = Deployment::empty();
    let big = "x".repeat(400 << 10);
    let archive = Hostile::new().file("a", "new").file("locked/b", &big).file("z", "new").finish();
    fs::write(d.outside("archive"), archive).unwrap();
    let script = "mount -t tmpfs -o size=128k none \"$1\" || exit 77; echo old > \"$1/a\"
        \"$0\" extract --quiet --root \"$1\" < \"$2\"; code=$?; ls -A \"$1\" \"$1/locked\"; exit $code";
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_cfg-pack")]);
    let Ok(out) = unshare.arg(&d.root).arg(d.outside("archive")).output() else {
        return skipped("no unshare here");
    };
    if out.status.code() != Some(1) && !String::from_utf8_lossy(&out.stderr).contains("cfg-pack:") {
        return skipped("no filesystem can be mounted here");
    }
    assert_eq!(out.status.code(), Some(1));
    check(&String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stderr).contains("No space left"));
    let listing = String::from_utf8_lossy(&out.stdout);
    assert!(!listing.contains("pipe-kit") && !listing.contains("\nb\n"), "{listing}");
}

#[test]
fn a_signal_leaves_no_half_written_file() {
    // The tool waits for the rest of its input: nothing may have been touched.
    let d = Deployment::usual();
    let before = d.tree();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cfg-pack"))
        .args(["extract", "--root"])
        .arg(&d.root)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, &d.archive()[..100]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(d.tree(), before);
}

#[test]
fn a_signal_half_way_leaves_each_file_old_or_new_and_reports_which() {
    let d = Deployment::empty();
    let mut archive = Hostile::new();
    for n in 0..2000 {
        d.file(&format!("f{n:04}"), "old", 0o600);
        archive = archive.mode(&format!("f{n:04}"), "new", 0o600);
    }
    fs::write(d.outside("archive"), archive.finish()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cfg-pack"))
        .args(["extract", "--root"])
        .arg(&d.root)
        .stdin(File::open(d.outside("archive")).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What it prints does not fit into the pipe: it cannot be done before it is ended.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    for _ in 0..20 {
        stderr.read_line(&mut String::new()).unwrap();
    }
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let message = rest.lines().find(|l| l.contains("interrupted; already done")).unwrap();
    let kept = d.kept();
    assert!((20..2000).contains(&kept.len()), "{}", kept.len());
    for n in 0..2000 {
        let name = format!("f{n:04}");
        let copy = kept.iter().find(|k| k.starts_with(&name));
        let content = if copy.is_some() { "new" } else { "old" };
        assert_eq!(d.read(&name), content, "{name}");
        assert_eq!(message.contains(&format!("replaced {name},")), copy.is_some(), "{name}");
    }
    assert_eq!(d.tree().len(), 2000 + kept.len(), "nothing half-written is left");
}
