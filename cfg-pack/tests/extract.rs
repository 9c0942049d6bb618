//! `cfg-pack extract`: what was archived comes back, and nothing is lost on the way.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use common::{Deployment, Hostile, chmod, is_root, skipped};
use predicates::prelude::*;
use predicates::str::{contains, is_match};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Stdio};
use tar::EntryType;

#[test]
fn what_create_writes_extract_brings_back() {
    let d = Deployment::usual();
    let long = "l".repeat(150);
    d.file(&format!("secrets/{long}/{long}"), "long", 0o640);
    fs::create_dir(d.at("secrets/empty")).unwrap();
    chmod(&d.at("secrets/deep"), 0o550);
    let new = Deployment::empty();
    new.run("extract").write_stdin(d.archive()).assert().success();
    assert_eq!(new.tree(), d.tree());
    let time = |d: &Deployment| fs::metadata(d.at("secrets/deep")).unwrap().mtime();
    assert_eq!(time(&new), time(&d), "a directory's time");
    chmod(&d.at("secrets/deep"), 0o750);
    chmod(&new.at("secrets/deep"), 0o750);
}

#[test]
fn what_is_identical_is_left_alone_entirely() {
    let d = Deployment::usual();
    fs::create_dir_all(d.outside("shared/sub")).unwrap();
    fs::write(d.outside("shared/sub/ca.pem"), "ca").unwrap();
    symlink(d.outside("shared"), d.at("certs/shared")).unwrap();
    symlink(d.outside("shared/sub/ca.pem"), d.at("certs/ca.pem")).unwrap();
    let archive = d.archive();
    let inode = |path: &str| fs::symlink_metadata(d.at(path)).unwrap().ino();
    let paths = [".env", "secrets/db_password", "certs/live/x.pem", "certs/shared", "certs/ca.pem"];
    let (before, inodes) = (d.tree(), paths.map(inode));
    d.run("extract")
        .write_stdin(archive)
        .assert()
        .success()
        .stderr(contains("0 created, 0 replaced"));
    assert_eq!(d.tree(), before);
    assert_eq!(paths.map(inode), inodes);
}

#[test]
fn what_a_killed_run_has_left_half_written_goes() {
    let d = Deployment::usual();
    let archive = d.archive();
    let halves = [".pipe-kit-7-0", "secrets/.pipe-kit-7-0", "certs/live/.pipe-kit-7-1"];
    halves.iter().for_each(|half| d.file(half, "half a secret", 0o600));
    d.file("secrets/.pipe-kitchen", "mine", 0o600);
    d.run("extract").write_stdin(archive).assert().success();
    assert!(halves.iter().all(|half| !d.at(half).exists()));
    assert!(d.at("secrets/.pipe-kitchen").exists());
}

#[test]
fn what_is_replaced_is_kept_beside_it_and_what_only_the_disk_has_stays() {
    let d = Deployment::usual();
    let archive = d.archive();
    d.file(".env", "A=edited\n", 0o640);
    d.file("secrets/db_password", "edited\n", 0o444);
    d.file("secrets/only_here", "mine", 0o600);
    fs::remove_file(d.at("certs/live/x.pem")).unwrap();
    d.link("certs/live/x.pem", "../archive/x9.pem");
    fs::remove_file(d.at("certs/archive/x1.pem")).unwrap();
    let out = d.run("extract").write_stdin(archive).assert().success();
    let out = out
        .stderr(is_match(r"replaced \.env, the old one is \.env\.before-\d{8}T\d{6}Z\n").unwrap())
        .stderr(contains(
            "replaced secrets/db_password, the old one is secrets/db_password.before-",
        ))
        .stderr(contains("created certs/archive/x1.pem"))
        .stderr(contains("1 created, 3 replaced"));
    let stderr = String::from_utf8_lossy(&out.get_output().stderr).into_owned();
    assert!(!stderr.contains("edited") && !stderr.contains("hunter2"), "{stderr}");
    assert_eq!(d.read(".env"), Deployment::usual().read(".env"));
    assert_eq!(d.read("secrets/only_here"), "mine");
    let kept = d.kept();
    assert_eq!(kept.len(), 3, "{kept:?}");
    let env = kept.iter().find(|k| k.starts_with(".env")).unwrap();
    assert_eq!((d.read(env), d.mode(env)), ("A=edited\n".to_owned(), 0o640));
    let link = kept.iter().find(|k| k.contains("x.pem")).unwrap();
    assert_eq!(fs::read_link(d.at(link)).unwrap().to_str(), Some("../archive/x9.pem"));
    assert!(!d.tree().keys().any(|path| path.contains(".pipe-kit-")));
}

