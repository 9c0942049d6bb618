//! Copies in a restic repository, with the real restic.

use crate::kit::{Bench, Ended, NAME, end};
use chrono::{TimeDelta, Utc};
use std::fs;
use test_kit::skipped;

/// A bench whose SHIP_3 is a repository; none if there is no restic.
pub fn stand() -> Option<Bench> {
    let program = std::process::Command::new("restic").arg("version").output();
    if !program.is_ok_and(|out| out.status.success()) {
        skipped!("copies in a restic repository, because restic is missing");
        return None;
    }
    let bench = Bench::new();
    fs::write(bench.path("password"), "planted-repository-password\n").unwrap();
    ship(&bench, &["init"]).with(0).reports("created SHIP_3");
    Some(bench)
}

/// `ship-run` with the repository alone.
pub fn ship_command(bench: &Bench, arguments: &[&str]) -> std::process::Command {
    let mut command = bench.ship_command(arguments);
    command.env_remove("SHIP_1").env_remove("SHIP_2").env_remove("SHIP_RECIPIENTS");
    command.env("SHIP_3", format!("restic:{}", bench.path("repository").display()));
    command.env("SHIP_3_PASSWORD_FILE", bench.path("password"));
    command.env("XDG_CACHE_HOME", bench.path("cache"));
    command
}

pub fn ship(bench: &Bench, arguments: &[&str]) -> Ended {
    end(&mut ship_command(bench, arguments))
}

pub fn fetch(bench: &Bench, name: &str) -> Ended {
    let into = bench.path("restored");
    let _ = fs::remove_dir_all(&into);
    ship(bench, &["fetch", name, "--into", into.to_str().unwrap()])
}

#[test]
fn a_bundle_goes_into_a_repository_once_and_comes_back_as_it_was() {
    let Some(bench) = stand() else { return };
    // Neither recipients nor age are needed.
    ship(&bench, &["--newest"]).with(0).reports("copied");
    ship(&bench, &["--newest"]).with(0).reports(&format!("has {NAME} already"));
    ship(&bench, &["init"]).with(0).reports("is there");
    let listed = ship(&bench, &["list", "--json"]).with(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert!(listed[0]["file"].as_str().unwrap().starts_with(&format!("{NAME} (snapshot ")));
    assert_eq!(listed[0]["domain"], "docs.example.org");
    ship(&bench, &["verify"]).with(0);
    ship(&bench, &["verify", "--sample", "10"]).with(0);

    let repository = bench.path("repository").display().to_string();
    for name in
        [format!("restic:{repository}:{NAME}"), format!("restic:{NAME}"), format!("SHIP_3:{NAME}")]
    {
        fetch(&bench, &name).with(0);
        bench.sh(&format!("diff -r 'backups/{NAME}' 'restored/{NAME}'"));
        assert_eq!(bench.sh("stat -c %a restored; ls -A restored"), format!("700\n{NAME}\n"));
    }
    let into = bench.path("restored").display().to_string();
    ship(&bench, &["fetch", &format!("SHIP_3:{NAME}"), "--into", &into])
        .with(5)
        .reports("exists already");
    fetch(&bench, "SHIP_3:piprio_20200101T000000Z").with(1).reports("there is no snapshot of");

    // A host without settings, with the client's own variables or a file.
    let bare = |password: Option<&str>| {
        let mut command = bench.command(test_kit::tool("ship-run"), &[]);
        command.env_remove("PIPRIO_DEPLOY").env("XDG_CACHE_HOME", bench.path("cache"));
        let _ = fs::remove_dir_all(bench.path("restored"));
        command.args(["fetch", &format!("restic:{repository}:{NAME}"), "--into", &into]);
        if let Some(file) = password {
            command.args(["--passphrase-file", file]);
        }
        command
    };
    end(&mut bare(None)).with(2).reports("the repository's password is missing");
    end(&mut bare(Some("password"))).with(0);
    end(bare(None).env("RESTIC_PASSWORD_FILE", bench.path("password"))).with(0);
    fs::write(bench.path("wrong"), "wrong").unwrap();
    end(&mut bare(Some("wrong"))).with(1);
    assert!(!bench.path("restored").join(NAME).exists());
}

#[test]
fn a_repository_is_one_destination_among_others_and_fails_alone() {
    let Some(bench) = stand() else { return };
    let all = |arguments: &[&str]| {
        let mut command = bench.ship_command(arguments);
        command.env("SHIP_3", format!("restic:{}", bench.path("repository").display()));
        command.env("SHIP_3_PASSWORD_FILE", bench.path("password"));
        command.env("XDG_CACHE_HOME", bench.path("cache"));
        command
    };
    end(all(&["--newest"]).env_remove("SHIP_RECIPIENTS")).with(5);
    let ended = end(&mut all(&["--newest", "--json"])).with(0);
    assert_eq!(ended.json().as_array().unwrap().len(), 3);
    assert_eq!((bench.copies().len(), bench.objects().len()), (2, 2));
    // Its disk is missing; nothing is created in its place.
    bench.make("piprio_20260422T020000Z", "SELECT 2;");
    fs::rename(bench.path("repository"), bench.path("aside")).unwrap();
    end(&mut all(&["--newest"])).with(3).reports("was not copied to SHIP_3");
    assert!(!bench.path("repository").exists());
    assert_eq!((bench.copies().len(), bench.objects().len()), (4, 4));
    end(&mut all(&["list"])).with(3).reports("SHIP_3");
    fs::rename(bench.path("aside"), bench.path("repository")).unwrap();
    // A recipient that cannot be used concerns the sealed copies alone.
    bench.make("piprio_20260423T020000Z", "SELECT 3;");
    fs::write(bench.path("bad.pub"), "not a key\n").unwrap();
    end(all(&["--newest"]).env("SHIP_RECIPIENTS", bench.path("bad.pub")))
        .with(3)
        .reports("copied piprio_20260423T020000Z to SHIP_3");
    let verified = end(&mut all(&["verify", "--json"])).with(0).json();
    assert_eq!(verified["copies"].as_array().unwrap().len(), 6);
    for (setting, value, why) in [
        ("SHIP_3_PASSWORD_FILE", "", "SHIP_3_PASSWORD_FILE is not set"),
        ("SHIP_3_RETAIN_DAYS", "3", "locks nothing"),
    ] {
        end(all(&["--newest"]).env(setting, value)).with(3).reports(why);
    }
}

#[test]
fn without_restic_the_command_that_installs_it_is_named() {
    let bench = Bench::new();
    fs::write(bench.path("password"), "p").unwrap();
    let path = bench.sh("mkdir empty; for p in bash bundle-manifest deploy-env pg-snap obj-mirror cat; do ln -s \"$(command -v $p)\" empty/; done; echo \"$PWD/empty\"");
    let mut command = ship_command(&bench, &["--newest"]);
    end(command.env("PATH", path.trim())).with(5).reports("apt-get install restic");
}

#[test]
fn the_password_is_in_no_argument_and_no_message() {
    let Some(bench) = stand() else { return };
    // Notes how it is called, and passes everything on.
    let real = bench.sh("command -v restic");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> '{0}/calls'\nenv >> '{0}/environment'\nexec '{1}' \"$@\"\n",
        bench.dir.path().display(),
        real.trim()
    );
    fs::create_dir(bench.path("wrapped")).unwrap();
    fs::write(bench.path("wrapped/restic"), script).unwrap();
    bench.sh("chmod 755 wrapped/restic");
    let mut path = bench.path("wrapped").into_os_string();
    path.push(":");
    path.push(test_kit::tool_path());
    let secret = "planted-key-of-the-storage";
    let run = |repository: &str, arguments: &[&str]| {
        let mut command = ship_command(&bench, arguments);
        command.env("PATH", &path).env("SHIP_3_SECRET_KEY", secret).env("SHIP_3_ACCESS_KEY", "id");
        end(command.env("SHIP_3", repository))
    };
    let local = format!("restic:{}", bench.path("repository").display());
    run(&local, &["--newest"]).with(0);
    run(&local, &["verify"]).with(0);
    run(&local, &["prune"]).with(0);
    let remote = "restic:rest:http://user:planted-password-of-a-url@127.0.0.1:1/r";
    let failed = run(remote, &["list"]);
    assert_ne!(failed.code, Some(0));
    assert!(
        !failed.err.contains("planted") && failed.err.contains("http://127.0.0.1:1/r"),
        "{}",
        failed.err
    );
    let calls = fs::read_to_string(bench.path("calls")).unwrap();
    assert!(
        calls.contains("backup") && calls.contains("check") && !calls.contains("planted"),
        "{calls}"
    );
    let environment = fs::read_to_string(bench.path("environment")).unwrap();
    assert!(!environment.contains("planted-repository-password") && environment.contains(secret));
    // Another storage's keys of this environment are not handed on.
    assert!(!environment.contains("AWS_ACCESS_KEY_ID=other"));
}

