//! Repositories that are damaged, in use, or shared by two deployments.

use crate::copies::OTHER;
use crate::kit::{Bench, Ended, NAME, end};
use crate::restic::{fetch, ship, ship_command, stand};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// restic with the repository of the bench.
fn restic(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.command("restic", arguments);
    command.env("RESTIC_REPOSITORY", bench.path("repository"));
    command.env("RESTIC_PASSWORD_FILE", bench.path("password"));
    command.env("XDG_CACHE_HOME", bench.path("cache"));
    command
}

fn record(bench: &Bench) -> String {
    fs::read_to_string(bench.path("deploy/.restore/ship/shipped.json")).unwrap()
}

/// The largest pack, which has the data of bundles.
fn pack(bench: &Bench) -> std::path::PathBuf {
    let found = "find repository/data -type f -printf '%s %p\\n' | sort -n | tail -n 1";
    bench.path(bench.sh(found).trim().split_once(' ').unwrap().1)
}

/// restic makes its files read-only.
fn write(path: &std::path::Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `ship-run` with a restic that runs this script first. `$verb` is restic's command.
fn wrapped(bench: &Bench, script: &str, arguments: &[&str]) -> Ended {
    let real = bench.sh("command -v restic");
    let _ = fs::create_dir(bench.path("wrapped"));
    let find = "for verb; do case $verb in -*) ;; *) break;; esac; done";
    let text = format!("#!/bin/sh\n{find}\n{script}\nexec '{}' \"$@\"\n", real.trim());
    fs::write(bench.path("wrapped/restic"), text).unwrap();
    bench.sh("chmod 755 wrapped/restic");
    let mut path = bench.path("wrapped").into_os_string();
    path.push(":");
    path.push(test_kit::tool_path());
    end(ship_command(bench, arguments).env("PATH", path))
}

#[test]
fn a_damaged_repository_takes_nothing_until_it_is_repaired_and_nothing_is_removed() {
    let Some(bench) = stand() else { return };
    ship(&bench, &["--newest"]).with(0);
    bench.make(OTHER, "SELECT 2;");
    ship(&bench, &["--newest"]).with(0);
    let pack = pack(&bench);
    let good = fs::read(&pack).unwrap();
    let mut bytes = good.clone();
    bytes[40] ^= 1;
    write(&pack, &bytes);
    let repair = format!("restic -r {} -p ", bench.path("repository").display());
    ship(&bench, &["verify"]).with(4).reports("is damaged");
    bench.make("piprio_20260423T020000Z", "SELECT 3;");
    for arguments in [&["--newest"][..], &["--all"]] {
        let refused = ship(&bench, arguments).with(4).reports("was not copied to SHIP_3");
        // A repository that is intact by now needs none of the commands.
        let (first, then) = refused.err.split_once("; if it is damaged, repair it: ").unwrap();
        assert!(first.contains("ship.sh verify, without --sample, "), "{first}");
        assert!(!first.contains(&repair) && then.contains(&repair), "{}", refused.err);
    }
    let listed = ship(&bench, &["list", "--json"]).with(0).json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|copy| copy["problem"].as_str().unwrap().contains("damaged")));
    ship(&bench, &["prune", "--keep-days", "1"]).with(0);
    // A sample proves nothing.
    write(&pack, &good);
    ship(&bench, &["verify", "--sample", "1"]).with(0);
    ship(&bench, &["--newest"]).with(4);
    ship(&bench, &["verify"]).with(0);
    assert!(!record(&bench).contains("damaged"), "{}", record(&bench));
    ship(&bench, &["--newest"]).with(0).reports("copied");
    assert_eq!(ship(&bench, &["list", "--json"]).with(0).json().as_array().unwrap().len(), 3);

    // As it is repaired by the commands that are printed, also on a host that has no record.
    fs::remove_file(bench.path("deploy/.restore/ship/shipped.json")).unwrap();
    write(&pack, &bytes);
    ship(&bench, &["verify"]).with(4).reports(&repair);
    ship(&bench, &["--newest"]).with(4);
    fs::remove_file(&pack).unwrap();
    let is_recent = end(&mut restic(&bench, &["repair", "packs", "--help"])).code == Some(0);
    let index = if is_recent { &["repair", "index"][..] } else { &["rebuild-index"] };
    end(&mut restic(&bench, index)).with(0);
    ship(&bench, &["verify"]).with(4);
    let ids = fs::read_dir(bench.path("repository/snapshots")).unwrap();
    let ids: Vec<_> = ids.map(|id| id.unwrap().file_name().into_string().unwrap()).collect();
    for id in ids {
        end(&mut restic(&bench, &["forget", &id])).with(0);
    }
    ship(&bench, &["verify"]).with(0);
    ship(&bench, &["--all"]).with(0);
    ship(&bench, &["verify"]).with(0);
    fetch(&bench, &format!("SHIP_3:{NAME}")).with(0);
    bench.sh(&format!("diff -r 'backups/{NAME}' 'restored/{NAME}'"));
}

#[test]
fn the_repair_that_is_named_is_that_of_the_version_of_restic() {
    let Some(bench) = stand() else { return };
    ship(&bench, &["--newest"]).with(0);
    let places = ["repository", "password"].map(|name| bench.path(name).display().to_string());
    let shown = format!("restic -r {} -p {}", places[0], places[1]);
    for (version, variable) in [("0.16.4", "RESTIC_FEATURES=repair-packs-v1 "), ("0.17.3", "")] {
        let prints = format!("echo 'restic {version} compiled with go1.22'; exit 0");
        let script =
            format!("case $verb in check) exit 1;; repair) exit 0;; version) {prints};; esac");
        let repair = format!("repair index, and {variable}{shown} repair packs ID");
        wrapped(&bench, &script, &["verify"]).with(4).reports(&repair);
    }
}

