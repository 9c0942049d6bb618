//! An archive is outside data: whatever is wrong with it, nothing is changed and nothing outside is touched.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use common::{Deployment, Hostile, gzip};
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::symlink;
use tar::EntryType;

/// Extracts, and demands a refusal (4) that names the reason, with everything as it was.
fn refused(d: &Deployment, archive: Vec<u8>, why: &str) {
    let before = common::tree(d.dir.path());
    for verb in ["extract", "diff"] {
        let out = d.run(verb).write_stdin(archive.clone()).assert().code(4).stdout("");
        let out = out.stderr(contains(why)).stderr(contains("nothing was changed"));
        assert_eq!(String::from_utf8_lossy(&out.get_output().stderr).lines().count(), 1);
    }
    assert_eq!(common::tree(d.dir.path()), before, "{why}: something was changed");
}

#[test]
fn what_no_archive_of_ours_holds_is_refused_before_anything_is_changed() {
    let d = Deployment::usual();
    // Each begins with a good entry, which must not be extracted either.
    let good = || Hostile::new().file(".env", "A=new\n");
    let cases = [
        (good().file("/etc/cfg-pack-test", "x"), "is absolute"),
        (good().file("../escaped", "x"), "climbs"),
        (good().file("secrets/../../escaped", "x"), "climbs"),
        (good().file("", "x"), "is empty"),
        (good().file(".env", "B=2\n"), "twice"),
        (good().file("./.env", "B=2\n"), "twice"),
        (good().link("certs/x", "/etc/passwd"), "outside"),
        (good().link("certs/x", "../../escaped"), "outside"),
        (good().link("certs/x", "d/../../../escaped"), "outside"),
        (good().link("up", "..").file("up/escaped", "x"), "outside"),
        (good().link("l", "secrets").file("l/planted", "x"), "is below the link l"),
        (good().file("l/planted", "x").link("l", "secrets"), "is below the link l"),
        (good().entry(EntryType::Link, "h", "/etc/passwd", ""), "hard link"),
        (good().entry(EntryType::Link, "h", "../escaped", ""), "hard link"),
        (good().entry(EntryType::Link, "h", "secrets/db_password", ""), "hard link"),
        (good().entry(EntryType::Char, "dev", "", ""), "device"),
        (good().entry(EntryType::Block, "dev", "", ""), "device"),
        (good().entry(EntryType::Fifo, "fifo", "", ""), "fifo"),
        (good().entry(EntryType::new(b'Z'), "odd", "", ""), "unknown kind"),
        (good().entry(EntryType::Directory, "d/", "", "content"), "has content"),
        (good().file("f", "x").file("f/below", "x"), "is below the file f"),
        (good().file("f/", "x"), "named like a directory"),
        (good().with(EntryType::Regular, "f", "", "", |h| h.set_size(1 << 40)), "truncated"),
        (good().with(EntryType::Regular, "f", "", "", |h| h.set_uid(1 << 40)), "owner"),
    ];
    for (archive, why) in cases {
        refused(&d, archive.finish(), why);
    }
}

/// A record of an extension header: its length, the length's own digits included, and its content.
fn pax_record(key: &str, value: &str) -> String {
    let body = format!(" {key}={value}\n");
    let length = (body.len()..).find(|n| n.to_string().len() + body.len() == *n).unwrap();
    format!("{length}{body}")
}

#[test]
fn names_in_extension_headers_are_checked_too() {
    let d = Deployment::usual();
    let long = format!("{}/../../../escaped", "x/".repeat(60));
    let gnu = Hostile::new().entry(EntryType::GNULongName, "././@LongLink", "", &long);
    refused(&d, gnu.file("short", "x").finish(), "climbs");
    let pax = |key: &str, value: &str| {
        let record = pax_record(key, value);
        Hostile::new().entry(EntryType::XHeader, "pax", "", &record).file("short", "x").finish()
    };
    refused(&d, pax("path", "/etc/escaped"), "is absolute");
    refused(&d, pax("path", "../escaped"), "climbs");
    refused(&d, pax("GNU.sparse.major", "1"), "sparse");
    let sparse = Hostile::new().entry(EntryType::GNUSparse, "s", "", "");
    let out = d.run("extract").write_stdin(sparse.finish()).assert().code(4);
    out.stderr(contains("nothing was changed"));
    let global = Hostile::new().entry(EntryType::XGlobalHeader, "g", "", "13 comment=x\n");
    refused(&d, global.file("short", "x").finish(), "has content");
}

