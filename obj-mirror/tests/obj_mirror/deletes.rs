//! What is deleted, and above all what is not.

use crate::kit::{BUCKET, Bench, Ended, end, files};
use crate::proxy::{Fate, Proxy};
use std::sync::atomic::{AtomicUsize, Ordering};
use test_kit::process::wait_until;

fn with_objects(keys: &[&str]) -> Bench {
    let bench = Bench::new();
    for key in keys {
        bench.s3.put(key, &[], key.as_bytes()).unwrap();
    }
    bench
}

#[test]
fn a_push_with_delete_makes_the_bucket_what_the_mirror_is() {
    let bench = with_objects(&["a", "b", "c/d"]);
    let before = bench.state(BUCKET);
    bench.pull();
    bench.s3.client().delete((BUCKET, "b")).unwrap();
    bench.s3.put("c/d", &[], b"changed").unwrap();
    bench.s3.put("added", &[], b"x").unwrap();
    bench.s3.put("c/d/added", &[], b"x").unwrap();
    bench.run(&["minio", "s3://documents"]).with(0);
    assert_eq!(bench.keys().len(), 5, "without --delete nothing goes");
    let summary = bench.counted(&["minio", "s3://documents", "--delete"]);
    assert_eq!((&summary["deleted"], &summary["transferred"]), (&2.into(), &0.into()));
    assert_eq!(bench.state(BUCKET), before);
}

#[test]
fn a_pull_with_delete_makes_the_mirror_what_the_bucket_is() {
    let bench = with_objects(&["a", "b/c", "b/d"]);
    bench.pull();
    for key in ["b/c", "b/d"] {
        bench.s3.client().delete((BUCKET, key)).unwrap();
    }
    // A key where a directory was, and a file that never was an object.
    bench.s3.put("b", &[], b"now a file").unwrap();
    std::fs::write(bench.path("minio/stray"), "x").unwrap();
    bench.run(&["s3://documents", "minio"]).with(0).reports("--delete removes them");
    assert_eq!(files(&bench.path("minio")), ["a", "b/c", "b/d", "stray"]);
    bench.run(&["--delete", "s3://documents", "minio"]).with(0);
    assert_eq!(files(&bench.path("minio")), ["a"]);
    assert!(!bench.path("minio/b").exists(), "empty directories go too");
    bench.run(&["verify", "minio"]).with(0);
    bench.run(&["minio", "s3://documents"]).with(0);
    assert_eq!(bench.s3.client().get((BUCKET, "b")).unwrap().body, b"now a file");
}

#[test]
fn an_empty_or_missing_source_directory_deletes_nothing() {
    let bench = with_objects(&["a"]);
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.run(&["--delete", "empty", "s3://documents"]).with(5).reports("nothing was changed");
    bench.run(&["--delete", "--dry-run", "empty", "s3://documents"]).with(5);
    bench.run(&["--delete", "mistyped", "s3://documents"]).with(1).reports("does not exist");
    std::fs::write(bench.path("file"), "x").unwrap();
    bench.run(&["--delete", "file", "s3://documents"]).with(1).reports("not a directory");
    assert_eq!(bench.keys(), ["a"]);
}

#[test]
fn an_empty_bucket_does_not_empty_a_mirror() {
    let bench = with_objects(&["a"]);
    bench.pull();
    bench.s3.client().delete((BUCKET, "a")).unwrap();
    bench.run(&["--delete", "s3://documents", "minio"]).with(5);
    bench.run(&["--delete", "s3://no-such-bucket", "minio"]).with(1);
    assert_eq!(files(&bench.path("minio")), ["a"]);
    bench.run(&["verify", "minio"]).with(0);
}

/// Mirrors while `a` is deleted before the first request whose line has this.
fn pull_without_a(bench: &Bench, args: &[&str], before: &'static str) -> Ended {
    let client = bench.s3.client();
    let proxy = Proxy::before(&bench.s3.endpoint(), move |head| {
        if head.lines().next().is_some_and(|line| line.contains(before)) {
            client.delete((BUCKET, "a")).unwrap();
        }
        Fate::Pass
    });
    end(bench.command(args).env("AWS_ENDPOINT_URL", proxy.endpoint()))
}

#[test]
fn the_file_of_an_object_that_is_deleted_after_the_listing_goes_too() {
    let args = ["--delete", "--json", "s3://documents", "minio"];
    let bench = with_objects(&["a", "b"]);
    bench.run(&args).with(0);
    // Another content, so that it is fetched again.
    bench.s3.put("a", &[], b"replaced").unwrap();
    let ended = pull_without_a(&bench, &args, "GET /documents/a ").with(0);
    assert_eq!((&ended.json()["vanished"], &ended.json()["deleted"]), (&1.into(), &1.into()));
    assert_eq!(files(&bench.path("minio")), ["b"]);
    bench.run(&["verify", "minio"]).with(0);

    let bench = with_objects(&["a", "b"]);
    let args = ["--delete", "--tags", "always", "--json", "s3://documents", "minio"];
    bench.run(&args).with(0);
    let ended = pull_without_a(&bench, &args, "GET /documents/a?tagging").with(0);
    assert_eq!((&ended.json()["vanished"], &ended.json()["deleted"]), (&1.into(), &1.into()));
    assert_eq!(files(&bench.path("minio")), ["b"]);
    bench.run(&["verify", "minio"]).with(0);
}

