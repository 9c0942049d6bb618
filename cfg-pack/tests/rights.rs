//! Whatever is extracted, over whatever is here: nobody may read more than the archive allows, and
//! where that is more than before, a warning reports it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use common::extras::{SECRET, acl, create, extract, lists, secret, setfacl};
use common::{Deployment, Hostile, chmod, is_root, skipped};
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use tar::EntryType;

#[test]
fn where_no_list_can_be_set_its_mask_gives_the_group_nothing() {
    let d = Deployment::empty();
    if !lists(&d) {
        return;
    }
    secret(&d, "secrets/shared");
    fs::write(d.outside("archive"), create(&d, &["secrets"]).0).unwrap();
    // ramfs knows no lists.
    let script = "mount -t ramfs none \"$1\" || exit 77
        \"$0\" extract --root \"$1\" < \"$2\" || exit 1
        stat -c %a \"$1/secrets/shared\"
        \"$0\" extract --root \"$1\" < \"$2\" || exit 1
        stat -c %a \"$1/secrets/shared\"";
    fs::create_dir(d.outside("bare")).unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_cfg-pack")]);
    let Ok(out) = unshare.arg(d.outside("bare")).arg(d.outside("archive")).output() else {
        return skipped("no unshare here");
    };
    if !matches!(out.status.code(), Some(0 | 1)) || !is_root() {
        return skipped("no filesystem can be mounted here");
    }
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "600\n600\n", "{stderr}");
    let why = "warning: secrets/shared: its ACL user::rw-,user:4242:rw-,group::---,mask::rw-,other::--- is not restored";
    assert!(stderr.contains(why), "{stderr}");
}

#[test]
fn at_no_moment_may_more_read_a_secret_than_in_the_end() {
    let d = Deployment::empty();
    if !lists(&d) {
        return;
    }
    secret(&d, "listed");
    d.file("plain", "hunter2\n", 0o640);
    fs::write(d.outside("archive"), create(&d, &["listed", "plain"]).0).unwrap();
    let new = Deployment::empty();
    setfacl(&new.root, "d:u:4242:rwx,d:o::rwx");
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-s",
        "4096",
        "-e",
        "trace=openat,write,fchown,fchmod,fsetxattr,fremovexattr,renameat2",
    ]);
    strace.arg("-o").arg(d.outside("trace")).arg(env!("CARGO_BIN_EXE_cfg-pack"));
    strace.args(["extract", "--root"]).arg(&new.root);
    let done = strace.stdin(fs::File::open(d.outside("archive")).unwrap()).stderr(Stdio::null());
    if !done.status().is_ok_and(|status| status.success()) {
        return skipped("no strace here, or it may not trace");
    }
    let trace = fs::read_to_string(d.outside("trace")).unwrap();
    let calls: Vec<&str> =
        trace.lines().filter_map(|line| line.split_once(' ')).map(|l| l.1.trim()).collect();
    let mut files = calls.split(|call| call.contains("O_CREAT") && call.contains(".pipe-kit-"));
    files.next().unwrap();
    let mut seen = 0;
    for (made, file) in calls
        .iter()
        .filter(|call| call.contains("O_CREAT") && call.contains(".pipe-kit-"))
        .zip(files)
    {
        assert!(made.contains("0600"), "{made}");
        let at = |what: &str| file.iter().position(|call| call.starts_with(what));
        let stripped = file
            .iter()
            .position(|call| call.starts_with("fremovexattr") && call.contains("posix_acl_access"));
        let written =
            file.iter().position(|call| call.starts_with("write") && call.contains("hunter2"));
        let opened = at("fsetxattr").or(at("fchmod"));
        let moved = at("renameat2");
        assert!(stripped.is_some() && stripped < written, "{file:#?}");
        assert!(written < opened && opened < moved, "{file:#?}");
        let wide = file[..opened.unwrap()].iter().find(|call| call.starts_with("fchmod"));
        assert_eq!(wide, None, "{file:#?}");
        assert!(at("fchown").is_none() || at("fchown") < opened, "{file:#?}");
        seen += 1;
    }
    assert_eq!(seen, 2, "{trace}");
}

#[test]
fn a_setgid_bit_that_may_not_be_set_is_left_out_with_a_warning() {
    let d = Deployment::empty();
    fs::create_dir(d.at("shared")).unwrap();
    chmod(&d.at("shared"), 0o2750);
    fs::write(d.outside("archive"), create(&d, &["shared"]).0).unwrap();
    let new = Deployment::empty();
    // As under systemd's RestrictSUIDSGID.
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=fchmod", "-e", "inject=fchmod:error=EPERM:when=1", "-o"]);
    strace.arg(d.outside("trace")).arg(env!("CARGO_BIN_EXE_cfg-pack"));
    strace.args(["extract", "--root"]).arg(&new.root);
    let done = strace.stdin(fs::File::open(d.outside("archive")).unwrap()).output();
    let trace = fs::read_to_string(d.outside("trace")).unwrap_or_default();
    if !trace.contains("EPERM") {
        return skipped("no strace here, or it may not trace");
    }
    let done = done.unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{stderr}");
    assert_eq!(new.mode("shared"), 0o750);
    let why = "warning: shared: its mode is 0750 and not 2750 (Operation not permitted";
    assert!(stderr.contains(why), "{stderr}");
}

