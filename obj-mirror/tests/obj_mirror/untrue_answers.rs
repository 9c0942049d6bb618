//! Answers that are not true: an error, the page of a proxy or a listing without an end, all with status 200, none of
//! which counts as an empty one; 404 for an object that is there.

use crate::kit::{BUCKET, Bench, Ended, end, files, index};
use crate::proxy::{Fate, Proxy};
use std::sync::atomic::{AtomicUsize, Ordering};

const ERROR: &str =
    "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>We failed</Message></Error>";
const PAGE: &str = "<html><body><p>Please log in</p></body></html>";

/// Runs it while so many requests whose head `decide` knows come to this end.
fn run_with(
    bench: &Bench,
    args: &[&str],
    times: usize,
    fate: Fate,
    is_it: fn(&str) -> bool,
) -> Ended {
    let seen = AtomicUsize::new(0);
    let proxy = Proxy::before(&bench.s3.endpoint(), move |head| {
        let line = head.lines().next().unwrap_or_default();
        if is_it(line) && seen.fetch_add(1, Ordering::SeqCst) < times { fate } else { Fate::Pass }
    });
    end(bench.command(args).env("AWS_ENDPOINT_URL", proxy.endpoint()))
}

fn is_second_page(line: &str) -> bool {
    line.starts_with("GET /documents?") && line.contains("continuation-token=")
}

/// The answer without the element that tells whether it is the last page.
fn without_its_end(answer: Vec<u8>) -> Vec<u8> {
    let at = |text: &[u8]| answer.windows(text.len()).position(|w| w == text);
    let (start, end) = (at(b"<IsTruncated>").unwrap(), at(b"</IsTruncated>").unwrap());
    let mut changed = answer.clone();
    // Of the same length: the answer declares its length.
    changed[start..end + 14].fill(b' ');
    changed
}

#[test]
fn a_page_that_is_no_listing_ends_no_listing_and_deletes_nothing() {
    let bench = Bench::new();
    for n in 0..1005 {
        bench.s3.put(&format!("{n:04}"), &[], b"x").unwrap();
    }
    let args = ["--delete", "--tags", "never", "--json", "s3://documents", "minio"];
    bench.run(&args).with(0);
    let cases = [
        (Fate::Instead(ERROR), "the server answered 200 InternalError We failed"),
        (Fate::Instead(PAGE), "answered 200 with a document <html> instead of <ListBucketResult>"),
        (Fate::Change(without_its_end), "the listing does not show whether it is complete"),
    ];
    for (fate, reason) in cases {
        run_with(&bench, &args, usize::MAX, fate, is_second_page).with(1).reports(reason);
        assert_eq!(files(&bench.path("minio")).len(), 1005, "{reason}");
    }
    for (fate, _) in cases {
        let ended = run_with(&bench, &args, 1, fate, is_second_page).with(0);
        assert_eq!(
            (&ended.json()["unchanged"], &ended.json()["deleted"]),
            (&1005.into(), &0.into())
        );
    }
    bench.run(&["verify", "minio"]).with(0);
}

#[test]
fn a_deletion_that_is_not_confirmed_is_done_key_by_key() {
    let bench = Bench::new();
    bench.s3.put("kept", &[], b"x").unwrap();
    bench.run(&["s3://documents", "minio"]).with(0);
    for body in [ERROR, PAGE, ""] {
        for key in ["a", "b", "c"] {
            bench.s3.put(key, &[], b"x").unwrap();
        }
        let args = ["--delete", "--json", "minio", "s3://documents"];
        let ended = run_with(&bench, &args, usize::MAX, Fate::Instead(body), |line| {
            line.starts_with("POST /documents?delete")
        });
        assert_eq!(ended.with(0).json()["deleted"], 3);
        assert_eq!(bench.keys(), ["kept"], "{body}");
    }
}

#[test]
fn an_upload_in_parts_that_is_not_confirmed_is_not_counted() {
    let bench = Bench::new();
    bench.s3.put("large", &[], &vec![7; 17 << 20]).unwrap();
    bench.run(&["s3://documents", "minio"]).with(0);
    bench.s3.client().delete((BUCKET, "large")).unwrap();
    for (times, code) in [(usize::MAX, 3), (1, 0)] {
        let args = ["minio", "s3://documents"];
        let ended = run_with(&bench, &args, times, Fate::Instead(PAGE), |line| {
            line.starts_with("POST /documents/large?uploadId=")
        });
        ended.with(code);
        assert_eq!(bench.keys().len(), usize::from(code == 0));
    }
}

