//! Copies that are not what was written: found by `verify`, and by whoever fetches them.

use crate::kit::{Bench, NAME, end};
use std::fs;
use test_kit::tool;

pub const OTHER: &str = "piprio_20260422T020000Z";

/// Two bundles, copied.
pub fn two() -> Bench {
    let bench = Bench::new();
    bench.make(OTHER, "SELECT 2;");
    bench.ship(&["--all"]).with(0);
    bench
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

#[test]
fn a_copy_for_other_recipients_and_one_of_a_bundle_that_has_shrunk_are_named() {
    let bench = Bench::new();
    bench.ship(&["--newest"]).with(0);
    bench.sh("age-keygen -o new.key 2>/dev/null && age-keygen -y new.key > key.pub");
    bench.make(OTHER, "SELECT 2;");
    fs::write(bench.path(&format!("backups/.{OTHER}.shrunk")), "has no rows\n").unwrap();
    bench.ship(&["--all"]).with(0).reports(&format!("has {NAME} already"));
    let listed = bench.ship(&["list", "--json"]).with(0).json();
    let marks: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|copy| {
            let is_other = copy["file"].as_str().unwrap().starts_with(OTHER);
            assert_eq!(copy["shrunk"], is_other, "{copy}");
            assert_eq!(copy["other_recipients"], !is_other, "{copy}");
            is_other
        })
        .collect();
    assert_eq!(marks, [true, false, true, false]);
    let shown = String::from_utf8(bench.ship(&["list"]).with(0).out).unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].ends_with("complete; made while a bundle held far less than the one before it"),
        "{shown}"
    );
    let others = "encrypted for other recipients than those of SHIP_RECIPIENTS";
    assert!(lines[1].ends_with(&format!("complete; {others}")), "{shown}");
    // It can be opened with the key that it was made for, so nothing is wrong with it.
    let verified = bench.ship(&["verify"]).with(0);
    assert_eq!(verified.err.matches(others).count(), 2, "{}", verified.err);
    // Without recipients of its own, a host compares nothing.
    let mut command = bench.ship_command(&["verify"]);
    assert!(!end(command.env_remove("SHIP_RECIPIENTS")).with(0).err.contains(others));
}
