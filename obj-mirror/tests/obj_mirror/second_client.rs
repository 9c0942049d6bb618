//! The mirror beside a client that does not share its mistakes: rust-s3.

use crate::kit::{BUCKET, Bench, index};
use s3::creds::Credentials;
use s3::{Bucket, Region};
use std::collections::BTreeMap;

/// Keys that rust-s3 sends unchanged.
const KEYS: [&str; 16] = [
    "a",
    "dir/b c",
    "ü/漢字🙂",
    "u\u{308}",
    "sp ace+%2F?&=#",
    "%2e%2e/x",
    "!*'();:@,[]{}|^`$",
    "e<&>\"'",
    "b\\s",
    "~tilde",
    "..x/y..",
    "x//y",
    "trailing/",
    "tab\t",
    "new\nline",
    "\u{1}control",
];
const TAGS: [(&str, &str); 2] = [("color", "grün"), ("n", "1 2")];
/// Large enough for several parts of either client.
const LARGE: usize = 20 << 20;

fn client(bench: &Bench, bucket: &str) -> Box<Bucket> {
    let env: BTreeMap<_, _> = bench.s3.env().into_iter().collect();
    let region = Region::Custom { region: "us-east-1".into(), endpoint: bench.s3.endpoint() };
    let (id, secret) = (&env["AWS_ACCESS_KEY_ID"], &env["AWS_SECRET_ACCESS_KEY"]);
    let credentials = Credentials::new(Some(id), Some(secret), None, None, None).unwrap();
    Bucket::new(bucket, region, credentials).unwrap().with_path_style()
}

fn content(key: &str) -> Vec<u8> {
    if key == "large" { vec![7; LARGE] } else { format!("under {key}").into_bytes() }
}

fn keys() -> Vec<&'static str> {
    let mut keys = [&KEYS[..], &["large"]].concat();
    keys.sort_unstable();
    keys
}

/// A bucket that rust-s3 has filled, pulled into `minio/`.
fn pulled() -> Bench {
    let bench = Bench::new();
    let bucket = client(&bench, BUCKET);
    for key in KEYS {
        let content = content(key);
        let put = bucket.put_object_builder(key, &content).with_content_type("text/x-key");
        put.with_metadata("who", "me, myself").unwrap().execute().unwrap();
        bucket.put_object_tagging(key, &TAGS).unwrap();
    }
    let large = content("large");
    bucket.put_object_stream_with_content_type(&mut &large[..], "large", "text/x-key").unwrap();
    bench.pull();
    bench
}

#[test]
fn what_rust_s3_writes_is_pulled_byte_for_byte() {
    let bench = pulled();
    bench.run(&["verify", "minio"]).with(0);
    let entries = index(&bench.path("minio"));
    let listed: Vec<_> = entries.iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    assert_eq!(listed, keys());
    for entry in &entries {
        let (key, path) = (entry["key"].as_str().unwrap(), entry["path"].as_str().unwrap());
        let stored = std::fs::read(bench.path("minio").join(path)).unwrap();
        assert!(stored == content(key), "{key}");
        assert_eq!(entry["content_type"], "text/x-key", "{key}");
        if key != "large" {
            assert_eq!(entry["metadata"], serde_json::json!({"who": "me, myself"}), "{key}");
            assert_eq!(entry["tags"], serde_json::json!(BTreeMap::from(TAGS)), "{key}");
        }
    }
}

#[test]
fn what_the_mirror_pushes_is_read_by_rust_s3_byte_for_byte() {
    let bench = pulled();
    bench.s3.client().create_bucket("copy").unwrap();
    bench.run(&["minio", "s3://copy"]).with(0);
    let bucket = client(&bench, "copy");
    let pages = bucket.list(String::new(), None).unwrap();
    let listed: Vec<_> = pages.into_iter().flat_map(|page| page.contents).map(|o| o.key).collect();
    assert_eq!(listed, keys());
    for key in keys() {
        let object = bucket.get_object(key).unwrap();
        assert!(object.as_slice() == content(key), "{key}");
        let headers = object.headers();
        assert_eq!(headers["content-type"], "text/x-key", "{key}");
        if key != "large" {
            assert_eq!(headers["x-amz-meta-who"], "me, myself", "{key}");
            let (tags, _) = bucket.get_object_tagging(key).unwrap();
            let tags: Vec<_> = tags.iter().map(|tag| (tag.key(), tag.value())).collect();
            assert_eq!(tags, TAGS.map(|(key, value)| (key.to_owned(), value.to_owned())), "{key}");
        }
    }
}

/// Why rust-s3 is not the client of `obj-mirror`. This fails on the day that it can be.
#[test]
fn a_key_that_rust_s3_cannot_spell_arrives_under_another_name() {
    let bench = Bench::new();
    let bucket = client(&bench, BUCKET);
    for key in ["a/../b", "/leading"] {
        bucket.put_object(key, b"x").unwrap();
    }
    assert_eq!(
        bench.keys(),
        ["b", "leading"],
        "rust-s3 spells `a/../b` or a leading slash otherwise than 0.38 did; if it now sends both as they \
         are, see whether it can replace obj-mirror/src/s3"
    );
}
