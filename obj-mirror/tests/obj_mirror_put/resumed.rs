//! Runs that were killed.

use crate::kit::{Bench, Ended, MIB, OBJECT, finish};
use std::io::Write;
use std::time::Duration;
use test_kit::S3;
use test_kit::process::wait_until;
use test_kit::s3::faults::{Act, Fault, clear};

const SIZE: usize = 81 * MIB;

/// Kills a run when the server has this many parts.
fn killed_after(bench: &Bench, parts: u64, args: &[&str]) {
    let slow = Act::Slow(Duration::from_secs(30));
    bench.s3.fault(&Fault { skip: parts, ..Fault::always("UploadPart", slow) }).unwrap();
    let (before, uploads) = (bench.s3.count("UploadPart").unwrap(), bench.unfinished());
    let mut child = bench.start(args);
    let input = child.stdin.take();
    let writing = std::thread::spawn(move || {
        // A pipe that stays open; it is not read if a file is named.
        let written = input.map(|mut input| (input.write_all(&vec![1; 40 * MIB]), input));
        drop(written);
    });
    bench.wait_for("UploadPart", before + parts + 1);
    wait_until("the parts", || Ok(bench.parts_there() >= parts as usize)).unwrap();
    child.kill().unwrap();
    assert_eq!(finish(child).code, None);
    writing.join().unwrap();
    clear(&bench.s3.endpoint()).unwrap();
    assert_eq!(bench.unfinished(), uploads + 1);
}

fn again(bench: &Bench, args: &[&str]) -> (Ended, u64) {
    let bytes = |s3: &S3| s3.stats().unwrap()["bytes_in"].as_u64().unwrap();
    let before = bytes(&bench.s3);
    let ended = bench.run(args).with(0);
    (ended, bytes(&bench.s3) - before)
}

#[test]
fn a_file_continues_where_a_killed_run_stopped() {
    let bench = Bench::new();
    let (path, bytes) = bench.file("a", SIZE);
    let args = ["put", OBJECT, path.to_str().unwrap(), "--json"];
    killed_after(&bench, 6, &args);
    let (ended, sent) = again(&bench, &args);
    let resumed = ended.json()["resumed"].as_u64().unwrap();
    assert!(resumed >= 6 && sent <= (SIZE - 6 * 8 * MIB) as u64, "{resumed}, {sent}");
    assert!(bench.stored() == bytes);
    assert_eq!(bench.unfinished(), 0);
    let got = bench.get(&[]).with(0).reports("match the server's SHA-256");
    assert!(got.out == bytes);
}

#[test]
fn other_content_does_not_take_over_what_a_killed_run_has_sent() {
    let bench = Bench::new();
    let (path, mut bytes) = bench.file("a", SIZE);
    let args = ["put", OBJECT, path.to_str().unwrap(), "--json"];
    killed_after(&bench, 6, &args);
    bytes[0] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (ended, _) = again(&bench, &args);
    assert_eq!(ended.json()["resumed"], 0);
    assert_eq!(ended.reports("--discard-unfinished").code, Some(0));
    assert!(bench.stored() == bytes);
    // Only the parts that differ are sent.
    killed_after(&bench, 6, &args);
    bytes[20 * MIB] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (ended, _) = again(&bench, &args);
    assert!(ended.json()["resumed"].as_u64().unwrap() >= 5, "{}", ended.err);
    assert!(bench.stored() == bytes);
}

#[test]
fn a_stream_begins_again_and_discards_what_is_left_if_asked() {
    let bench = Bench::new();
    killed_after(&bench, 2, &["put", OBJECT]);
    let (_, bytes) = bench.file("a", 17 * MIB);
    bench.pipe(&bytes, &["--discard-unfinished"]).with(0).reports("aborted 1 unfinished upload");
    assert!(bench.stored() == bytes);
    assert_eq!(bench.unfinished(), 0);
}
