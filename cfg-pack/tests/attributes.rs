//! What files have besides content and mode is restored, or a warning names it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use common::extras::{SECRET, acl, attributes, create, extract, lists, secret, setfacl, sh, value};
use common::{Deployment, chmod, gunzip, gzip, is_root, skipped};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tar::EntryType;

#[test]
fn lists_and_attributes_come_back() {
    let d = Deployment::usual();
    if !lists(&d) || !attributes(&d) {
        return;
    }
    fs::remove_dir_all(d.at("certs")).unwrap();
    secret(&d, "secrets/shared");
    let group = if is_root() { 77 } else { rustix::process::getgid().as_raw() };
    setfacl(&d.at("secrets"), &format!("u:4242:x,d:u:4242:r,g:{group}:x"));
    sh("setfattr", &["-n", "user.origin", "-v", "vault\nline=2"], &d.at("secrets/db_password"))
        .or_else(|| sh("setfattr", &["-n", "user.origin", "-v", "vault"], &d.at(".env")));
    sh("setfattr", &["-n", "user.a=b%3D", "-v", "odd"], &d.at(".env")).unwrap();
    let (archive, stderr) = create(&d, &[".env", "secrets"]);
    assert!(!stderr.contains("warning"), "{stderr}");
    assert_eq!(create(&d, &["secrets", ".env"]).0, archive, "the same files, the same bytes");
    let new = Deployment::empty();
    let stderr = extract(&new, &archive);
    for path in ["secrets/shared", "secrets", "secrets/db_password"] {
        assert_eq!(acl(&new.at(path)), acl(&d.at(path)), "{path}\n{stderr}");
    }
    assert_eq!(value(&new.at(".env"), "user.a=b%3D").as_deref(), Some("odd"));
    let origin = value(&d.at("secrets/db_password"), "user.origin");
    assert_eq!(value(&new.at("secrets/db_password"), "user.origin"), origin);
    assert_eq!(new.tree(), d.tree());
    let out = new.run("diff").write_stdin(archive.clone()).assert().success();
    out.stdout("").stderr(contains("no differences"));
    assert!(extract(&new, &archive).contains("0 created, 0 replaced"));
}

#[test]
fn a_capability_comes_back_as_root_alone() {
    let d = Deployment::empty();
    d.file("certs/hook", "#!/bin/sh\n", 0o755);
    if sh("setcap", &["cap_net_bind_service=ep"], &d.at("certs/hook")).is_none() {
        return skipped("no setcap here, or not for this user");
    }
    let (archive, _) = create(&d, &["certs"]);
    let new = Deployment::empty();
    extract(&new, &archive);
    let caps = |d: &Deployment| {
        sh("getcap", &[], &d.at("certs/hook")).unwrap().split_once(' ').map(|c| c.1.to_owned())
    };
    assert!(caps(&d).is_some_and(|caps| caps.contains("cap_net_bind_service")));
    assert_eq!(caps(&new), caps(&d));
    let other = Deployment::empty();
    fs::write(other.outside("archive"), archive).unwrap();
    std::os::unix::fs::chown(&other.root, Some(4242), Some(4343)).unwrap();
    chmod(other.dir.path(), 0o755);
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=4242",
        "--regid=4343",
        "--clear-groups",
        env!("CARGO_BIN_EXE_cfg-pack"),
    ]);
    command.args(["extract", "--root"]).arg(&other.root);
    let Ok(out) = command.stdin(fs::File::open(other.outside("archive")).unwrap()).output() else {
        return skipped("no setpriv here");
    };
    let stderr = String::from_utf8_lossy(&out.stderr);
    if !stderr.contains("cfg-pack:") {
        return skipped("the tool is in a directory of root's alone");
    }
    assert!(
        stderr.contains("certs/hook: security.capability is not restored (only root can)"),
        "{stderr}"
    );
}

