//! Copies that are not what was written: found by `verify`, and by whoever fetches them.

use crate::kit::{Bench, NAME, end};
use std::fs;
use std::path::PathBuf;
use test_kit::tool;

const OTHER: &str = "piprio_20260422T020000Z";

fn two() -> Bench {
    let bench = Bench::new();
    bench.make(OTHER, "SELECT 2;");
    bench.ship(&["--all"]).with(0);
    bench
}

#[test]
fn a_hundred_damaged_cut_replaced_and_swapped_copies_are_all_found() {
    let bench = two();
    let place = |name: &str| -> PathBuf { bench.path("copies").join(name) };
    let names: Vec<String> = bench.copies();
    assert_eq!(names.len(), 4);
    let good: Vec<Vec<u8>> = names.iter().map(|name| fs::read(place(name)).unwrap()).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let verify = |arguments: &[&str]| {
        let mut command = bench.ship_command(arguments);
        end(command.env_remove("SHIP_1"))
    };
    verify(&["verify"]).with(0);
    for number in 0..100 {
        let which = random.usize(..4);
        let mut bytes = good[which].clone();
        match number % 4 {
            0 => bytes[random.usize(..good[which].len())] ^= 1 << random.u8(..8),
            1 => bytes.truncate(random.usize(..good[which].len())),
            // Of the other bundle: the sealed file, the description, or both.
            2 => bytes = good[(which + 2) % 4].clone(),
            _ => bytes = vec![random.u8(..); bytes.len()],
        }
        fs::write(place(&names[which]), &bytes).unwrap();
        if number % 8 == 2 {
            let pair = which ^ 1;
            fs::write(place(&names[pair]), &good[(pair + 2) % 4]).unwrap();
        }
        let ended = verify(&["verify"]);
        assert_eq!(ended.code, Some(4), "try {number}, {}: {}", names[which], ended.err);
        restore_or_refuse(&bench, &names[which], number);
        for (name, bytes) in names.iter().zip(&good) {
            fs::write(place(name), bytes).unwrap();
        }
    }
    verify(&["verify"]).with(0);
}

/// A sealed file that is not as it was is refused. If only its description is damaged, its own encryption proves it.
fn restore_or_refuse(bench: &Bench, changed: &str, number: usize) {
    let bundle = changed.split('.').next().unwrap();
    let into = bench.path(&format!("try-{number}"));
    let program = tool("bundle-manifest").display().to_string();
    let mut command = bench.ship_command(&[
        "fetch",
        &format!("SHIP_2:{bundle}"),
        "--",
        &program,
        "unpack",
        "-",
        into.to_str().unwrap(),
        "-i",
        "key",
    ]);
    let ended = end(command.env_remove("SHIP_1"));
    match ended.code {
        Some(0) if changed.ends_with(".json") => {
            bench.sh(&format!("diff -r 'backups/{bundle}' '{}/{bundle}'", into.display()));
        }
        code => assert_eq!(code, Some(4), "try {number}, {changed}: {}", ended.err),
    }
}

#[test]
fn a_sample_finds_a_size_at_once_and_a_part_when_it_is_read() {
    let bench = Bench::new();
    bench.make_large(OTHER);
    bench.ship(&["--newest"]).with(0);
    let path = bench.path(&format!("copies/{OTHER}.tar.age"));
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    bench.ship(&["verify", "--sample", "100"]).with(4).reports("its SHA-256 is");
    bytes.pop();
    fs::write(&path, &bytes).unwrap();
    bench.ship(&["verify", "--sample", "1"]).with(4).reports("bytes, not");
    fs::remove_file(&path).unwrap();
    bench.ship(&["verify", "--sample", "1"]).with(4).reports("the sealed file is missing");
    // A damaged copy is not there: it is made again.
    bench.ship(&["--newest"]).with(0).reports("copied");
    bench.ship(&["verify"]).with(0);
}

#[test]
fn objects_are_verified_as_files_are() {
    let bench = two();
    let name = format!("{NAME}.tar.age");
    let mut bytes = bench.object(&name);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    bench.put_object(&name, &bytes);
    bench.ship(&["verify"]).with(4).reports("SHIP_1").reports("its SHA-256 is");
    let report = bench.ship(&["verify", "--sample", "50", "--json"]).with(4).json();
    let damaged: Vec<_> =
        report["copies"].as_array().unwrap().iter().filter(|c| !c["problem"].is_null()).collect();
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0]["file"], name);
}

#[test]
fn a_copy_that_is_fetched_is_checked_against_its_description() {
    let bench = two();
    let name = format!("{NAME}.tar.age");
    let url = format!("s3://offsite/host1/{name}");
    let fetch = |arguments: &[&str]| bench.ship(&[&["fetch"], arguments].concat());
    let good = bench.object(&name);
    assert!(fetch(&[&url]).with(0).reports("with the settings of SHIP_1").out == good);
    let unpack = |into: &str| {
        let program = tool("bundle-manifest").display().to_string();
        fetch(&[&url, "--", &program, "unpack", "-", into, "-i", "key"])
    };
    unpack("opened").with(0);
    assert!(bench.path("opened").join(NAME).is_dir());

    let mut other = good.clone();
    other[good.len() / 2] ^= 1;
    for bytes in [&other[..], &good[..good.len() - 1], &bench.object(&format!("{OTHER}.tar.age"))] {
        bench.put_object(&name, bytes);
        fetch(&[&url]).with(4);
        unpack("refused").with(4);
        assert!(!bench.path("refused").join(NAME).exists());
    }
    // The description of another copy.
    bench.put_object(&name, &good);
    let json = format!("{name}.json");
    let described = bench.object(&json);
    bench.put_object(&json, &bench.object(&format!("{OTHER}.tar.age.json")));
    fetch(&[&url]).with(4).reports("is that of");
    // Without one, the copy may be the last: its encryption still proves it.
    bench.put_object(&json, &described[1..]);
    fetch(&[&url]).with(0).reports("only its own encryption is checked");
    fetch(&["s3://offsite/host1/piprio_20260101T000000Z.tar.age"]).with(1);
    fetch(&["s3://offsite/other"]).with(2);
}
