//! A shipment that does not end, because a destination does not answer.

use crate::kit::{Bench, NAME, OFFSITE, end};
use std::fs;
use std::time::Duration;
use test_kit::s3::faults::{Act, Fault, clear};

/// Long enough for everything that does not hang.
const LIMIT: &str = "0.004";
const SHOWN: &str = "not ended within 0.004 h (SHIP_TIMEOUT_HOURS)";

/// What the record of the run has as the status of each destination, and of the run.
fn recorded(bench: &Bench) -> (Vec<Option<u64>>, Option<u64>) {
    let text = fs::read(bench.path("deploy/.restore/last-ship.json")).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let destinations = run["destinations"].as_array().unwrap();
    (destinations.iter().map(|one| one["status"].as_u64()).collect(), run["status"].as_u64())
}

/// Nothing half done is left, and the next run, where nothing hangs, makes what is missing.
fn next_run_completes(bench: &Bench, copies: usize, objects: usize) {
    assert_eq!((bench.copies().len(), bench.objects().len()), (copies, objects));
    let request = bench.s3.client().request("GET", (OFFSITE, ""), &[("uploads", "")], &[], b"");
    assert!(!request.unwrap().text().contains("<UploadId>"));
    bench.ship(&["--newest"]).with(0);
    bench.ship(&["verify"]).with(0);
    assert_eq!((bench.copies().len(), bench.objects().len()), (2, 2));
    assert_eq!(recorded(bench), (vec![Some(0), Some(0)], Some(0)));
}

#[test]
fn a_destination_that_hangs_ends_the_shipment_after_its_limit_and_is_named() {
    let bench = Bench::new();
    bench.s3.fault(&Fault::always("PutObject", Act::Slow(Duration::from_secs(3600)))).unwrap();
    let mut command = bench.ship_command(&["--newest", "--json"]);
    let ended = end(command.env("SHIP_TIMEOUT_HOURS", LIMIT)).with(3);
    let last = ended.err.lines().last().unwrap();
    assert!(last.contains(SHOWN) && last.contains("not complete: SHIP_1 (s3://"), "{last}");
    assert!(!last.contains("SHIP_2"), "{last}");
    let outcomes = ended.json();
    let outcome = |at: usize| (&outcomes[at]["destination"], &outcomes[at]["outcome"]);
    assert!(outcome(0).0.as_str().unwrap().starts_with("SHIP_2") && outcome(0).1 == "sent");
    assert!(outcome(1).0.as_str().unwrap().starts_with("SHIP_1") && outcome(1).1 == "failed");
    ended.reports(&format!("{NAME} was not copied to SHIP_1"));
    assert_eq!(recorded(&bench), (vec![Some(1), Some(0)], Some(3)));
    let record = fs::read_to_string(bench.path("deploy/.restore/ship/shipped.json")).unwrap();
    assert!(record.contains("/copies") && !record.contains(OFFSITE), "{record}");
    clear(&bench.s3.endpoint()).unwrap();
    next_run_completes(&bench, 2, 0);
}

#[test]
fn a_program_that_hangs_is_ended_with_the_shipment() {
    let bench = Bench::new();
    fs::create_dir(bench.path("hangs")).unwrap();
    let mark = format!("hanging-restic-{}", std::process::id());
    let script = format!("#!/bin/bash\nexec -a {mark} sleep 100000\n");
    fs::write(bench.path("hangs/restic"), script).unwrap();
    bench.sh("chmod 755 hangs/restic");
    let mut path = bench.path("hangs").into_os_string();
    path.push(":");
    path.push(test_kit::tool_path());
    let limited = |limit: &str, others: &str| {
        let mut command = bench.ship_command(&["--newest"]);
        command.env("PATH", &path).env("SHIP_TIMEOUT_HOURS", limit);
        command.env("SHIP_3", "restic:/nonexistent").env("SHIP_3_PASSWORD_FILE", "/nonexistent");
        for name in others.split_whitespace() {
            command.env_remove(name);
        }
        end(&mut command)
    };
    let alone = limited("0.001", "SHIP_1 SHIP_2").with(1);
    alone.reports(&format!("{NAME} was not copied to SHIP_3 (restic:/nonexistent): not ended"));
    assert!(bench.copies().is_empty() && bench.objects().is_empty());
    // The others do not wait for it.
    let ended = limited(LIMIT, "").with(3).reports("not complete: SHIP_3 (restic");
    assert!(!ended.err.contains("was not copied to SHIP_1"), "{}", ended.err);
    assert!(!ended.err.contains("; 0 s of that were spent waiting for it"), "{}", ended.err);
    // One that has failed before is named too.
    let missing = bench.path("missing").display().to_string();
    let mut command = bench.ship_command(&["--newest"]);
    command.env("PATH", &path).env("SHIP_TIMEOUT_HOURS", LIMIT).env("SHIP_2", &missing);
    command.env("SHIP_3", "restic:/nonexistent").env("SHIP_3_PASSWORD_FILE", "/nonexistent");
    let ended = end(&mut command).with(3);
    let last = ended.err.lines().last().unwrap();
    assert!(last.contains(&format!("not complete: SHIP_2 ({missing}), SHIP_3 (")), "{last}");
    // The pattern is not in the command line of the search.
    let running = format!("grep -lsa '[h]{}' /proc/[0-9]*/cmdline || true", &mark[1..]);
    assert_eq!(bench.sh(&running), "");
    next_run_completes(&bench, 2, 2);
}

#[test]
fn a_limit_that_is_no_number_is_wrong_usage() {
    let bench = Bench::new();
    let mut command = bench.ship_command(&["--newest"]);
    end(command.env("SHIP_TIMEOUT_HOURS", "soon")).with(2).reports("SHIP_TIMEOUT_HOURS must be");
    assert!(bench.copies().is_empty() && bench.objects().is_empty());
}