#[test]
fn a_second_run_in_the_same_second_overwrites_no_kept_copy() {
    let d = Deployment::empty();
    let archive = |text: &str| Hostile::new().file("a", text).finish();
    for text in ["0", "1", "2", "3", "4"] {
        d.run("extract").write_stdin(archive(text)).assert().success();
    }
    let mut kept: Vec<String> = d.kept().iter().map(|path| d.read(path)).collect();
    kept.sort();
    assert_eq!(kept, ["0", "1", "2", "3"]);
    assert_eq!(d.read("a"), "4");
}

#[test]
fn a_directory_in_a_files_place_is_kept_and_the_reverse() {
    let d = Deployment::usual();
    let archive = d.archive();
    fs::remove_file(d.at(".env")).unwrap();
    d.file(".env/inner", "x", 0o600);
    fs::remove_dir_all(d.at("secrets")).unwrap();
    d.file("secrets", "a file", 0o604);
    d.run("extract").write_stdin(archive).assert().success();
    assert_eq!(d.read("secrets/db_password"), "hunter2\n");
    assert!(d.read(".env").contains("PIPRIO_DOMAIN"));
    let tree = d.tree();
    assert!(
        tree.keys().any(|p| p.starts_with(".env.before-") && p.ends_with("/inner")),
        "{tree:?}"
    );
    let secrets = d.kept().into_iter().find(|k| k.starts_with("secrets.before-")).unwrap();
    assert_eq!(d.read(&secrets), "a file");
}

#[test]
fn modes_are_the_archives_whatever_the_umask() {
    for umask in ["000", "077"] {
        let d = Deployment::empty();
        let archive = Hostile::new().mode("a", "x", 0o664).mode("d/b", "x", 0o600).finish();
        let file = d.outside("archive");
        fs::write(&file, archive).unwrap();
        let script = format!("umask {umask}; exec \"$0\" extract --root \"$1\" < \"$2\"");
        let mut sh = Command::new("sh");
        sh.args(["-c", &script, env!("CARGO_BIN_EXE_cfg-pack")]).arg(&d.root).arg(&file);
        assert!(sh.stderr(Stdio::null()).status().unwrap().success());
        assert_eq!((d.mode("a"), d.mode("d/b"), d.mode("d")), (0o664, 0o600, 0o700), "{umask}");
    }
}

#[test]
fn a_mode_that_was_opened_up_is_closed_again_without_a_copy() {
    let d = Deployment::usual();
    let archive = d.archive();
    chmod(&d.at("secrets/db_password"), 0o644);
    chmod(&d.at("secrets"), 0o2755);
    let out = d.run("extract").write_stdin(archive).assert().success();
    out.stderr(contains("changed the mode of secrets/db_password from 0644 to 0400"));
    assert_eq!(d.mode("secrets/db_password"), 0o400);
    assert_eq!(d.mode("secrets") & 0o777, 0o700);
    assert_eq!(d.kept(), Vec::<String>::new());
}

#[test]
fn only_the_paths_named_are_extracted() {
    let d = Deployment::usual();
    let new = Deployment::empty();
    new.run("extract")
        .args(["secrets/deep", "certs/live/x.pem"])
        .write_stdin(d.archive())
        .assert()
        .success();
    let tree = new.tree();
    let names: Vec<&str> = tree.keys().map(String::as_str).collect();
    let all = [
        "certs",
        "certs/live",
        "certs/live/x.pem",
        "secrets",
        "secrets/deep",
        "secrets/deep/signing.key",
    ];
    assert_eq!(names, all);
    assert_eq!(new.mode("secrets"), 0o700);
}

#[test]
fn a_path_that_the_archive_lacks_is_an_error_unless_it_is_optional() {
    let d = Deployment::usual();
    let archive = d.run("create").arg(".env").assert().success().get_output().stdout.clone();
    let new = Deployment::empty();
    let extract =
        |args: &[&str]| new.run("extract").args(args).write_stdin(archive.clone()).assert();
    extract(&[".env", "secrets"])
        .code(1)
        .stderr(contains("secrets is not in the archive; nothing was changed"));
    extract(&["secret"]).code(1);
    assert!(new.tree().is_empty());
    extract(&["--optional", "secrets", "--optional", "certs"]).success();
    assert!(new.tree().is_empty(), "optional paths alone do not mean everything");
    extract(&[".env", "--optional", "secrets"]).success();
    assert_eq!(new.tree().len(), 1);
    extract(&["../x"]).code(2);
}

#[test]
fn secrets_on_another_disk_are_restored_there_and_the_link_stays() {
    let d = Deployment::usual();
    let archive = d.archive();
    fs::rename(d.at("secrets"), d.outside("disk")).unwrap();
    symlink(d.outside("disk"), d.at("secrets")).unwrap();
    fs::remove_file(d.outside("disk/deep/signing.key")).unwrap();
    fs::remove_file(d.outside("disk/db_password")).unwrap();
    fs::write(d.outside("disk/db_password"), "edited").unwrap();
    d.run("extract").write_stdin(archive).assert().success();
    assert!(fs::symlink_metadata(d.at("secrets")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(d.outside("disk/db_password")).unwrap(), "hunter2\n");
    assert!(d.outside("disk/deep/signing.key").exists());
    let kept = fs::read_dir(d.outside("disk")).unwrap();
    let kept =
        kept.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains(".before-"));
    assert_eq!(kept.count(), 1);
}