#[test]
fn a_directorys_default_list_gives_nobody_the_new_files() {
    let d = Deployment::usual();
    if !lists(&d) {
        return;
    }
    d.file("certs/open.pem", "x", 0o640);
    let (archive, _) = create(&d, &["secrets", "certs"]);
    let new = Deployment::empty();
    for dir in ["", "certs"] {
        fs::create_dir_all(new.at(dir)).unwrap();
        chmod(&new.at(dir), 0o755);
        setfacl(&new.at(dir), "d:u:4242:rwx,d:g:4242:rwx,d:o::rwx");
    }
    let stderr = extract(&new, &archive);
    let mut paths: Vec<String> = new.tree().into_keys().filter(|path| path != "certs").collect();
    paths.retain(|path| !new.at(path).is_symlink());
    assert!(paths.len() > 5);
    for path in paths {
        assert_eq!(new.mode(&path), d.mode(&path), "{path}");
        let list = acl(&new.at(&path));
        assert!(!list.contains("4242") && !list.contains("default"), "{path}: {list}");
    }
    assert!(stderr.contains("instead of the default ACL of ., certs"), "{stderr}");
    assert!(acl(&new.at("certs")).contains("default:user:4242:rwx"), "it is the deployment's own");
}

#[test]
fn what_opens_a_file_is_reported_and_an_unknown_group_gets_nothing() {
    let d = Deployment::empty();
    d.file("a", "same", 0o600);
    d.file("b", "old", 0o600);
    d.file("c", "old", 0o640);
    let (uid, gid) =
        (fs::metadata(d.at("a")).unwrap().uid(), fs::metadata(d.at("a")).unwrap().gid());
    let own = |header: &mut tar::Header| {
        header.set_mode(0o640);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
    };
    let other = |header: &mut tar::Header| {
        own(header);
        header.set_gid(4242);
        header.set_groupname("no-such-group").unwrap();
    };
    let file = |archive: Hostile, name: &str, text: &str, change: &dyn Fn(&mut tar::Header)| {
        archive.with(EntryType::Regular, name, "", text, change)
    };
    let mut archive = file(Hostile::new(), "a", "same", &own);
    archive = file(archive, "b", "new", &own);
    archive = file(archive, "c", "new", &own);
    archive = file(archive, "d", "new", &own);
    let stderr = extract(&d, &archive.finish());
    for path in ["a", "b"] {
        let why = format!(
            "warning: {path} is accessible to more users than before: mode 0640 as in the archive, mode 0600 before"
        );
        assert!(stderr.contains(&why), "{stderr}");
    }
    assert!(!stderr.contains("c is open") && !stderr.contains("d is open"), "{stderr}");
    let stderr = extract(&d, &file(Hostile::new(), "b", "newer", &other).finish());
    // b has had its group read it before.
    assert_eq!(d.mode("b"), 0o640, "{stderr}");
    chmod(&d.at("b"), 0o600);
    let archive = file(Hostile::new(), "b", "newest", &other);
    let stderr = extract(&d, &archive.finish());
    assert_eq!(d.mode("b"), 0o600, "{stderr}");
    assert!(stderr.contains("warning: b: its group is "), "{stderr}");
    assert!(!stderr.contains("accessible to more"), "{stderr}");
}

#[test]
fn a_name_that_is_here_wins_over_its_number_and_a_number_that_is_anothers_is_not_taken() {
    if !is_root() {
        return skipped("only root can give files away");
    }
    let d = Deployment::empty();
    let named = |owner: &'static str, group: &'static str, id: u64| {
        move |header: &mut tar::Header| {
            header.set_mode(0o640);
            header.set_uid(id);
            header.set_gid(id);
            header.set_username(owner).unwrap();
            header.set_groupname(group).unwrap();
        }
    };
    let archive = Hostile::new()
        .with(EntryType::Regular, "known", "", "x", named("daemon", "daemon", 4_000_000))
        .with(
            EntryType::Regular,
            "free",
            "",
            "x",
            named("no-such-user", "no-such-group", 4_000_000),
        )
        .with(EntryType::Regular, "taken", "", "x", named("no-such-user", "no-such-group", 1))
        .finish();
    let stderr = extract(&d, &archive);
    let of = |path: &str| {
        let meta = fs::metadata(d.at(path)).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o777)
    };
    // Debian's and most others' daemon is 1.
    assert_eq!(of("known"), (1, 1, 0o640), "{stderr}");
    assert_eq!(of("free"), (4_000_000, 4_000_000, 0o640), "{stderr}");
    assert_eq!(of("taken"), (0, 0, 0o600), "{stderr}");
    assert!(stderr.contains("warning: owner no-such-user is not restored"), "{stderr}");
    assert!(
        stderr.contains("taken: its group is root here and no-such-group in the archive"),
        "{stderr}"
    );
    let diff = d.run("diff").write_stdin(archive.clone()).assert().success();
    diff.stdout(contains(
        "taken: owner root:root here (extract keeps it), no-such-user:no-such-group in the bundle\n",
    ));
    let list = common::cfg_pack().arg("list").write_stdin(archive).assert().success();
    list.stdout(contains("daemon:daemon"));
}

