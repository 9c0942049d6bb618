//! What is sent carries a checksum that the server holds against what arrives.

use crate::kit::{BUCKET, Bench, end};
use crate::proxy::{Fate, Proxy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_kit::S3;

fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

/// A server that demands checksums, with nothing in it, and a directory with objects of both sizes.
fn demanding() -> Bench {
    let bench = Bench::with(S3::start_demanding_checksums(BUCKET).unwrap());
    std::fs::create_dir(bench.path("files")).unwrap();
    for (name, size) in [("empty", 0), ("small", 5), ("whole", 1 << 20), ("parts", 17 << 20)] {
        std::fs::write(bench.path(&format!("files/{name}")), vec![7; size]).unwrap();
    }
    bench
}

#[test]
fn a_bucket_that_demands_checksums_takes_everything_that_a_mirror_sends() {
    let bench = demanding();
    let client = bench.s3.client();
    let put = |headers: &[(&str, &str)]| {
        client.request("PUT", (BUCKET, "x"), &[], headers, b"bytes").unwrap().status
    };
    assert_eq!(put(&[]), 400, "the server demands none");
    assert_eq!(put(&[("content-md5", &md5(b"Bytes"))]), 400, "the server takes a wrong one");
    assert_eq!(put(&[("content-md5", &md5(b"bytes"))]), 200);

    bench.run(&["files", "s3://documents"]).with(0);
    // From an index, with tags in a request of their own too.
    let many = (0..9).map(|n| format!("{n}={}", "v".repeat(250))).collect::<Vec<_>>().join("&");
    for (key, tags) in [("few", "a=b"), ("many", &many)] {
        let headers = [("content-md5", &*md5(b"bytes")), ("x-amz-tagging", tags)];
        client.put((BUCKET, key), &headers, b"bytes").unwrap();
    }
    bench.pull();
    client.create_bucket("copy").unwrap();
    for n in 0..3 {
        let key = format!("extra{n}");
        client.put(("copy", &key), &[("content-md5", &md5(b""))], b"").unwrap();
    }
    bench.run(&["--delete", "minio", "s3://copy"]).with(0);
    assert_eq!(client.list("copy", "").unwrap(), bench.keys());
    assert_eq!(client.tags(("copy", "many")).unwrap().len(), 9);
    assert!(
        bench.s3.count("DeleteObjects").unwrap() > 0 && bench.s3.count("UploadPart").unwrap() > 0
    );
}

/// A proxy that lets the first `times` uploads of a kind arrive with another byte.
fn garbling(bench: &Bench, kind: &'static str, times: usize) -> (Proxy, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let proxy = Proxy::before(&bench.s3.endpoint(), move |head| {
        let is_meant = head.starts_with("PUT") && head.contains(kind);
        let number = if is_meant { counted.fetch_add(1, Ordering::SeqCst) } else { usize::MAX };
        if number < times { Fate::Garble } else { Fate::Pass }
    });
    (proxy, seen)
}

#[test]
fn what_arrives_otherwise_is_sent_again_or_fails_and_is_never_kept() {
    for kind in ["/whole ", "partNumber=2&"] {
        let bench = demanding();
        let run = |proxy: &Proxy| {
            let mut command = bench.command(&["files", "s3://documents"]);
            end(command.env("AWS_ENDPOINT_URL", proxy.endpoint()))
        };
        let (proxy, seen) = garbling(&bench, kind, usize::MAX);
        let key = if kind == "/whole " { "whole" } else { "parts" };
        run(&proxy).with(3).reports(&format!("failed: {key}: the server answered 400"));
        assert!(seen.load(Ordering::SeqCst) > 1, "{kind}: it was not tried again");
        assert_eq!(bench.keys().len(), 3, "{kind}");
        let (proxy, _) = garbling(&bench, kind, 1);
        run(&proxy).with(0);
        for name in bench.keys() {
            let sent = bench.s3.client().get((BUCKET, &name)).unwrap().body;
            assert!(sent.iter().all(|byte| *byte == 7), "{kind}: {name}");
        }
    }
}

/// An ETag need not be the MD5 of the bytes, though it looks like one.
#[test]
fn an_index_whose_etags_are_no_checksums_is_sent_all_the_same() {
    let bench = Bench::with(S3::start_demanding_checksums(BUCKET).unwrap());
    for n in 0..20 {
        let body = format!("object {n}");
        let headers = [("content-md5", &*md5(body.as_bytes()))];
        bench.s3.put(&format!("{n:02}"), &headers, body.as_bytes()).unwrap();
    }
    bench.pull();
    let path = bench.path("minio/.obj-mirror/index.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let other: String = text
        .lines()
        .map(|line| {
            let (before, after) = line.split_once(r#""etag":""#).unwrap();
            format!("{before}\"etag\":\"{}{}\n", "0".repeat(32), &after[32..])
        })
        .collect();
    std::fs::write(&path, other).unwrap();
    bench.s3.client().create_bucket("copy").unwrap();
    bench.run(&["--jobs", "2", "minio", "s3://copy"]).with(0);
    assert_eq!(bench.s3.client().list("copy", "").unwrap(), bench.keys());
    // The first ones show it; from then on the bytes are asked at once.
    let sent = bench.s3.count("PutObject").unwrap() - 20;
    assert!((21..=23).contains(&sent), "{sent}");
}
