//! Answers that are not as they should be, of one object among others: it is mirrored all the same, with a
//! warning of what could not be kept, or it fails alone.

use crate::kit::{Bench, Ended, end, index};
use crate::proxy::{Fate, Proxy};

/// A bench with an object that goes in one request, one that goes in parts, and an ordinary one.
fn filled() -> Bench {
    let bench = Bench::new();
    for (key, size) in [("odd", 9), ("odd-large", 17 << 20), ("plain", 9)] {
        bench.s3.put(key, &[("x-amz-meta-who", "me")], &vec![7; size]).unwrap();
    }
    bench
}

/// The answer with one text in its place of another, everywhere.
fn replaced(answer: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(answer.len());
    let mut rest = answer;
    while !rest.is_empty() {
        if rest.starts_with(from) {
            changed.extend_from_slice(to);
            rest = &rest[from.len()..];
        } else {
            changed.push(rest[0]);
            rest = &rest[1..];
        }
    }
    changed
}

/// An answer whose header begins otherwise; its body is left alone.
fn with_header(answer: Vec<u8>, name: &str, line: &[u8]) -> Vec<u8> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 2);
    let mut changed = Vec::new();
    let mut is_there = false;
    for old in answer[..end].split_inclusive(|byte| *byte == b'\n') {
        let is_it = old.to_ascii_lowercase().starts_with(format!("{name}:").as_bytes());
        is_there |= is_it;
        changed.extend_from_slice(if is_it { line } else { old });
    }
    if !is_there {
        changed.extend_from_slice(line);
    }
    [changed, answer[end..].to_vec()].concat()
}

/// Mirrors while the answers to the odd objects' GETs are changed.
fn pull_changed(bench: &Bench, change: fn(Vec<u8>) -> Vec<u8>) -> Ended {
    let proxy = Proxy::before(&bench.s3.endpoint(), move |head| {
        if head.starts_with("GET /documents/odd") { Fate::Change(change) } else { Fate::Pass }
    });
    let mut command = bench.command(&["s3://documents", "minio", "--tags", "never"]);
    end(command.env("AWS_ENDPOINT_URL", proxy.endpoint()))
}

#[test]
fn an_object_without_an_etag_or_a_time_is_mirrored_and_what_is_lost_is_named() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let cases: [(&str, Option<&str>, Change); 8] = [
        ("no ETag", None, |a| with_header(a, "etag", b"")),
        ("a weak ETag", None, |a| with_header(a, "etag", b"etag: W/\"abc\"\r\n")),
        ("an ETag that is no text", None, |a| with_header(a, "etag", b"etag: \"\xe9\"\r\n")),
        ("no time", None, |a| with_header(a, "last-modified", b"")),
        ("a time that is none", None, |a| with_header(a, "last-modified", b"last-modified: 0\r\n")),
        ("a server whose name is no text", None, |a| with_header(a, "server", b"server: \xff\r\n")),
        ("metadata that HTTP cannot carry", Some("x-amz-missing-meta"), |a| {
            with_header(a, "x-amz-missing-meta", b"x-amz-missing-meta: 2\r\n")
        }),
        ("a control character", Some("the response has a header that is not valid HTTP"), |a| {
            with_header(a, "x-amz-meta-odd", b"x-amz-meta-odd: a\x01b\r\n")
        }),
    ];
    for (name, warning, change) in cases {
        let bench = filled();
        let ended = pull_changed(&bench, change);
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.err);
        match warning {
            None => assert!(!ended.err.contains("warning"), "{name}: {}", ended.err),
            Some(header) => {
                for key in ["odd", "odd-large"] {
                    let warned = format!("warning: {key}: {header}");
                    assert_eq!(ended.err.matches(&warned).count(), 1, "{name}: {}", ended.err);
                }
            }
        }
        bench.run(&["verify", "minio"]).with(0);
        let entries = index(&bench.path("minio"));
        assert_eq!(entries.len(), 3, "{name}");
        assert!(entries.iter().all(|entry| entry["metadata"]["who"] == "me"), "{name}");
        for key in ["odd", "odd-large", "plain"] {
            let content = std::fs::read(bench.path("minio").join(key)).unwrap();
            assert!(content.iter().all(|byte| *byte == 7), "{name}: {key}");
        }
    }
}

#[test]
fn any_byte_that_a_header_can_carry_is_kept_from_every_server() {
    let bench = filled();
    let ended = pull_changed(&bench, |answer| {
        let answer = with_header(answer, "expires", b"expires: nie, \xe4\r\n");
        let answer = with_header(answer, "cache-control", b"Cache-Control:\r\n");
        with_header(answer, "x-amz-meta-title", b"X-Amz-Meta-Title: caf\xe9\t\xff\r\n")
    });
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let entries = index(&bench.path("minio"));
    let raw = serde_json::json!({"expires": "nie, %E4", "x-amz-meta-title": "caf%E9%09%FF"});
    for entry in entries {
        let is_odd = entry["key"] != "plain";
        let expected = if is_odd { raw.clone() } else { serde_json::Value::Null };
        assert_eq!(entry["raw_headers"], expected, "{entry}");
        assert_eq!(entry["cache_control"].as_str(), is_odd.then_some(""), "{entry}");
    }
}

/// Mirrors while the listing is changed.
fn pull_listed(bench: &Bench, change: fn(Vec<u8>) -> Vec<u8>) -> Ended {
    let proxy = Proxy::before(&bench.s3.endpoint(), move |head| {
        if head.starts_with("GET /documents?") { Fate::Change(change) } else { Fate::Pass }
    });
    let mut command = bench.command(&["s3://documents", "minio", "--json"]);
    end(command.env("AWS_ENDPOINT_URL", proxy.endpoint()))
}

#[test]
fn an_odd_entry_of_a_listing_costs_no_other_object() {
    let bench = filled();
    // Of the same length: the answer declares its length.
    let ended = pull_listed(&bench, |a| replaced(&a, b"<Size>17825792<", b"<Size>17 MByte<"));
    let ended = ended.with(3).reports("failed: odd-large: the listing does not give its size");
    assert_eq!(ended.json()["transferred"], 2);
    let bench = filled();
    let ended = pull_listed(&bench, |a| replaced(&a, b">odd-large<", b">odd-larg\xe9<"));
    let ended = ended.with(3).reports("failed: odd-larg\u{fffd}: its key is not UTF-8");
    assert_eq!(ended.json()["transferred"], 2);
}

#[test]
fn a_listing_without_etags_or_times_is_mirrored_and_what_is_known_is_not_fetched_again() {
    let without_etags: fn(Vec<u8>) -> Vec<u8> = |a| replaced(&a, b"ETag>", b"XTag>");
    let bench = filled();
    assert_eq!(pull_listed(&bench, without_etags).with(0).json()["transferred"], 3);
    assert_eq!(pull_listed(&bench, without_etags).with(0).json()["transferred"], 0);
    bench.s3.put("odd", &[("x-amz-meta-who", "me")], &[8; 9]).unwrap();
    assert_eq!(pull_listed(&bench, without_etags).with(0).json()["transferred"], 1);
    assert_eq!(std::fs::read(bench.path("minio/odd")).unwrap(), [8; 9]);

    let without_times: fn(Vec<u8>) -> Vec<u8> =
        |a| replaced(&a, b"LastModified>", b"XastModified>");
    let bench = filled();
    pull_listed(&bench, without_times).with(0);
    bench.run(&["verify", "minio"]).with(0);
    // The object's own answer has its time.
    let entries = index(&bench.path("minio"));
    assert!(entries.iter().all(|e| !e["last_modified"].as_str().unwrap().starts_with("1970")));
}
