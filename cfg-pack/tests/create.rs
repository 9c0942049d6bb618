//! `cfg-pack create`: the archive is whole, the same each time, and readable by any tar.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use common::{Deployment, chmod, gunzip, is_root, skipped, tree};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Unpacks with the system's tar and gives the tree.
fn untar(archive: &[u8]) -> std::collections::BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.tar.gz");
    fs::write(&file, archive).unwrap();
    let into = dir.path().join("out");
    fs::create_dir(&into).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xpzf").arg(&file).arg("-C").arg(&into);
    assert!(tar.status().unwrap().success());
    tree(&into)
}

fn names(archive: &[u8]) -> Vec<String> {
    let tar = gunzip(archive).unwrap();
    let mut tar = tar::Archive::new(tar.as_slice());
    tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn the_systems_tar_gives_back_the_same_tree() {
    let d = Deployment::usual();
    let long = "l".repeat(120);
    d.file(&format!("secrets/{long}/{long}"), "long", 0o600);
    d.link("certs/long.pem", &format!("../secrets/{long}/{long}"));
    d.file("secrets/spaces and \u{fc}", "", 0o604);
    d.file("secrets/block", &"x".repeat(512), 0o600);
    fs::create_dir(d.at("secrets/empty")).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(d.at("secrets/db_password")).unwrap().set_modified(old).unwrap();
    assert_eq!(untar(&d.archive()), d.tree());
}

#[test]
fn the_same_input_gives_the_same_bytes_whatever_the_order_of_paths() {
    let d = Deployment::usual();
    let archive = d.archive();
    std::thread::sleep(Duration::from_millis(1100));
    let again =
        d.run("create").args(["certs", "./secrets/", ".env", "secrets/deep"]).assert().success();
    assert!(again.get_output().stdout == archive, "the bytes differ");
    assert_eq!(&archive[4..8], &[0; 4], "the gzip header has no time");
    assert_eq!(archive[3] & 0x08, 0, "the gzip header has no name");
    let mut sorted = names(&archive);
    sorted.sort();
    assert_eq!(names(&archive), sorted);
}

#[test]
fn a_required_path_must_be_there_and_an_optional_one_need_not() {
    let d = Deployment::empty();
    d.file(".env", "A=1", 0o600);
    let missing = d.run("create").args([".env", "secrets"]).assert().code(1);
    missing.stderr(contains("secrets is missing")).stdout("");
    let some = [".env", "--optional", "secrets", "--optional", "certs"];
    let optional = d.run("create").args(some).assert().success();
    let optional = optional.stderr(contains("secrets does not exist; skipped"));
    assert_eq!(names(&optional.get_output().stdout), [".env"]);
    d.run("create").args(["--optional", "certs"]).assert().code(1).stdout("");
    d.run("create").assert().code(2);
}

#[test]
fn a_path_outside_the_root_is_a_usage_error() {
    let d = Deployment::usual();
    for path in ["/etc/passwd", "../x", "secrets/../../x", "", "."] {
        d.run("create").arg(path).assert().code(2).stdout("");
        d.run("create").args([".env", "--optional", path]).assert().code(2).stdout("");
    }
    d.run("create").arg("x.before-20260421T020000Z").assert().code(2);
}

#[test]
fn a_named_link_is_followed_and_stored_as_what_it_leads_to() {
    let d = Deployment::empty();
    fs::create_dir_all(d.outside("disk/sec")).unwrap();
    fs::write(d.outside("disk/sec/a"), "secret").unwrap();
    fs::write(d.outside("env"), "A=1").unwrap();
    symlink(d.outside("disk/sec"), d.at("secrets")).unwrap();
    symlink("../env", d.at(".env")).unwrap();
    let out = d.run("create").args([".env", "secrets"]).assert().success();
    let out = out.stderr(contains("secrets is a link to"));
    let tree = untar(&out.get_output().stdout);
    assert!(tree["secrets"].starts_with("dir"), "{tree:?}");
    assert!(tree[".env"].starts_with("file"), "{tree:?}");
    assert!(tree.contains_key("secrets/a"));
}

#[test]
fn certbots_links_stay_links_even_where_certs_is_on_another_disk() {
    let d = Deployment::empty();
    fs::create_dir_all(d.outside("le/archive")).unwrap();
    fs::create_dir_all(d.outside("le/live")).unwrap();
    fs::write(d.outside("le/archive/x1.pem"), "x").unwrap();
    symlink("../archive/x1.pem", d.outside("le/live/x.pem")).unwrap();
    symlink(d.outside("le"), d.at("certs")).unwrap();
    let out = d.run("create").arg("certs").assert().success();
    assert_eq!(untar(&out.get_output().stdout)["certs/live/x.pem"], "link \"../archive/x1.pem\"");
}

#[test]
fn a_link_to_what_is_not_archived_is_stored_as_its_content_and_reported() {
    let d = Deployment::usual();
    fs::create_dir(d.outside("shared")).unwrap();
    fs::write(d.outside("shared/ca.pem"), "ca").unwrap();
    symlink("../../shared/ca.pem", d.at("certs/ca.pem")).unwrap();
    symlink(d.outside("shared"), d.at("certs/shared")).unwrap();
    d.file("bin/tool", "tool", 0o755);
    d.link("certs/tool", "../bin/tool");
    symlink(d.at("secrets/db_password"), d.at("certs/absolute")).unwrap();
    d.file("secrets/old.before-20260421T020000Z", "old", 0o600);
    d.link("secrets/kept", "old.before-20260421T020000Z");
    let out = d.run("create").args([".env", "secrets", "certs"]).assert().success();
    let stderr = String::from_utf8_lossy(&out.get_output().stderr).into_owned();
    let tree = untar(&out.get_output().stdout);
    for path in ["certs/ca.pem", "certs/shared", "certs/tool", "certs/absolute", "secrets/kept"] {
        assert!(!tree[path].starts_with("link"), "{path}: {}", tree[path]);
        assert!(stderr.contains(&format!("{path} is a link to")), "{path} in {stderr}");
    }
    assert!(tree.contains_key("certs/shared/ca.pem"));
}

#[test]
fn a_dangling_link_fails_the_run() {
    for (link, target) in
        [("certs/x.pem", "nowhere.pem"), ("certs", "/nonexistent"), ("certs/a", "a")]
    {
        let d = Deployment::empty();
        d.file(".env", "A=1", 0o600);
        d.link(link, target);
        let out = d.run("create").args([".env", "certs"]).assert().code(1).stdout("");
        out.stderr(contains(link));
    }
}

#[test]
fn a_link_that_leads_round_in_a_circle_fails_or_stays_a_link() {
    let d = Deployment::usual();
    d.link("secrets/self", ".");
    d.link("secrets/root", "..");
    let tree = untar(&d.archive());
    assert_eq!(tree["secrets/self"], "link \".\"");
    assert_eq!(tree["secrets/root"], "link \"..\"");
    symlink(d.dir.path(), d.at("secrets/above")).unwrap();
    let out = d.run("create").args(["secrets"]).assert().code(1).stdout("");
    out.stderr(contains("holds the whole deployment"));
    fs::remove_file(d.at("secrets/above")).unwrap();
    fs::create_dir(d.outside("o")).unwrap();
    symlink(d.at("secrets"), d.outside("o/back")).unwrap();
    symlink(d.outside("o"), d.at("secrets/o")).unwrap();
    let out = d.run("create").args(["secrets"]).assert().code(1).stdout("");
    out.stderr(contains("contains itself"));
}

#[test]
fn paths_that_overlap_through_a_link_fail_rather_than_make_what_extract_refuses() {
    let d = Deployment::usual();
    d.link("secrets/link", "deep");
    for paths in [["secrets", "secrets/link/signing.key"], ["secrets/link/signing.key", "secrets"]]
    {
        let out = d.run("create").args(paths).assert().code(1).stdout("");
        out.stderr(contains("secrets/link is a link inside one named path"));
    }
}

#[test]
fn kept_copies_and_leftovers_are_never_archived() {
    let d = Deployment::usual();
    d.file("secrets/a.before-20260421T020000Z", "old", 0o600);
    d.file("secrets/d.before-20260421T020000Z/x", "old", 0o600);
    d.file("secrets/.pipe-kit-1-0", "half", 0o600);
    d.file("secrets/mine.before-upgrade", "mine", 0o600);
    let names = names(&d.archive());
    assert!(
        !names.iter().any(|n| n.contains(".before-2026") || n.contains("pipe-kit")),
        "{names:?}"
    );
    assert!(names.contains(&"secrets/mine.before-upgrade".to_owned()));
}

#[test]
fn a_socket_or_fifo_fails_the_run_by_name() {
    let d = Deployment::usual();
    let socket = UnixListener::bind(d.at("secrets/agent.sock")).unwrap();
    let out = d.run("create").arg("secrets").assert().code(1).stdout("");
    out.stderr(contains("secrets/agent.sock is a socket"));
    drop(socket);
    fs::remove_file(d.at("secrets/agent.sock")).unwrap();
    assert!(Command::new("mkfifo").arg(d.at("secrets/pipe")).status().unwrap().success());
    let out = d.run("create").arg("secrets").timeout(Duration::from_secs(20)).assert().code(1);
    out.stdout("").stderr(contains("secrets/pipe is a fifo"));
}

#[test]
fn an_unreadable_file_fails_the_run_by_name_and_leaves_nothing_that_reads_as_whole() {
    if is_root() {
        return skipped("root can read every file");
    }
    let d = Deployment::usual();
    chmod(&d.at("secrets/db_password"), 0o000);
    let out = d.run("create").args([".env", "secrets"]).assert().code(1);
    let out = out.stderr(contains("secrets/db_password").and(contains("Permission denied")));
    assert!(gunzip(&out.get_output().stdout).is_err(), "the archive looks whole");
}

#[test]
fn a_directory_that_does_not_exist_is_named() {
    cfg_pack_at("/nonexistent").assert().code(1).stderr(contains("/nonexistent")).stdout("");
}

fn cfg_pack_at(root: &str) -> assert_cmd::Command {
    let mut command = common::cfg_pack();
    command.args(["create", "--root", root, ".env"]);
    command
}

#[test]
fn a_full_disk_and_a_closed_output_are_failures() {
    let d = Deployment::usual();
    let create = |out: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cfg-pack"));
        command.args(["create", ".env", "--root"]).arg(&d.root).stdout(out).stderr(Stdio::null());
        command.status().unwrap().code()
    };
    assert_eq!(create(File::options().write(true).open("/dev/full").unwrap().into()), Some(1));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(create(writer.into()), Some(141));
    let script = format!(
        "exec {} create --root {} .env >&-",
        env!("CARGO_BIN_EXE_cfg-pack"),
        d.root.display()
    );
    let closed = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().unwrap();
    assert_eq!(closed.code(), Some(1));
}

#[test]
fn quiet_prints_nothing_and_no_secret_is_ever_printed() {
    let d = Deployment::usual();
    d.run("create").args(["--quiet", ".env", "--optional", "none"]).assert().success().stderr("");
    let logged = d.run("create").args([".env", "secrets", "certs"]).assert().success();
    logged.stderr(contains("hunter2").not());
}
