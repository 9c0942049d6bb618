//! A bucket of very many keys: what it takes to list, to plan and to compare it is bounded.

use crate::kit::{Bench, end, peak, tries};
use crate::lister::{Lister, object, page};
use std::fmt::Write;
use std::process::Stdio;

fn key(n: usize) -> String {
    format!("tenant_{:04}/documents/2026/{n:08}-quarterly-report.pdf", n / 1000)
}

/// Lists so many keys, or those of each page from the last to the first.
fn lister(keys: usize, reversed: bool) -> Lister {
    Lister::start(move |from| {
        let to = (from + 1000).min(keys);
        let mut objects = String::new();
        for n in from..to {
            let n = if reversed { from + to - 1 - n } else { n };
            objects += &object(&key(n), n, &format!("{n:032x}"));
        }
        page(&objects, (to < keys).then_some(to))
    })
}

/// A mirror of the first so many of these keys, with an index and no files.
fn index_alone(bench: &Bench, keys: usize) {
    let own = bench.path("minio/.obj-mirror");
    std::fs::create_dir_all(&own).unwrap();
    let (mut index, mut sums) = (String::new(), String::new());
    let sha256 = "0".repeat(64);
    for n in 0..keys {
        let key = key(n);
        writeln!(sums, "{sha256}  {key}").unwrap();
        let etag = format!("{n:032x}");
        let entry = serde_json::json!({
            "key": key, "path": key, "size": n, "etag": etag, "sha256": sha256,
            "last_modified": "2026-04-21T02:00:00.000Z", "content_type": "application/pdf",
        });
        writeln!(index, "{entry}").unwrap();
    }
    std::fs::write(own.join("index.jsonl"), index).unwrap();
    std::fs::write(own.join("SHA256SUMS"), sums).unwrap();
}

#[test]
fn listing_and_planning_take_little_memory_however_many_keys_there_are() {
    let bench = Bench::new();
    let lister = lister(tries(20_000, 200_000), false);
    let mut command = bench.command(&["--dry-run", "s3://documents", "minio"]);
    command.env("AWS_ENDPOINT_URL", lister.endpoint());
    command.stdout(Stdio::null());
    let (peak, ok) = peak(command);
    assert!(ok && peak < 60, "{peak} MiB");
}

#[test]
fn a_push_takes_little_memory_however_many_keys_the_bucket_has() {
    let bench = Bench::new();
    let keys = tries(100_000, 1_000_000);
    let lister = lister(keys, false);
    index_alone(&bench, 0);
    let mut command = bench.command(&["--quiet", "--delete", "minio", "s3://documents"]);
    command.env("AWS_ENDPOINT_URL", lister.endpoint());
    let (peak, ok) = peak(command);
    assert!(ok && peak < 60, "{peak} MiB");
    let changes = lister.changes();
    assert_eq!(changes.len(), keys);
    assert_eq!(changes[keys - 1], format!("DELETE {}", key(keys - 1)));
}

#[test]
fn a_push_takes_little_memory_however_many_objects_the_mirror_has() {
    let bench = Bench::new();
    let keys = tries(20_000, 1_000_000);
    index_alone(&bench, keys);
    for n in 0..keys {
        let path = bench.path("minio").join(key(n));
        if n % 1000 == 0 {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        std::fs::File::create(&path).unwrap().set_len(n as u64).unwrap();
    }
    // All are unchanged but the last, which the bucket does not have.
    let lister = lister(keys - 1, false);
    let mut command = bench.command(&["--dry-run", "minio", "s3://documents"]);
    command.env("AWS_ENDPOINT_URL", lister.endpoint());
    let planned = end(&mut command).with(0).out;
    assert_eq!(planned, format!("upload {}\n", key(keys - 1)));
    command.stdout(Stdio::null());
    let (peak, ok) = peak(command);
    assert!(ok && peak < 40, "{peak} MiB");
}

#[test]
fn without_a_directory_for_temporary_files_keys_are_held_in_memory() {
    let bench = Bench::new();
    let lister = lister(50_000, true);
    index_alone(&bench, 0);
    let mut command = bench.command(&["--dry-run", "--delete", "minio", "s3://documents"]);
    command.env("AWS_ENDPOINT_URL", lister.endpoint()).env("TMPDIR", bench.path("missing"));
    let planned = end(&mut command).with(0).reports("all keys are held in memory").out;
    let deleted: Vec<_> = planned.lines().collect();
    assert!(deleted.len() == 50_000 && deleted.is_sorted());
}

#[test]
fn a_server_that_does_not_list_its_keys_in_order_is_mirrored_all_the_same() {
    let bench = Bench::new();
    let lister = lister(2500, true);
    let mut command = bench.command(&["--dry-run", "s3://documents", "minio"]);
    command.env("AWS_ENDPOINT_URL", lister.endpoint());
    let printed =
        end(&mut command).with(0).reports("reading and sorting the whole listing first").out;
    let keys: Vec<&str> = printed.lines().collect();
    assert_eq!(keys.len(), 2500);
    assert!(keys.is_sorted(), "{:?}", keys.first());
}