#[test]
fn the_file_of_an_object_that_is_deleted_after_the_listing_stays_without_delete_and_after_a_failure()
 {
    let bench = with_objects(&["a", "b"]);
    bench.pull();
    bench.s3.put("a", &[], b"replaced").unwrap();
    let ended = pull_without_a(&bench, &["s3://documents", "minio"], "GET /documents/a ");
    ended.with(0).reports("1 files in ").reports("--delete removes them");
    assert_eq!(files(&bench.path("minio")), ["a", "b"]);
    bench.run(&["--delete", "s3://documents", "minio"]).with(0);
    assert_eq!(files(&bench.path("minio")), ["b"]);

    let bench = with_objects(&["a", "b"]);
    bench.pull();
    for key in ["a", "b"] {
        bench.s3.put(key, &[], b"replaced").unwrap();
    }
    let client = bench.s3.client();
    let proxy = Proxy::before(&bench.s3.endpoint(), move |head| {
        if head.starts_with("GET /documents/a ") {
            client.delete((BUCKET, "a")).unwrap();
        }
        if head.starts_with("GET /documents/b ") { Fate::Drop } else { Fate::Pass }
    });
    let mut command = bench.command(&["--delete", "s3://documents", "minio"]);
    end(command.env("AWS_ENDPOINT_URL", proxy.endpoint())).with(3);
    assert_eq!(files(&bench.path("minio")), ["a", "b"]);
}

#[test]
fn a_mirror_of_objects_that_are_all_stored_aside_is_not_empty() {
    let aside =
        |bench: &Bench| std::fs::read_dir(bench.path("minio/.obj-mirror/objects")).unwrap().count();
    let bench = with_objects(&["dir/", "other/"]);
    bench.pull();
    assert_eq!(aside(&bench), 2);
    bench.s3.client().delete((BUCKET, "other/")).unwrap();
    bench.run(&["s3://documents", "minio"]).with(0).reports("--delete removes them");
    let summary = bench.counted(&["--delete", "s3://documents", "minio"]);
    assert_eq!((&summary["unchanged"], &summary["deleted"]), (&1.into(), &1.into()));
    assert_eq!(aside(&bench), 1);
    bench.run(&["verify", "minio"]).with(0);
    bench.s3.client().delete((BUCKET, "dir/")).unwrap();
    bench.run(&["--delete", "s3://documents", "minio"]).with(5);
    assert_eq!(aside(&bench), 1);
}

#[test]
fn a_directory_that_is_no_mirror_is_not_cleared() {
    let bench = with_objects(&["a"]);
    std::fs::create_dir(bench.path("home")).unwrap();
    std::fs::write(bench.path("home/thesis"), "x").unwrap();
    bench.run(&["--delete", "s3://documents", "home"]).with(5).reports("is not a mirror");
    assert_eq!(files(&bench.path("home")), ["thesis"]);
}

#[test]
fn a_mirror_with_anything_amiss_sends_the_rest_and_deletes_nothing() {
    type Spoil = fn(&Bench);
    let cases: [(&str, &str, Spoil); 4] = [
        ("missing", "a: a is missing on disk", |b| {
            std::fs::remove_file(b.path("minio/a")).unwrap()
        }),
        ("another size", "a: 5 bytes on disk, 1 in the index", |b| {
            std::fs::write(b.path("minio/a"), "other").unwrap();
        }),
        ("another content", "a: its content does not match the index", |b| {
            std::fs::write(b.path("minio/a"), "X").unwrap();
        }),
        ("not listed", "stray: not in the index", |b| {
            std::fs::write(b.path("minio/stray"), "x").unwrap();
        }),
    ];
    for (name, reason, spoil) in cases {
        let bench = with_objects(&["a", "b"]);
        bench.pull();
        spoil(&bench);
        for key in ["a", "b"] {
            bench.s3.client().delete((BUCKET, key)).unwrap();
        }
        bench.s3.put("extra", &[], b"").unwrap();
        bench.run(&["--delete", "minio", "s3://documents"]).with(3).reports(reason);
        let keys = bench.keys();
        assert!(keys.contains(&"extra".into()) && keys.contains(&"b".into()), "{name}: {keys:?}");
        assert!(!keys.contains(&"stray".into()), "{name}");
    }
}