#[test]
fn a_name_without_end_is_neither_held_in_memory_nor_printed() {
    let d = Deployment::usual();
    let name = "n".repeat(1 << 20);
    let link = |kind: u8| Hostile::new().entry(EntryType::new(kind), "././@LongLink", "", &name);
    for kind in [b'L', b'K', b'x', b'g'] {
        refused(&d, link(kind).file("f", "x").finish(), "header of 1048576 bytes");
    }
    let long = &name[..5000];
    let archive = Hostile::new().entry(EntryType::GNULongName, "././@LongLink", "", long);
    let archive = archive.file("f", "x").finish();
    let out = d.run("extract").write_stdin(archive).assert().code(4);
    let stderr = String::from_utf8_lossy(&out.get_output().stderr).into_owned();
    assert!(stderr.contains("is too long") && stderr.len() < 500, "{}", stderr.len());
}

#[test]
fn what_an_archive_holds_is_never_in_an_error() {
    let d = Deployment::usual();
    // Content where a header should be: a reader that believes the second size comes to it.
    let secret = "hunter2\n".repeat(64);
    let sized = |size: &str| {
        let record = pax_record("size", size);
        Hostile::new().entry(EntryType::XHeader, "pax", "", &record).file("s", &secret).finish()
    };
    for archive in [sized("0"), sized("511"), sized("x"), sized("99999")] {
        for verb in ["extract", "diff"] {
            let out = d.run(verb).write_stdin(archive.clone()).assert().code(4);
            let stderr = String::from_utf8_lossy(&out.get_output().stderr).into_owned();
            assert!(!stderr.contains("hunter2"), "{stderr}");
        }
    }
    refused(&d, sized("0"), "two different sizes");
    d.run("extract").arg("--dry-run").write_stdin(sized("512")).assert().success();
}

#[test]
fn a_damaged_or_cut_archive_is_refused() {
    let d = Deployment::usual();
    d.file(".env", "A=other\n", 0o600);
    let whole = Deployment::usual().archive();
    for cut in [1, 10, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        refused(&d, whole[..cut].to_vec(), "not a complete gzip file");
    }
    refused(&d, Vec::new(), "nothing was changed");
    refused(&d, b"not an archive at all".to_vec(), "not a complete gzip file");
    let crc = whole.len() - 6;
    let mut damaged = whole.clone();
    damaged[crc] ^= 1;
    refused(&d, damaged, "not a complete gzip file");
    refused(&d, [whole.as_slice(), b"trailing"].concat(), "not a complete gzip file");
    refused(&d, gzip(&[0; 1024]), "no entries");
    refused(&d, gzip(&[b'x'; 2048]), "not a complete tar file");
    let tar = common::gunzip(&whole).unwrap();
    refused(&d, gzip(&tar[..tar.len() - 1024]), "end mark is missing");
    refused(&d, gzip(&[tar.as_slice(), &[b'x'; 512]].concat()), "follows its end mark");
    let mut bad_header = tar.clone();
    bad_header[100] ^= 1;
    refused(&d, gzip(&bad_header), "not a complete tar file");
}