#[test]
fn a_repository_that_is_in_use_is_not_damaged() {
    let Some(bench) = stand() else { return };
    ship(&bench, &["--newest"]).with(0);
    let before = record(&bench);
    let mut command = restic(&bench, &["backup", "--stdin", "--quiet"]);
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while fs::read_dir(bench.path("repository/locks")).unwrap().count() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it has taken no lock");
        std::thread::sleep(Duration::from_millis(50));
    }
    for arguments in [&["verify"][..], &["verify", "--sample", "5"]] {
        ship(&bench, arguments).with(3).reports("another program uses the repository");
    }
    assert_eq!(record(&bench), before);
    running.stdin.take().unwrap().write_all(b"x").unwrap();
    assert!(running.wait().unwrap().success());
    ship(&bench, &["verify"]).with(0);
    // As versions from 0.17 on report it.
    let ended = wrapped(&bench, "case $verb in check) exit 11;; esac", &["verify"]);
    ended.with(3).reports("another program uses the repository");
    assert_eq!(record(&bench), before);
}

#[test]
fn a_seal_that_cannot_be_read_is_no_damage() {
    let Some(bench) = stand() else { return };
    ship(&bench, &["--newest"]).with(0);
    let before = record(&bench);
    let ended = wrapped(&bench, "case $verb in dump) exit 1;; esac", &["verify", "--json"]);
    let report = ended.with(3).reports("its seal cannot be read").json();
    assert_eq!(report["failed"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(record(&bench), before);
    let other = "case $verb in dump) echo another; exit 0;; esac";
    wrapped(&bench, other, &["verify"]).with(4).reports("another seal");
    ship(&bench, &["--newest"]).with(4);
    ship(&bench, &["verify"]).with(0);
    ship(&bench, &["--newest"]).with(0).reports("already");
}

#[test]
fn a_snapshot_that_has_lost_its_seal_is_damaged() {
    let Some(bench) = stand() else { return };
    ship(&bench, &["--newest"]).with(0);
    // As `restic repair snapshots --forget` leaves it: the same tags, and an empty directory.
    let listed = end(&mut restic(&bench, &["snapshots", "--json"])).with(0).json();
    let tags: Vec<_> =
        listed[0]["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    let (tags, time) = (tags.join(","), "2026-04-21 02:00:00");
    fs::create_dir_all(bench.path("emptied").join(NAME)).unwrap();
    let mut command = restic(&bench, &["backup", "--tag", &tags, "--time", time, NAME]);
    end(command.current_dir(bench.path("emptied"))).with(0);
    end(&mut restic(&bench, &["forget", listed[0]["id"].as_str().unwrap()])).with(0);
    // Without a listing it is not known.
    wrapped(&bench, "case $verb in ls) exit 1;; esac", &["verify"])
        .with(3)
        .reports("its seal cannot be read");
    let report = ship(&bench, &["verify", "--json"]).with(4).json();
    assert_eq!(report["copies"][0]["problem"], "it has no SHA256SUMS", "{report}");
    let listed = ship(&bench, &["list", "--json"]).with(0).json();
    assert!(listed[0]["problem"].as_str().unwrap().contains("damaged"), "{listed}");
    ship(&bench, &["--newest"]).with(4);
}

#[test]
fn of_two_deployments_in_one_repository_each_restores_its_own_bundle() {
    let Some(bench) = stand() else { return };
    let state = bench.path("deploy/.restore/ship/shipped.json");
    let as_domain = |domain: &str, arguments: &[&str]| {
        let _ = fs::remove_dir_all(bench.path("restored"));
        end(ship_command(&bench, arguments).env("PIPRIO_DOMAIN", domain))
    };
    ship(&bench, &["--newest"]).with(0);
    let own_record = fs::read(&state).unwrap();
    fs::remove_file(&state).unwrap();
    fs::rename(bench.bundle(), bench.path("own")).unwrap();
    bench.make_of("other.example", NAME, "SELECT 'another';");
    as_domain("other.example", &["--newest"]).with(0).reports("copied");
    fs::remove_file(&state).unwrap();
    let copy = format!("SHIP_3:{NAME}");
    let into = bench.path("restored").display().to_string();
    let arguments = ["fetch", &copy, "--into", &into];
    as_domain("docs.example.org", &arguments).with(0);
    bench.sh(&format!("diff -r own 'restored/{NAME}'"));
    as_domain("other.example", &arguments).with(0);
    bench.sh(&format!("diff -r 'backups/{NAME}' 'restored/{NAME}'"));
    for domain in ["", "third.example"] {
        let refused = as_domain(domain, &arguments).with(5).reports("several snapshots");
        refused.reports(" of docs.example.org").reports(" of other.example");
        assert!(!bench.path("restored").exists());
    }
    // What this host has recorded decides.
    fs::write(&state, own_record).unwrap();
    as_domain("", &arguments).with(0);
    bench.sh(&format!("diff -r own 'restored/{NAME}'"));
    let ids =
        end(&mut restic(&bench, &["snapshots", "--json", "--tag", "domain=docs.example.org"]));
    for one in ids.with(0).json().as_array().unwrap() {
        end(&mut restic(&bench, &["forget", one["id"].as_str().unwrap()])).with(0);
    }
    as_domain("docs.example.org", &arguments).with(4).reports("it was replaced");
}
