//! `cfg-pack diff` and `list`: an operator sees what would change, and no secret.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use common::{Deployment, Hostile, chmod};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

fn stdout(d: &Deployment, args: &[&str], archive: &[u8]) -> String {
    let out = d.run("diff").args(args).write_stdin(archive.to_vec()).assert().success();
    String::from_utf8(out.get_output().stdout.clone()).unwrap()
}

#[test]
fn no_differences_is_an_empty_diff_and_reported() {
    let d = Deployment::usual();
    d.file("secrets/db_password.before-20260421T020000Z", "old", 0o600);
    let out = d.run("diff").write_stdin(d.archive()).assert().success().stdout("");
    out.stderr(contains("no differences"));
}

#[test]
fn settings_are_shown_as_a_unified_diff_with_secret_values_hidden() {
    let d = Deployment::usual();
    let archive = d.archive();
    d.file(".env", "PIPRIO_DOMAIN=other.org\nPOSTGRES_PASSWORD=s3cr3t\n", 0o600);
    let text = stdout(&d, &[], &archive);
    assert_eq!(
        text,
        "--- .env (now)\n+++ .env (bundle)\n@@ -1,2 +1,2 @@\n\
         -PIPRIO_DOMAIN=other.org\n-POSTGRES_PASSWORD=*** (differs)\n\
         +PIPRIO_DOMAIN=example.org\n+POSTGRES_PASSWORD=*** (differs)\n"
    );
    let revealed = stdout(&d, &["--reveal"], &archive);
    for line in ["-POSTGRES_PASSWORD=s3cr3t\n", "+POSTGRES_PASSWORD=hunter2\n"] {
        assert!(revealed.contains(line), "{revealed}");
    }
}

#[test]
fn of_secrets_keys_and_binaries_only_the_names_are_shown() {
    let d = Deployment::usual();
    d.file("certs/x.pem", "-----BEGIN PRIVATE KEY-----\nplanted\n", 0o600);
    d.file("certs/x.der", "\0planted", 0o600);
    d.file("certs/auth.conf", "planted old", 0o600);
    d.file("certs/renewal.conf", "renew_before = 30 days\n", 0o600);
    let archive = d.archive();
    d.file("secrets/db_password", "planted", 0o400);
    d.file("certs/x.pem", "planted too\n", 0o600);
    d.file("certs/x.der", "\0planted too", 0o600);
    d.file("certs/auth.conf", "planted new", 0o600);
    d.file("certs/renewal.conf", "renew_before = 60 days\n", 0o600);
    d.file("secrets/mine", "planted", 0o600);
    d.file("certs/here/deep", "planted", 0o600);
    fs::remove_file(d.at("secrets/deep/signing.key")).unwrap();
    chmod(&d.at("certs/archive/x1.pem"), 0o600);
    let text = stdout(&d, &[], &archive);
    for line in [
        "secrets/db_password: differs",
        "certs/x.pem: differs",
        "certs/x.der: differs",
        "certs/auth.conf: differs",
        "certs/renewal.conf: differs",
        "secrets/mine: only here",
        "certs/here: only here",
        "secrets/deep/signing.key: only in the bundle",
        "certs/archive/x1.pem: mode 0600 here, 0644 in the bundle",
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} in\n{text}");
    }
    assert!(!text.contains("planted") && !text.contains("hunter2"), "{text}");
}

#[test]
fn another_kind_and_another_target_are_shown() {
    let d = Deployment::usual();
    let archive = d.archive();
    fs::remove_file(d.at(".env")).unwrap();
    fs::create_dir(d.at(".env")).unwrap();
    fs::remove_file(d.at("certs/live/x.pem")).unwrap();
    d.link("certs/live/x.pem", "../archive/x2.pem");
    let text = stdout(&d, &[], &archive);
    assert!(text.contains(".env: a directory here, a file in the bundle\n"), "{text}");
    let link =
        "certs/live/x.pem: a link to ../archive/x2.pem here, to ../archive/x1.pem in the bundle\n";
    assert!(text.contains(link), "{text}");
}

#[test]
fn a_linked_env_file_is_compared_with_what_it_leads_to() {
    let d = Deployment::usual();
    let archive = d.archive();
    fs::write(d.outside("env"), "PIPRIO_DOMAIN=other.org\n").unwrap();
    fs::remove_file(d.at(".env")).unwrap();
    symlink("../env", d.at(".env")).unwrap();
    let text = stdout(&d, &[".env"], &archive);
    assert!(text.contains("-PIPRIO_DOMAIN=other.org\n"), "{text}");
}

#[test]
fn paths_narrow_it_and_a_path_that_is_nowhere_is_an_error() {
    let d = Deployment::usual();
    let archive = d.run("create").arg(".env").assert().success().get_output().stdout.clone();
    d.file(".env", "A=1\n", 0o600);
    assert_eq!(stdout(&d, &["secrets"], &archive), "secrets: only here\n");
    assert_eq!(stdout(&d, &["--optional", "nowhere"], &archive), "");
    d.run("diff").arg("nowhere").write_stdin(archive).assert().code(1).stderr(contains("nowhere"));
}