#[test]
fn nothing_is_written_through_a_link_that_is_on_disk() {
    let d = Deployment::usual();
    fs::create_dir(d.outside("elsewhere")).unwrap();
    symlink(d.outside("elsewhere"), d.at("secrets/link")).unwrap();
    // The directory is not in it: what would be written lies behind the link.
    let archive = Hostile::new().dir("secrets/").file("secrets/link/planted", "x").finish();
    refused(&d, archive, "a link in the deployment");
    // It is in it: the link gives way to a directory, and is kept.
    let both =
        Hostile::new().dir("secrets/").dir("secrets/link/").file("secrets/link/planted", "x");
    d.run("extract").write_stdin(both.finish()).assert().success();
    assert!(fs::symlink_metadata(d.at("secrets/link")).unwrap().is_dir());
    assert_eq!(fs::read_dir(d.outside("elsewhere")).unwrap().count(), 0);
    assert_eq!(d.kept().len(), 1);
}

#[test]
fn a_file_replaces_a_link_and_not_what_the_link_leads_to() {
    let d = Deployment::usual();
    fs::write(d.outside("victim"), "untouched").unwrap();
    symlink(d.outside("victim"), d.at("secrets/x")).unwrap();
    let archive = Hostile::new().file("secrets/x", "planted").finish();
    d.run("extract").write_stdin(archive).assert().success();
    assert_eq!(fs::read_to_string(d.outside("victim")).unwrap(), "untouched");
    assert_eq!(d.read("secrets/x"), "planted");
    assert!(fs::symlink_metadata(d.at("secrets/x")).unwrap().is_file());
}

#[test]
fn a_link_that_would_leave_the_disk_its_directory_is_on_is_refused() {
    let d = Deployment::usual();
    fs::rename(d.at("certs"), d.outside("disk")).unwrap();
    symlink(d.outside("disk"), d.at("certs")).unwrap();
    let archive = Hostile::new().dir("certs/").link("certs/env", "../.env").finish();
    refused(&d, archive, "would lead outside");
}

#[test]
fn a_first_level_link_to_nowhere_stops_before_anything_is_changed() {
    let d = Deployment::usual();
    let archive = d.archive();
    fs::remove_dir_all(d.at("secrets")).unwrap();
    symlink(d.outside("not-mounted"), d.at("secrets")).unwrap();
    d.file(".env", "A=other\n", 0o600);
    let before = d.tree();
    let out = d.run("extract").write_stdin(archive).assert().code(5);
    out.stderr(contains("does not exist (is its disk mounted?)"));
    assert_eq!(d.tree(), before);
}

#[test]
fn setuid_setgid_and_sticky_are_dropped() {
    let d = Deployment::empty();
    let archive = Hostile::new().mode("a", "x", 0o6755).mode("b", "x", 0o1700).finish();
    d.run("extract").write_stdin(archive).assert().success();
    assert_eq!((d.mode("a"), d.mode("b")), (0o755, 0o700));
}

#[test]
fn names_from_outside_cannot_steer_the_terminal() {
    let d = Deployment::empty();
    let archive = Hostile::new().file("a\u{1b}[2Jb", "x").finish();
    for verb in ["extract", "diff"] {
        let out = d.run(verb).write_stdin(archive.clone()).assert().success();
        let out = out.get_output();
        assert!(![&out.stdout, &out.stderr].iter().any(|o| o.contains(&0x1b)), "{verb}");
    }
    let out = common::cfg_pack().arg("list").write_stdin(archive).assert().success();
    out.stdout(contains("a\\u{1b}[2Jb"));
}

#[test]
fn list_refuses_what_extract_refuses() {
    let archive = Hostile::new().file("ok", "x").file("../escaped", "x").finish();
    common::cfg_pack().arg("list").write_stdin(archive).assert().code(4).stdout("");
}

#[test]
fn a_second_name_for_a_file_of_the_archive_is_that_file_again() {
    let d = Deployment::empty();
    let archive = Hostile::new().file("a", "same").entry(EntryType::Link, "b", "a", "").finish();
    d.run("extract").arg("b").write_stdin(archive).assert().success();
    assert_eq!(d.read("b"), "same");
    assert!(!d.at("a").exists());
}