#[test]
fn a_mirror_that_lost_its_index_or_was_never_finished_sends_nothing() {
    let bench = with_objects(&["a"]);
    bench.pull();
    bench.s3.put("extra", &[], b"").unwrap();
    let own = bench.path("minio/.obj-mirror");
    std::fs::write(own.join("journal.jsonl"), "").unwrap();
    bench.run(&["--delete", "minio", "s3://documents"]).with(5).reports("is incomplete");
    std::fs::remove_file(own.join("journal.jsonl")).unwrap();
    std::fs::write(own.join("index.jsonl"), "").unwrap();
    bench.run(&["--delete", "minio", "s3://documents"]).with(4).reports("disagree");
    std::fs::remove_file(own.join("index.jsonl")).unwrap();
    bench.run(&["--delete", "minio", "s3://documents"]).with(4).reports("lost its index");
    assert_eq!(bench.keys(), ["a", "extra"]);
}

#[test]
fn a_missing_bucket_is_not_made() {
    let bench = with_objects(&[]);
    std::fs::create_dir(bench.path("d")).unwrap();
    std::fs::write(bench.path("d/a"), "x").unwrap();
    let ended = bench.run(&["d", "s3://missing"]).with(1);
    assert_eq!(
        ended.err,
        format!("obj-mirror: bucket missing does not exist at {}\n", bench.s3.endpoint())
    );
    assert!(bench.s3.client().list("missing", "").is_err());
}

#[test]
fn with_ignore_existing_what_is_missing_is_added_and_nothing_is_replaced_or_deleted() {
    let bench = with_objects(&["a", "b", "c"]);
    bench.pull();
    bench.s3.client().delete((BUCKET, "b")).unwrap();
    // Of the same size, so that only its content differs.
    bench.s3.put("a", &[], b"A").unwrap();
    bench.s3.put("c", &[], b"longer").unwrap();
    bench.s3.put("added", &[], b"x").unwrap();
    let options = ["--ignore-existing", "minio", "s3://documents"];
    let plan = bench.run(&[&["--dry-run"], &options[..]].concat()).with(0);
    assert_eq!(plan.out, "upload b\n");
    let summary = bench.counted(&options);
    assert_eq!((&summary["transferred"], &summary["unchanged"]), (&1.into(), &2.into()));
    assert_eq!(bench.keys(), ["a", "added", "b", "c"]);
    let body = |key: &str| bench.s3.client().get((BUCKET, key)).unwrap().body;
    assert_eq!(
        [body("a"), body("b"), body("c")],
        [b"A".to_vec(), b"b".to_vec(), b"longer".to_vec()]
    );

    bench.run(&["--ignore-existing", "--delete", "minio", "s3://documents"]).with(2);
    bench.run(&["--ignore-existing", "s3://documents", "other"]).with(2);
    bench.run(&["minio", "s3://documents"]).with(0);
    assert_eq!([body("a"), body("c")], [b"a", b"c"]);
}

#[test]
fn more_keys_than_one_request_can_delete_go_with_the_odd_ones_among_them() {
    let odd = ["n0500\u{1}", "n0500\u{fffe}", "z\u{1f600}", "z\u{ff5e}"];
    let bench = with_objects(&["kept"]);
    bench.pull();
    let plain: Vec<String> = (0..2100).map(|n| format!("n{n:04}")).collect();
    for key in plain.iter().map(String::as_str).chain(odd) {
        bench.s3.put(key, &[], b"").unwrap();
    }
    let summary = bench.counted(&["--delete", "minio", "s3://documents"]);
    assert_eq!((&summary["deleted"], &summary["unchanged"]), (&2104.into(), &1.into()));
    assert_eq!(bench.keys(), ["kept"]);
}

#[test]
fn a_killed_push_is_continued_and_deletes_only_at_its_end() {
    let bench = with_objects(&[]);
    for n in 0..200 {
        bench.s3.put(&format!("k{n:03}"), &[], &[n; 2000]).unwrap();
    }
    bench.pull();
    let whole = bench.state(BUCKET);
    for n in 0..200 {
        bench.s3.client().delete((BUCKET, &format!("k{n:03}"))).unwrap();
    }
    bench.s3.put("extra", &[], b"x").unwrap();
    let number = AtomicUsize::new(0);
    let proxy = Proxy::before(&bench.s3.endpoint(), move |_| {
        if number.fetch_add(1, Ordering::SeqCst) > 50 { Fate::Hang } else { Fate::Pass }
    });
    let args = ["--delete", "--jobs", "8", "minio", "s3://documents"];
    let mut command = bench.command(&args);
    let mut child = command.env("AWS_ENDPOINT_URL", proxy.endpoint()).spawn().unwrap();
    wait_until("fifty objects", || Ok(bench.keys().len() == 51)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(bench.keys().contains(&"extra".to_owned()));
    let before = bench.s3.count("PutObject").unwrap();
    bench.run(&args).with(0);
    assert_eq!(bench.s3.count("PutObject").unwrap() - before, 150);
    assert_eq!(bench.state(BUCKET), whole);
}