#[test]
fn old_snapshots_go_by_the_rule_for_bundles_and_by_restics_own() {
    let Some(bench) = stand() else { return };
    fs::remove_dir_all(bench.bundle()).unwrap();
    let aged = |days: i64| {
        (Utc::now() - TimeDelta::days(days)).format("piprio_%Y%m%dT%H%M%SZ").to_string()
    };
    let names = [1, 40, 50, 80].map(aged);
    for name in &names {
        bench.make(name, &format!("SELECT '{name}';"));
    }
    ship(&bench, &["--all"]).with(0);
    let left = || -> Vec<String> {
        let listed = ship(&bench, &["list", "--json"]).with(0).json();
        let names =
            listed.as_array().unwrap().iter().map(|c| c["file"].as_str().unwrap()[..23].to_owned());
        names.collect()
    };
    // Of another deployment.
    let mut command = ship_command(&bench, &["prune", "--keep-days", "1"]);
    end(command.env("PIPRIO_DOMAIN", "another.example")).with(0);
    let dry = ship(&bench, &["prune", "--dry-run", "--json"]).with(0).json();
    assert_eq!(dry.as_array().unwrap().iter().filter(|o| o["outcome"] == "to remove").count(), 3);
    assert_eq!(left().len(), 4);
    ship(&bench, &["prune", "--keep-monthly", "12", "--keep-last", "2"]).with(0);
    let kept = left();
    assert!(
        kept.contains(&names[0]) && kept.contains(&names[1]) && kept.contains(&names[3]),
        "{kept:?}"
    );
    let mark = bench.path(&format!("backups/.{}.shrunk", names[0]));
    fs::write(&mark, "has no rows\n").unwrap();
    ship(&bench, &["prune"]).with(0).reports("nothing is removed, because");
    assert_eq!(left(), kept);
    fs::remove_file(mark).unwrap();
    ship(&bench, &["prune"]).with(0);
    assert_eq!(left(), [names[0].clone()]);
    ship(&bench, &["verify"]).with(0);
    // The newest, however old.
    let old = Bench::with(test_kit::S3::start(crate::kit::OFFSITE).unwrap());
    fs::write(old.path("password"), "p").unwrap();
    ship(&old, &["init"]).with(0);
    ship(&old, &["--newest"]).with(0);
    ship(&old, &["prune", "--keep-days", "1"]).with(0);
    fetch(&old, &format!("SHIP_3:{NAME}")).with(0);
}
