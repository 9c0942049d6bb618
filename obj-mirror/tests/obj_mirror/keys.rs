//! Keys of every kind.

use crate::kit::{BUCKET, Bench, files, index};
use std::os::unix::fs::symlink;

const KEYS: [&str; 42] = [
    "a",
    "a/b",
    "a/b/c",
    "/",
    "/leading",
    "//x",
    "x//",
    "x//y",
    "trailing/",
    " blank ",
    "sp ace+%2F?&=#",
    "%2e%2e/x",
    "%",
    "...",
    "..x/y..",
    "~tilde",
    "-dash",
    "e<&>\"'",
    "b\\s",
    "ü/漢字🙂",
    "u\u{308}",
    "\u{1}control",
    "new\nline",
    "carriage\rreturn",
    "tab\t",
    "\u{7f}",
    ".obj-mirror/index.jsonl",
    ".obj-mirror",
    ".hidden/.x",
    "!*'();:@,[]{}|^`$",
    "..",
    ".",
    "../x",
    "a/../b",
    "../../outside",
    "x/./y",
    "./z",
    "w/..",
    "/../up",
    "%2e%2e%2fx",
    "\u{fffe}",
    "\u{feff}bom",
];

#[test]
fn every_key_goes_there_and_back() {
    let bench = Bench::new();
    let long = format!("{}/x", "l".repeat(300));
    let full = "k/".repeat(500) + "end";
    for key in KEYS.into_iter().chain([long.as_str(), &full]) {
        let kind = [("content-type", "text/x-key")];
        bench.s3.put(key, &kind, format!("under {key}").as_bytes()).unwrap();
    }
    let before = bench.state(BUCKET);
    assert_eq!(before.len(), KEYS.len() + 2);
    bench.pull();
    bench.run(&["verify", "minio"]).with(0);
    for entry in index(&bench.path("minio")) {
        let (key, path) = (entry["key"].as_str().unwrap(), entry["path"].as_str().unwrap());
        let content = std::fs::read(bench.path("minio").join(path)).unwrap();
        assert_eq!(content, format!("under {key}").as_bytes());
        let natural = ["a/b/c", " blank ", "ü/漢字🙂", "...", "b\\s", "%2e%2e/x", "%"];
        assert!(!natural.contains(&key) || path == key, "{key}: {path}");
    }
    assert_eq!(std::fs::read_dir(bench.dir.path()).unwrap().count(), 1, "nothing lies outside");
    // Of files and directories of one name, the directory wins.
    assert!(bench.path("minio/a/b").is_dir());

    bench.s3.client().create_bucket("copy").unwrap();
    bench.run(&["--delete", "minio", "s3://copy"]).with(0);
    assert_eq!(bench.state("copy"), before);

    // Deleting names every key as it is, too.
    bench.s3.client().create_bucket("none").unwrap();
    bench.run(&["s3://none", "nothing"]).with(0);
    bench.run(&["--delete", "nothing", "s3://copy"]).with(0);
    assert!(bench.state("copy").is_empty());
}

#[test]
fn nothing_is_written_or_read_through_a_link_left_in_the_mirror() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("outside")).unwrap();
    std::fs::create_dir(bench.path("minio")).unwrap();
    symlink(bench.path("outside"), bench.path("minio/dir")).unwrap();
    symlink(bench.path("outside/file"), bench.path("minio/file")).unwrap();
    std::fs::write(bench.path("outside/file"), "untouched").unwrap();
    bench.s3.put("dir/evil", &[], b"evil").unwrap();
    bench.s3.put("file", &[], b"evil").unwrap();
    bench.pull();
    assert_eq!(files(&bench.path("outside")), ["file"]);
    assert_eq!(std::fs::read(bench.path("outside/file")).unwrap(), b"untouched");
    assert_eq!(std::fs::read(bench.path("minio/file")).unwrap(), b"evil");

    // A file of the mirror exchanged for a link is not sent as if it were the object.
    std::fs::remove_file(bench.path("minio/file")).unwrap();
    symlink(bench.path("outside/file"), bench.path("minio/file")).unwrap();
    bench.run(&["minio", "s3://documents"]).with(3).reports("failed: file: ");
    bench.run(&["verify", "minio"]).with(4).reports("file: ");
    assert_eq!(bench.s3.client().get((BUCKET, "file")).unwrap().body, b"evil");
}

#[test]
fn an_index_that_points_outside_sends_nothing() {
    let bench = Bench::new();
    std::fs::write(bench.path("secret"), "x").unwrap();
    bench.s3.put("a", &[], b"x").unwrap();
    bench.pull();
    let path = bench.path("minio/.obj-mirror/index.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(r#""path":"a""#, r#""path":"../secret""#)).unwrap();
    bench.s3.client().delete((BUCKET, "a")).unwrap();
    bench.run(&["minio", "s3://documents"]).with(4);
    assert!(bench.keys().is_empty());
    bench.run(&["verify", "minio"]).with(4).reports("cannot be read");
}

#[test]
fn metadata_outside_ascii_comes_back_as_the_server_sends_it() {
    let bench = Bench::new();
    bench.s3.put("a", &[("x-amz-meta-who", "Jürgen")], b"x").unwrap();
    bench.s3.put("b", &[("x-amz-meta-two", "one  two")], b"x").unwrap();
    let before = bench.state(BUCKET);
    bench.pull();
    bench.s3.client().create_bucket("copy").unwrap();
    bench.run(&["minio", "s3://copy"]).with(0);
    assert_eq!(bench.state("copy"), before);
}

#[test]
fn a_value_that_cannot_be_sent_back_unchanged_is_named_and_costs_no_bytes() {
    let bench = Bench::new();
    bench.s3.put("a", &[("x-amz-meta-who", "Juergen")], b"x").unwrap();
    bench.s3.put("b", &[], b"x").unwrap();
    bench.pull();
    // No server can send this: HTTP allows no line feed in a value.
    let path = bench.path("minio/.obj-mirror/index.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("Juergen", "J\\nrgen")).unwrap();
    // Where the object still is, there is nothing to send.
    bench.run(&["minio", "s3://documents"]).with(0);
    bench.s3.client().create_bucket("copy").unwrap();
    bench.s3.client().put(("copy", "extra"), &[], b"").unwrap();
    let ended = bench.run(&["--delete", "minio", "s3://copy"]).with(3);
    ended
        .reports("failed: a: in place, but without x-amz-meta-who, which cannot be sent unchanged");
    assert_eq!(bench.s3.client().list("copy", "").unwrap(), ["a", "b", "extra"]);
}