#[test]
fn a_linked_env_file_is_restored_where_it_is_and_the_link_stays() {
    let d = Deployment::usual();
    fs::create_dir(d.outside("etc")).unwrap();
    fs::rename(d.at(".env"), d.outside("etc/env")).unwrap();
    symlink("../etc/env", d.at(".env")).unwrap();
    let archive = d.archive();
    fs::write(d.outside("etc/env"), "A=edited\n").unwrap();
    let out = d.run("extract").write_stdin(archive).assert().success();
    out.stderr(contains("/etc/env, the old one is ").and(contains("/etc/env.before-")));
    assert!(fs::symlink_metadata(d.at(".env")).unwrap().is_symlink());
    assert!(fs::read_to_string(d.outside("etc/env")).unwrap().contains("PIPRIO_DOMAIN"));
    assert_eq!(fs::read_dir(d.outside("etc")).unwrap().count(), 2);
    assert_eq!(d.kept(), Vec::<String>::new());
}

#[test]
fn a_dry_run_prints_what_would_be_done_and_does_nothing() {
    let d = Deployment::usual();
    let archive = d.archive();
    d.file(".env", "A=edited\n", 0o600);
    fs::remove_dir_all(d.at("certs")).unwrap();
    let before = d.tree();
    let out = d.run("extract").arg("--dry-run").write_stdin(archive.clone()).assert().success();
    out.stdout(contains("would replace .env\n").and(contains("would create certs/live/x.pem\n")));
    let out =
        d.run("extract").args(["--dry-run", "--json"]).write_stdin(archive).assert().success();
    let json: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert_eq!(json[0], serde_json::json!({"path": ".env", "action": "replace"}));
    assert_eq!(d.tree(), before);
    let hostile = Hostile::new().file("../x", "x").finish();
    d.run("extract").arg("--dry-run").write_stdin(hostile).assert().code(4).stdout("");
}

fn owner(d: &Deployment, path: &str) -> (u32, u32) {
    let meta = fs::symlink_metadata(d.at(path)).unwrap();
    (meta.uid(), meta.gid())
}

fn owned(uid: u64, gid: u64) -> Vec<u8> {
    let own = move |header: &mut tar::Header| {
        header.set_uid(uid);
        header.set_gid(gid);
    };
    let own_dir = move |header: &mut tar::Header| {
        own(header);
        header.set_mode(0o755);
    };
    Hostile::new()
        .with(EntryType::Directory, "d/", "", "", own_dir)
        .with(EntryType::Regular, "d/new", "", "new", own)
        .with(EntryType::Symlink, "d/link", "new", "", own)
        .with(EntryType::Regular, "old", "", "new", own)
        .finish()
}

#[test]
fn as_root_a_replaced_file_keeps_its_owner_and_a_new_one_gets_the_archives() {
    if !is_root() {
        return skipped("only root can give files away");
    }
    let d = Deployment::empty();
    d.file("old", "old", 0o600);
    std::os::unix::fs::chown(d.at("old"), Some(1234), Some(2345)).unwrap();
    d.run("extract").write_stdin(owned(4000, 5000)).assert().success();
    for path in ["d", "d/new", "d/link"] {
        assert_eq!(owner(&d, path), (4000, 5000), "{path}");
    }
    assert_eq!(owner(&d, "old"), (1234, 2345));
    assert_eq!(owner(&d, &d.kept()[0]), (1234, 2345));
}

#[test]
fn as_another_user_everything_is_the_callers() {
    if is_root() {
        return skipped("this run is root's");
    }
    let d = Deployment::empty();
    let me = owner(&d, "");
    d.run("extract").write_stdin(owned(0, 0)).assert().success();
    for path in ["d", "d/new", "d/link", "old"] {
        assert_eq!(owner(&d, path).0, me.0, "{path}");
    }
}

#[test]
fn a_missing_root_or_a_terminal_less_empty_input_fails() {
    let archive = Deployment::usual().archive();
    let mut command = common::cfg_pack();
    let out = command.args(["extract", "--root", "/nonexistent"]).write_stdin(archive).assert();
    out.code(1).stderr(contains("/nonexistent"));
    let d = Deployment::empty();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cfg-pack"));
    command.args(["extract", "--root"]).arg(&d.root).stdin(File::open("/dev/null").unwrap());
    assert_eq!(command.stderr(Stdio::null()).status().unwrap().code(), Some(4));
}
