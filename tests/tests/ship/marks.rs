//! What a check has found damaged stays known as that until a new copy is complete.

use crate::copies::{OTHER, two};
use crate::kit::{Bench, Ended, NAME, end};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use test_kit::s3::faults::{Act, Fault, clear};
use test_kit::s3::keys::UPLOAD_ONLY;

const FOUND: &str = "a check has found it damaged";

/// `ship-run` with the directory alone.
fn alone(bench: &Bench, arguments: &[&str]) -> Ended {
    end(bench.ship_command(arguments).env_remove("SHIP_1"))
}

fn record(bench: &Bench) -> PathBuf {
    bench.path("deploy/.restore/ship/shipped.json")
}

/// Changes a byte of a copy in the directory. Its size stays as it is.
fn spoil(bench: &Bench, bundle: &str) {
    let path = bench.path(&format!("copies/{bundle}.tar.age"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
}

/// The problems of the copies in the directory, the newest first.
fn problems(bench: &Bench) -> Vec<String> {
    let listed = alone(bench, &["list", "--json"]).with(0).json();
    let problem =
        |copy: &serde_json::Value| copy["problem"].as_str().unwrap_or_default().to_owned();
    listed.as_array().unwrap().iter().map(problem).collect()
}

#[test]
fn damage_counts_on_a_host_that_has_no_record_of_the_copy() {
    let bench = two();
    spoil(&bench, OTHER);
    fs::remove_file(record(&bench)).unwrap();
    alone(&bench, &["verify"]).with(4).reports(OTHER);
    let found = problems(&bench);
    assert!(found[0].starts_with(FOUND) && found[1].is_empty(), "{found:?}");
    // The good one is the newest that counts.
    let report =
        alone(&bench, &["prune", "--keep-days", "1", "--dry-run", "--json"]).with(0).json();
    let removed: Vec<_> =
        report.as_array().unwrap().iter().filter(|o| o["outcome"] == "to remove").collect();
    assert_eq!(removed.len(), 1, "{report}");
    assert_eq!(removed[0]["file"], format!("{OTHER}.tar.age"));
    // Where the bundle is, it is copied again, and nothing is taken for replaced.
    alone(&bench, &["--newest"]).with(0).reports("it is copied again");
    alone(&bench, &["verify"]).with(0);
    assert!(problems(&bench).iter().all(String::is_empty));
}

#[test]
fn a_copy_that_another_host_has_made_again_is_not_taken_for_replaced() {
    let bench = two();
    let own = fs::read(record(&bench)).unwrap();
    spoil(&bench, OTHER);
    fs::remove_file(record(&bench)).unwrap();
    alone(&bench, &["verify"]).with(4);
    let checked = fs::read(record(&bench)).unwrap();
    fs::write(record(&bench), own).unwrap();
    alone(&bench, &["verify"]).with(4);
    alone(&bench, &["--newest"]).with(0).reports("it is copied again");
    fs::write(record(&bench), checked).unwrap();
    assert!(problems(&bench)[0].starts_with(FOUND));
    alone(&bench, &["verify"]).with(0);
    assert!(problems(&bench)[0].is_empty());
}

#[test]
fn what_is_found_while_another_run_changes_copies_is_recorded_after_it() {
    let bench = two();
    let lock = fs::File::open(bench.path("deploy/.restore/ship/lock")).unwrap();
    lock.lock().unwrap();
    // There is nothing to record.
    alone(&bench, &["verify"]).with(0);
    spoil(&bench, OTHER);
    let mut command = bench.ship_command(&["verify"]);
    command.env_remove("SHIP_1").stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(running.try_wait().unwrap().is_none(), "it has not waited");
    lock.unlock().unwrap();
    let out = running.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(4) && err.contains("waiting for another run"), "{err}");
    assert!(problems(&bench)[0].starts_with(FOUND));
}

#[test]
fn a_check_in_a_hook_of_a_shipment_does_not_wait_for_that_shipment() {
    let bench = two();
    spoil(&bench, OTHER);
    bench.make("piprio_20260423T020000Z", "SELECT 3;");
    let hook = "ship-run verify 2> found; echo $? >> found";
    bench.sh(&format!(
        "umask 022; mkdir -p deploy/hooks/after-ship.d; cd deploy/hooks/after-ship.d
         printf '#!/bin/sh\\n%s\\n' '{hook}' > verify; chmod 755 verify"
    ));
    let mut command = bench.ship_command(&["--newest"]);
    end(command.env_remove("SHIP_1").env("HOOK_TIMEOUT_SECONDS", "20")).with(0);
    let found = fs::read_to_string(bench.path("deploy/found")).unwrap();
    assert!(found.contains("what was found is not recorded"), "{found}");
    assert!(found.ends_with("\n4\n") && !found.contains("waiting for"), "{found}");
    // Nor is anything of it recorded.
    assert!(problems(&bench).iter().all(String::is_empty));
    alone(&bench, &["verify"]).with(4);
    assert!(problems(&bench)[1].starts_with(FOUND));
}

#[test]
fn a_copy_that_is_not_made_again_stays_damaged() {
    let bench = two();
    spoil(&bench, OTHER);
    alone(&bench, &["verify"]).with(4);
    let in_the_way = bench.path(&format!("copies/.{OTHER}.tar.age.partial"));
    fs::create_dir(&in_the_way).unwrap();
    for _ in 0..2 {
        bench.ship(&["--newest"]).with(3).reports("is in the way");
        assert!(problems(&bench)[0].starts_with(FOUND));
    }
    fs::remove_dir(&in_the_way).unwrap();
    bench.ship(&["--newest"]).with(0).reports("it is copied again");
    assert!(problems(&bench)[0].is_empty());
    alone(&bench, &["verify"]).with(0);
    // So does one that was replaced.
    let copy = |bundle: &str, suffix: &str| bench.path(&format!("copies/{bundle}.tar.age{suffix}"));
    let own = fs::read(record(&bench)).unwrap();
    let good = ["", ".json"].map(|suffix| fs::read(copy(OTHER, suffix)).unwrap());
    fs::remove_file(record(&bench)).unwrap();
    spoil(&bench, OTHER);
    alone(&bench, &["verify"]).with(4);
    alone(&bench, &["--newest"]).with(0);
    fs::write(record(&bench), own).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    for _ in 0..2 {
        bench.ship(&["--newest"]).with(3).reports("it was replaced");
    }
    for (suffix, bytes) in ["", ".json"].iter().zip(good) {
        fs::write(copy(OTHER, suffix), bytes).unwrap();
    }
    alone(&bench, &["verify"]).with(0);
}

#[test]
fn the_description_of_a_damaged_copy_is_not_that_of_the_new_one() {
    let bench = two();
    spoil(&bench, OTHER);
    alone(&bench, &["verify"]).with(4);
    let in_the_way = bench.path(&format!("copies/.{OTHER}.tar.age.json.partial"));
    fs::create_dir(&in_the_way).unwrap();
    bench.ship(&["--newest"]).with(3).reports("is in the way");
    assert!(problems(&bench)[0].contains("has no description"), "{:?}", problems(&bench));
    let fetched = alone(&bench, &["fetch", &format!("SHIP_2:{OTHER}")]).with(0);
    fs::write(bench.path("fetched.tar.age"), &fetched.out).unwrap();
    bench.opens_as(&bench.path("fetched.tar.age"), &bench.path("backups").join(OTHER));
    fs::remove_dir(in_the_way).unwrap();
    bench.ship(&["--newest"]).with(0).reports("copied");
    alone(&bench, &["verify"]).with(0);
}

#[test]
fn keys_that_can_only_upload_replace_the_description_of_a_damaged_copy_too() {
    let bench = Bench::new();
    let only = |arguments: &[&str]| {
        let mut command = bench.ship_command(arguments);
        end(command.env_remove("SHIP_2").env("SHIP_1_ACCESS_KEY", UPLOAD_ONLY))
    };
    only(&["--newest"]).with(0);
    let (name, json) = (format!("{NAME}.tar.age"), format!("{NAME}.tar.age.json"));
    let mut bytes = bench.object(&name);
    bytes[100] ^= 1;
    bench.put_object(&name, &bytes);
    bench.ship(&["verify"]).with(4);
    // The empty description and the sealed file are stored, and the description is not.
    bench.s3.fault(&Fault { skip: 2, ..Fault::always("PutObject", Act::Broken) }).unwrap();
    only(&["--newest"]).with(1).reports("writing its description");
    clear(&bench.s3.endpoint()).unwrap();
    assert!(bench.object(&json).is_empty() && bench.object(&name) != bytes);
    let fetched = bench.ship(&["fetch", &format!("SHIP_1:{NAME}")]).with(0);
    fetched.reports("only its own encryption is checked");
    only(&["--newest"]).with(0).reports("copied");
    bench.ship(&["verify"]).with(0);
}