#[test]
fn json_sums_up_what_differs() {
    let d = Deployment::usual();
    let archive = d.archive();
    d.file(".env", "A=1\n", 0o600);
    d.file("secrets/mine", "x", 0o600);
    let json: serde_json::Value = serde_json::from_str(&stdout(&d, &["--json"], &archive)).unwrap();
    assert_eq!(json["differences"], 2);
    assert_eq!(json["paths"][0]["path"], ".env");
    assert_eq!(json["paths"][0]["state"], "differs");
    assert_eq!(json["paths"][1]["state"], "only_here");
    let none: serde_json::Value = serde_json::from_str(&stdout(
        &Deployment::empty(),
        &["--json", "--optional", "x"],
        &archive,
    ))
    .unwrap();
    assert_eq!(none, serde_json::json!({"differences": 0, "paths": []}));
}

#[test]
fn list_prints_what_an_archive_holds() {
    let d = Deployment::usual();
    let file = d.outside("config.tar.gz");
    fs::write(&file, d.archive()).unwrap();
    let named = common::cfg_pack().arg("list").arg(&file).assert().success();
    let named = named.get_output().stdout.clone();
    let piped = common::cfg_pack().args(["list", "-"]).write_stdin(d.archive()).assert().success();
    assert_eq!(piped.get_output().stdout, named);
    let text = String::from_utf8(named).unwrap();
    assert_eq!(text.lines().count(), 10, "{text}");
    assert!(text.contains("certs/live/x.pem -> ../archive/x1.pem\n"), "{text}");
    let json = common::cfg_pack().args(["list", "--json"]).arg(&file).assert().success();
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert_eq!(json[0]["path"], ".env");
    assert_eq!(json[0]["mode"], "0600");
    assert_eq!(json[0]["kind"], "file");
    assert_eq!(json.as_array().unwrap().len(), 10);
}

#[test]
fn archives_of_other_tars_are_read() {
    let d = Deployment::usual();
    for format in ["gnu", "pax", "ustar", "v7"] {
        let file = d.outside(format);
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={format}")).arg("-czf").arg(&file).arg("-C").arg(&d.root);
        assert!(tar.arg(".").status().unwrap().success());
        let new = Deployment::empty();
        new.run("extract").write_stdin(fs::read(&file).unwrap()).assert().success();
        assert_eq!(new.tree(), d.tree(), "{format}");
    }
}

#[test]
fn a_full_disk_and_a_closed_output_are_failures() {
    let d = Deployment::usual();
    let file = d.outside("config.tar.gz");
    fs::write(&file, Hostile::new().file(".env", "A=1\n").finish()).unwrap();
    for verb in ["list", "diff", "extract"] {
        let run = |out: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cfg-pack"));
            command.arg(verb);
            match verb {
                "list" => &mut command,
                "extract" => command.arg("--dry-run").arg("--root").arg(&d.root),
                _ => command.arg("--root").arg(&d.root),
            };
            command.stdin(File::open(&file).unwrap()).stdout(out).stderr(Stdio::null());
            command.status().unwrap().code()
        };
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(run(full.into()), Some(1), "{verb}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run(writer.into()), Some(141), "{verb}");
    }
}

#[test]
fn help_and_version_are_data_and_a_wrong_option_is_a_usage_error() {
    for args in [
        &["--help"][..],
        &["create", "--help"],
        &["list", "-h"],
        &["diff", "-h"],
        &["extract", "-h"],
    ] {
        let out = common::cfg_pack().args(args).assert().success().stderr("");
        out.stdout(contains("EXAMPLES:").and(contains("EXIT STATUS:")));
    }
    common::cfg_pack().arg("--version").assert().success().stdout(contains("cfg-pack "));
    common::cfg_pack().arg("--nonsense").assert().code(2).stdout("");
    common::cfg_pack().args(["list", "/nonexistent"]).assert().code(1).stdout("");
    common::cfg_pack().args(["list", "/"]).assert().code(2).stdout("");
}

#[test]
fn a_listed_name_that_is_no_printable_text_has_its_bytes_beside_it() {
    use std::os::unix::ffi::OsStrExt;
    let d = Deployment::usual();
    d.file("secrets/a\nb", "x", 0o600);
    let name = std::ffi::OsStr::from_bytes(b"secrets/caf\xe9");
    fs::write(d.root.join(name), "x").unwrap();
    let file = d.outside("archive");
    fs::write(&file, d.archive()).unwrap();
    let json = common::cfg_pack().args(["list", "--json"]).arg(&file).assert().success();
    let list: Vec<serde_json::Value> = serde_json::from_slice(&json.get_output().stdout).unwrap();
    let raw: Vec<_> = list.iter().filter_map(|entry| entry.get("raw_path")).collect();
    assert_eq!(raw, ["736563726574732f610a62", "736563726574732f636166e9"]);
}