#[test]
fn both_tars_read_the_records() {
    let d = Deployment::empty();
    if !lists(&d) || !attributes(&d) {
        return;
    }
    secret(&d, "secrets/shared");
    let long = format!("secrets/{}", "l".repeat(150));
    secret(&d, &long);
    sh("setfattr", &["-n", "user.origin", "-v", "vault"], &d.at("secrets/shared")).unwrap();
    let (archive, _) = create(&d, &["secrets"]);
    fs::write(d.outside("config.tar.gz"), &archive).unwrap();
    let tar = |program: &str, into: &str, options: &[&str]| {
        fs::create_dir(d.outside(into)).unwrap();
        let mut tar = Command::new(program);
        tar.args(options).arg("-xpzf").arg(d.outside("config.tar.gz"));
        let out = tar.arg("-C").arg(d.outside(into)).output().ok()?;
        assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
        Some((d.outside(into).join("secrets/shared"), d.outside(into).join(&long)))
    };
    let (file, of_long_name) = tar("tar", "gnu", &["--xattrs", "--acls"]).unwrap();
    assert_eq!((acl(&file).as_str(), acl(&of_long_name).as_str()), (SECRET, SECRET));
    assert_eq!(value(&file, "user.origin").as_deref(), Some("vault"));
    match tar("bsdtar", "bsd", &["--xattrs", "--acls"]) {
        None => skipped("no bsdtar here"),
        Some((file, of_long_name)) => {
            assert_eq!((acl(&file).as_str(), acl(&of_long_name).as_str()), (SECRET, SECRET));
            assert_eq!(value(&file, "user.origin").as_deref(), Some("vault"));
        }
    }
    // Without the options, the mask must not come back as rights of the group.
    let (file, _) = tar("tar", "plain", &[]).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    // And what they write, this reads.
    let theirs = |program: &str, options: &[&str]| {
        let mut tar = Command::new(program);
        tar.args(options).arg("-czf").arg(d.outside("theirs.tar.gz"));
        let done = tar.arg("-C").arg(&d.root).arg("secrets").stderr(Stdio::null()).status();
        if !done.is_ok_and(|status| status.success()) {
            return skipped(&format!("no {program} here that writes lists"));
        }
        let new = Deployment::empty();
        extract(&new, &fs::read(d.outside("theirs.tar.gz")).unwrap());
        assert_eq!(acl(&new.at("secrets/shared")), SECRET, "{program}");
        assert_eq!(value(&new.at("secrets/shared"), "user.origin").as_deref(), Some("vault"));
    };
    theirs("tar", &["--xattrs", "--acls", "--format=pax"]);
    theirs("bsdtar", &["--xattrs", "--acls", "--format=pax"]);
}

#[test]
fn diff_and_dry_run_name_what_differs_beside_the_content() {
    let d = Deployment::empty();
    if !lists(&d) || !attributes(&d) {
        return;
    }
    secret(&d, "secrets/shared");
    sh("setfattr", &["-n", "user.origin", "-v", "vault"], &d.at("secrets/shared")).unwrap();
    let (archive, _) = create(&d, &["secrets"]);
    sh("setfacl", &["-b"], &d.at("secrets/shared")).unwrap();
    chmod(&d.at("secrets/shared"), 0o600);
    sh("setfattr", &["-x", "user.origin"], &d.at("secrets/shared")).unwrap();
    let diff = d.run("diff").write_stdin(archive.clone()).assert().success();
    diff.stdout(
        "secrets/shared: mode 0600 here, ACL user::rw-,user:4242:rw-,group::---,mask::rw-,other::--- in the bundle\n\
         secrets/shared: user.origin differs\n",
    );
    let dry = d.run("extract").arg("--dry-run").write_stdin(archive.clone()).assert().success();
    dry.stdout("would set the ACL of secrets/shared\n");
    let stderr = extract(&d, &archive);
    assert!(stderr.contains("changed the ACL of secrets/shared"), "{stderr}");
    assert!(stderr.contains("secrets/shared is accessible to more users than before"), "{stderr}");
    assert_eq!(acl(&d.at("secrets/shared")), SECRET);
    assert_eq!(value(&d.at("secrets/shared"), "user.origin").as_deref(), Some("vault"));
    let list = common::cfg_pack().args(["list", "--json"]).write_stdin(archive).assert().success();
    let json: serde_json::Value = serde_json::from_slice(&list.get_output().stdout).unwrap();
    assert_eq!(json[1]["attributes"], serde_json::json!(["user.origin"]));
    assert!(json[1]["acl"].as_str().unwrap().contains("user:4242:rw-"), "{json}");
    assert!(!json.to_string().contains("vault"), "a value may be a secret");
}

/// A record of an extension header.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let length = (body..).find(|n| n.to_string().len() + body == *n).unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// An archive of one file with these records before it.
fn with_records(mode: u32, records: &[u8]) -> Vec<u8> {
    let entry = |kind: EntryType, name: &str, content: &[u8], mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(rustix::process::getuid().as_raw().into());
        header.set_gid(rustix::process::getgid().as_raw().into());
        header.set_mtime(1);
        header.set_cksum();
        let mut bytes = [header.as_bytes(), content].concat();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    let mut tar = entry(EntryType::XHeader, "pax", records, 0o644);
    tar.extend(entry(EntryType::Regular, "f", b"x", mode));
    tar.extend([0; 1024]);
    gzip(&tar)
}