#[test]
fn an_archive_of_before_leaves_the_lists_that_are_here_and_opens_nothing() {
    let d = Deployment::empty();
    if !lists(&d) {
        return;
    }
    secret(&d, "same");
    secret(&d, "edited");
    // What an older version wrote: the mask as the group's rights, and no list.
    let archive = Hostile::new().mode("same", "hunter2\n", 0o660).mode("edited", "new", 0o660);
    let own = fs::metadata(d.at("same")).unwrap();
    let archive = archive.finish();
    let stderr = extract(&d, &archive);
    assert_eq!(acl(&d.at("same")), SECRET, "{stderr}");
    assert_eq!(d.mode("edited"), 0o600, "{stderr}");
    assert_eq!(own.gid(), fs::metadata(d.at("same")).unwrap().gid());
    if own.gid() == 0 {
        assert!(stderr.contains("edited: it had the ACL"), "{stderr}");
    }
    let kept = d.kept();
    assert_eq!(acl(&d.at(&kept[0])), SECRET, "the copy has its list");
}

#[test]
fn as_another_user_the_archives_group_is_not_the_callers() {
    if !is_root() {
        return skipped("only root can be another user");
    }
    let d = Deployment::empty();
    let archive = Hostile::new().mode("a", "x", 0o640).mode("b", "x", 0o644).finish();
    fs::write(d.outside("archive"), archive).unwrap();
    std::os::unix::fs::chown(&d.root, Some(4242), Some(4343)).unwrap();
    chmod(d.dir.path(), 0o755);
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=4242",
        "--regid=4343",
        "--clear-groups",
        env!("CARGO_BIN_EXE_cfg-pack"),
    ]);
    command.args(["extract", "--root"]).arg(&d.root);
    let Ok(out) = command.stdin(fs::File::open(d.outside("archive")).unwrap()).output() else {
        return skipped("no setpriv here");
    };
    let stderr = String::from_utf8_lossy(&out.stderr);
    if stderr.contains("Permission denied") && !stderr.contains("cfg-pack:") {
        return skipped("the tool is in a directory of root's alone");
    }
    assert!(out.status.success(), "{stderr}");
    assert_eq!((d.mode("a"), d.mode("b")), (0o600, 0o644), "{stderr}");
    assert!(
        stderr.contains(
            "a: its group is 4343 here and 0 in the archive, so the group has --- and not r--"
        ),
        "{stderr}"
    );
    assert!(stderr.contains("owner 0 is not restored (only root can)"), "{stderr}");
}

#[test]
fn a_new_directory_has_the_setgid_and_sticky_bits_of_the_archive_and_no_file_has() {
    let d = Deployment::empty();
    d.file("certs/drop/key.pem", "x", 0o640);
    d.file("certs/listed/key.pem", "x", 0o640);
    for (path, mode) in [("certs", 0o2750), ("certs/drop", 0o3770), ("certs/listed", 0o2750)] {
        chmod(&d.at(path), mode);
    }
    chmod(&d.at("certs/drop/key.pem"), 0o6640);
    if lists(&d) {
        setfacl(&d.at("certs/listed"), "u:4242:rx");
    }
    let (archive, _) = create(&d, &["certs"]);
    let new = Deployment::empty();
    for _ in 0..2 {
        extract(&new, &archive);
        for (path, mode) in [
            ("certs", 0o2750),
            ("certs/drop", 0o3770),
            ("certs/listed", 0o2750),
            ("certs/drop/key.pem", 0o640),
        ] {
            assert_eq!(new.mode(path), mode, "{path}");
        }
    }
}

#[test]
fn a_directory_of_another_group_than_in_the_archive_is_not_setgid() {
    let new = Deployment::empty();
    let of_nobody = |header: &mut tar::Header| {
        header.set_mode(0o3755);
        // A number that has another name here.
        header.set_gid(1);
        header.set_groupname("no-such-group-here").unwrap();
    };
    let archive = Hostile::new().with(EntryType::Directory, "certs", "", "", of_nobody).finish();
    let out = new.run("extract").write_stdin(archive).assert().success();
    assert_eq!(new.mode("certs"), 0o1755);
    out.stderr(contains("so it does not have the setgid bit"));
}