#[test]
fn tags_that_are_no_tags_do_not_count_as_none() {
    let bench = Bench::new();
    bench.s3.put("a", &[("x-amz-tagging", "k=v")], b"x").unwrap();
    let args = ["s3://documents", "minio"];
    let is_it = |line: &str| line.starts_with("GET /documents/a?tagging");
    run_with(&bench, &args, usize::MAX, Fate::Instead(PAGE), is_it)
        .with(3)
        .reports("failed: a: the server answered 200 with a document <html> instead of <Tagging>");
    run_with(&bench, &args, 1, Fate::Instead(PAGE), is_it).with(0);
    assert_eq!(index(&bench.path("minio"))[0]["tags"]["k"], "v");
}

#[test]
fn an_object_that_the_listing_has_and_no_request_finds_is_a_failure() {
    const NO_KEY: &str = "<Error><Code>NoSuchKey</Code></Error>";
    let bench = Bench::new();
    for key in ["a", "a/b", "b"] {
        bench.s3.put(key, &[], key.as_bytes()).unwrap();
    }
    let args = ["--delete", "--json", "s3://documents", "minio"];
    let is_it = |line: &str| line.starts_with("GET /documents/a ");
    for body in [NO_KEY, ""] {
        let ended = run_with(&bench, &args, usize::MAX, Fate::Answer(404, body), is_it).with(3);
        assert_eq!(ended.json()["vanished"], 0, "{body}");
        ended.reports("failed: a: the listing has it, but the server answered 404");
        assert_eq!(files(&bench.path("minio")), ["a/b", "b"]);
        assert!(!bench.path("minio/.obj-mirror/index.jsonl").exists());
    }
    // One of two servers that has not received it yet.
    let ended = run_with(&bench, &args, 1, Fate::Answer(404, NO_KEY), is_it).with(0);
    assert_eq!((&ended.json()["vanished"], &ended.json()["objects"]), (&0.into(), &3.into()));
    bench.run(&["verify", "minio"]).with(0);
    // Its tags alone.
    let args = ["--tags", "always", "s3://documents", "minio"];
    let is_it = |line: &str| line.starts_with("GET /documents/a?tagging");
    run_with(&bench, &args, usize::MAX, Fate::Answer(404, NO_KEY), is_it).with(3);
}

#[test]
fn a_storage_that_lists_objects_and_finds_none_of_them_is_given_up() {
    let bench = Bench::new();
    for n in 0..200 {
        bench.s3.put(&format!("{n:03}"), &[], b"x").unwrap();
    }
    let seen = std::sync::Arc::new(AtomicUsize::new(0));
    let asked = std::sync::Arc::clone(&seen);
    let proxy = Proxy::before(&bench.s3.endpoint(), move |head| {
        asked.fetch_add(1, Ordering::SeqCst);
        if head.starts_with("GET /documents/") { Fate::Answer(404, "") } else { Fate::Pass }
    });
    let args = ["--jobs", "4", "s3://documents", "minio"];
    end(bench.command(&args).env("AWS_ENDPOINT_URL", proxy.endpoint()))
        .with(1)
        .reports("the listing has it, but the server answered 404");
    let requests = seen.load(Ordering::SeqCst);
    assert!(requests < 300, "{requests}");
}

#[test]
fn a_clock_that_is_off_is_not_reported_as_wrong_keys() {
    const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between \
                          the request time and the server's time is too large.</Message></Error>";
    let bench = Bench::new();
    for args in [&["s3://documents", "minio"][..], &["put", "s3://documents/a"]] {
        let ended = run_with(&bench, args, usize::MAX, Fate::Answer(403, SKEWED), |_| true).with(1);
        assert!(ended.err.contains("timedatectl"), "{}", ended.err);
        assert!(!ended.err.contains("AWS_ACCESS_KEY_ID"), "{}", ended.err);
    }
}