#[test]
fn hostile_records_are_skipped_with_a_warning_or_refused() {
    for (key, value, mode, becomes, why) in [
        (
            "SCHILY.acl.access",
            &b"nonsense"[..],
            0o660,
            0o600,
            "its ACL in the archive is unreadable",
        ),
        ("SCHILY.acl.access", b"user::rw-,user:1:rwx", 0o664, 0o644, "is unreadable"),
        ("SCHILY.xattr.system.posix_acl_access", b"\x02\0\0\0\x01", 0o660, 0o600, "is unreadable"),
        (
            "SCHILY.acl.default",
            b"nonsense",
            0o600,
            0o600,
            "default ACL in the archive is unreadable",
        ),
        (
            "SCHILY.xattr.security.selinux",
            b"x",
            0o600,
            0o600,
            "security.selinux of the archive is not restored",
        ),
        (
            "SCHILY.xattr.trusted.overlay.opaque",
            b"y",
            0o600,
            0o600,
            "trusted.overlay.opaque of the archive",
        ),
        ("SCHILY.xattr.user.", b"y", 0o600, 0o600, "user. of the archive is not restored"),
    ] {
        let d = Deployment::empty();
        let stderr = extract(&d, &with_records(mode, &record(key, value)));
        assert!(stderr.contains(why) && stderr.contains("warning: f: "), "{key}: {stderr}");
        assert_eq!(d.mode("f"), becomes, "{key}");
    }
    // An attribute's value that looks like records is a value.
    let inner = [b"x\n".as_slice(), &record("path", b"planted"), &record("size", b"0")].concat();
    let d = Deployment::empty();
    extract(&d, &with_records(0o600, &record("SCHILY.xattr.user.a", &inner)));
    assert_eq!(d.tree().into_keys().collect::<Vec<_>>(), ["f"]);
    let many = (0..5000).map(|n| format!("user:{n}:r--,")).collect::<String>();
    let list = format!("user::rw-,{many}group::r--,mask::r--,other::---");
    let refused = [
        record("SCHILY.xattr.user.a", &vec![b'x'; 70_000]),
        record("SCHILY.acl.access", list.as_bytes()),
        b"9 broken".to_vec(),
        b"99999999999999999999999 a=b\n".to_vec(),
        [record("path", b"a"), record("path", b"b")].concat(),
    ];
    for records in refused {
        let d = Deployment::empty();
        let out = d.run("extract").write_stdin(with_records(0o600, &records)).assert().code(4);
        out.stderr(contains("nothing was changed"));
        assert!(d.tree().is_empty());
    }
}

#[test]
fn what_cannot_be_archived_is_named() {
    let d = Deployment::empty();
    if !attributes(&d) {
        return;
    }
    d.file(".env", "A=1", 0o600);
    let at = d.at(".env");
    // More than a header may hold, in all.
    let big = "x".repeat(3000);
    let fits = (0..40).take_while(|n| {
        sh("setfattr", &["-n", &format!("user.n{n:02}"), "-v", &big], &at).is_some()
    });
    let fits = fits.count();
    let trusted = sh("setfattr", &["-n", "trusted.mine", "-v", "x"], &at).is_some();
    let (archive, stderr) = create(&d, &[".env"]);
    if fits * big.len() > 64 << 10 {
        assert!(
            stderr.contains("warning: .env: user.n39 is not archived (3000 bytes are too many)"),
            "{stderr}"
        );
    }
    let why = "warning: trusted.mine of 1 entries is not archived; the first is .env";
    assert_eq!(stderr.contains(why), trusted, "{stderr}");
    let new = Deployment::empty();
    extract(&new, &archive);
    assert_eq!(new.read(".env"), "A=1");
    if fits > 0 {
        assert_eq!(value(&new.at(".env"), "user.n00").as_deref(), Some(big.as_str()));
    }
}

#[test]
fn an_archive_holds_names_and_no_name_that_is_none() {
    let d = Deployment::usual();
    let (archive, _) = create(&d, &[".env", "secrets"]);
    let tar = gunzip(&archive).unwrap();
    let mut tar = tar::Archive::new(tar.as_slice());
    let me = sh("id", &["-un"], Path::new("--")).or_else(|| {
        let out = Command::new("id").arg("-un").output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    });
    for entry in tar.entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.header().username().unwrap().unwrap_or_default().to_owned();
        assert_eq!(name, me.as_deref().unwrap_or_default().trim());
    }
    if is_root() {
        std::os::unix::fs::chown(d.at(".env"), Some(4_000_001), Some(4_000_001)).unwrap();
        let list = common::cfg_pack().arg("list").write_stdin(create(&d, &[".env"]).0).assert();
        list.success().stdout(contains(" 4000001:4000001 ").and(contains(".env")));
    }
}
