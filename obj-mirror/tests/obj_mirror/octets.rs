//! Headers' values that are not UTF-8, as older clients wrote them, and others that are not plain text.

use crate::kit::{BUCKET, Bench, index};
use test_kit::S3;
use test_kit::s3::client::Client;

const NBSP: &[u8] = "a\u{a0}b".as_bytes();

type Headers = Vec<(&'static str, Vec<u8>)>;

/// Objects with a value each that goes wrong easily, and one with many.
fn odd() -> Vec<(String, Headers)> {
    let latin = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let all = vec![
        ("content-type", latin("text/plain; title=caf\u{e9}")),
        ("content-encoding", latin("\u{fc}")),
        ("content-disposition", latin("attachment; filename=\"\u{dc}bersicht 100%.pdf\"")),
        ("content-language", latin("\u{e9}")),
        ("cache-control", latin("max-age=1, \u{fe}=\u{ff}")),
        ("expires", latin("m\u{e4}rz")),
        ("x-amz-meta-title", latin("caf\u{e9} \u{a0}")),
        ("x-amz-meta-plain", b"as ever".to_vec()),
    ];
    let named = [
        ("title", latin("caf\u{e9}")),
        ("every-byte", (0x80..=0xff).collect()),
        ("tab", b"a\tb".to_vec()),
        ("tab-and-latin", latin("a\t\u{e9}")),
        ("no-break-space", NBSP.to_vec()),
        ("utf8", "J\u{fc}rgen \u{6f22}".as_bytes().to_vec()),
        ("encoded-word", b"=?UTF-8?Q?caf=C3=A9?=".to_vec()),
        ("percent", b"caf%E9 100% %".to_vec()),
        ("empty", Vec::new()),
        ("long", latin(&"\u{e9}".repeat(6000))),
    ];
    let one = |(name, value): (&str, Vec<u8>)| {
        (
            format!("odd/{name}"),
            vec![("x-amz-meta-value", value), ("content-language", b"de".to_vec())],
        )
    };
    let mut objects: Vec<_> = named.into_iter().map(one).collect();
    objects.push(("all".to_owned(), all));
    objects.push(("plain".to_owned(), vec![("content-type", b"text/plain".to_vec())]));
    // `0` is no time, and a value of Expires all the same.
    objects.push(("expired".to_owned(), vec![("expires", b"0".to_vec())]));
    objects
}

/// The stored headers of an object, as bytes.
fn stored_headers(client: &Client, at: (&str, &str)) -> Vec<(String, Vec<u8>)> {
    let standard = ["content-type", "cache-control", "expires"];
    let is_stored = |name: &str| {
        standard.contains(&name)
            || (name.starts_with("content-") && name != "content-length")
            || name.starts_with("x-amz-meta-")
    };
    let mut stored = client.get(at).unwrap().octets;
    stored.retain(|(name, _)| is_stored(name));
    stored.sort();
    stored
}

fn filled() -> Bench {
    let bench = Bench::with(S3::start_taking_octets(BUCKET).unwrap());
    let client = bench.s3.client();
    for (key, headers) in odd() {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, &v[..])).collect();
        client.put_octets((BUCKET, &key), &headers, key.as_bytes()).unwrap();
        for (name, value) in headers {
            let there = stored_headers(&client, (BUCKET, &key));
            assert!(there.contains(&(name.to_owned(), value.to_vec())), "the server: {key} {name}");
        }
    }
    let large = [("x-amz-meta-value", &b"caf\xe9"[..])];
    client.put_octets((BUCKET, "large"), &large, &vec![7; 17 << 20]).unwrap();
    bench
}

#[test]
fn values_that_are_not_utf8_come_back_byte_for_byte() {
    let bench = filled();
    let client = bench.s3.client();
    let ended = bench.pull();
    assert!(!ended.err.contains("warning"), "{}", ended.err);
    bench.run(&["verify", "minio"]).with(0);
    client.create_bucket("copy").unwrap();
    let ended = bench.run(&["minio", "s3://copy"]).with(0);
    assert!(!ended.err.contains("warning"), "{}", ended.err);
    let keys = bench.keys();
    assert_eq!(client.list("copy", "").unwrap(), keys);
    for key in &keys {
        assert_eq!(
            stored_headers(&client, ("copy", key)),
            stored_headers(&client, (BUCKET, key)),
            "{key}"
        );
    }
    // What came back is seen to be the same: nothing is sent or fetched again.
    let again = bench.counted(&["minio", "s3://copy"]);
    assert_eq!((&again["transferred"], &again["unchanged"]), (&0.into(), &keys.len().into()));
    let again = bench.counted(&["s3://documents", "minio"]);
    assert_eq!(again["transferred"], 0);
    // A change of such a byte alone is one.
    client
        .put_octets(("copy", "odd/title"), &[("x-amz-meta-value", b"caf\xe8")], b"odd/title")
        .unwrap();
    assert_eq!(bench.counted(&["minio", "s3://copy"])["transferred"], 1);
    assert_eq!(
        stored_headers(&client, ("copy", "odd/title")),
        stored_headers(&client, (BUCKET, "odd/title"))
    );
}

#[test]
fn the_index_has_them_in_ascii_beside_what_an_older_reader_knows() {
    let bench = filled();
    bench.pull();
    let entry = |key: &str| {
        index(&bench.path("minio")).into_iter().find(|entry| entry["key"] == key).unwrap()
    };
    let title = entry("odd/title");
    assert_eq!(title["raw_headers"], serde_json::json!({"x-amz-meta-value": "caf%E9"}));
    assert_eq!(
        (&title["content_language"], &title["metadata"]),
        (&"de".into(), &serde_json::Value::Null)
    );
    let all = entry("all");
    assert_eq!(all["metadata"], serde_json::json!({"plain": "as ever"}));
    assert_eq!(all["raw_headers"].as_object().unwrap().len(), 7);
    assert_eq!(
        all["raw_headers"]["content-disposition"],
        "attachment; filename=\"%DCbersicht 100%25.pdf\""
    );
    // As ever: text is text, an escape in it too.
    assert_eq!(entry("odd/percent")["metadata"]["value"], "caf%E9 100% %");
    assert_eq!(entry("odd/empty")["metadata"]["value"], "");
    for key in ["odd/utf8", "odd/tab", "odd/percent", "plain"] {
        assert_eq!(entry(key)["raw_headers"], serde_json::Value::Null, "{key}");
    }
}

#[test]
fn a_server_that_refuses_a_value_gets_the_object_and_the_loss_is_named() {
    let bench = filled();
    bench.pull();
    // It takes ASCII in standard headers, UTF-8 in metadata, and of Expires only times.
    let strict = Bench::new();
    strict.s3.put("extra", &[], b"stays").unwrap();
    let mut push = strict.command(&["--delete", "--json", "minio", "s3://documents"]);
    let ended = crate::kit::end(push.current_dir(bench.dir.path())).with(3);
    let failed: Vec<(String, String)> = ended.json()["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["key"].as_str().unwrap().into(), f["reason"].as_str().unwrap().into()))
        .collect();
    let reason =
        |key: &str| failed.iter().find(|(k, _)| k == key).map(|(_, reason)| reason.as_str());
    for key in ["odd/title", "odd/every-byte", "odd/tab-and-latin", "odd/long", "large"] {
        let reason = reason(key).unwrap();
        assert!(reason.starts_with("in place, but without x-amz-meta-value, "), "{key}: {reason}");
        assert!(reason.contains("the server answered 4"), "{key}: {reason}");
        assert!(ended.err.contains(&format!("failed: {key}: in place, but without")), "{key}");
    }
    let all = reason("all").unwrap();
    for name in ["content-disposition", "expires", "x-amz-meta-title"] {
        assert!(all.contains(name), "{name}: {all}");
    }
    assert!(!all.contains("x-amz-meta-plain"), "{all}");
    for key in ["plain", "odd/utf8", "odd/tab", "odd/no-break-space", "odd/percent", "odd/empty"] {
        assert_eq!(reason(key), None, "{key}");
    }
    let there = strict.s3.client();
    for key in bench.keys() {
        let sent = there.get((BUCKET, &key)).unwrap();
        assert_eq!(sent.body, bench.s3.client().get((BUCKET, &key)).unwrap().body, "{key}");
    }
    let kept = there.get((BUCKET, "all")).unwrap();
    assert_eq!(kept.header("x-amz-meta-plain"), Some("as ever"));
    let kept = there.get((BUCKET, "odd/title")).unwrap();
    assert_eq!(kept.header("content-language"), Some("de"));
    assert_eq!(
        stored_headers(&there, (BUCKET, "odd/no-break-space")).last().unwrap().0,
        "x-amz-meta-value"
    );
    assert!(strict.keys().contains(&"extra".to_owned()), "nothing is deleted");
}

#[test]
fn an_index_that_was_written_before_means_what_it_meant() {
    let bench = Bench::with(S3::start_taking_octets(BUCKET).unwrap());
    let headers = [
        ("content-type", "text/plain"),
        ("x-amz-meta-percent", "caf%E9"),
        ("x-amz-meta-who", "J\u{fc}rgen"),
    ];
    bench.s3.put("a", &headers, b"x").unwrap();
    bench.pull();
    let text = std::fs::read_to_string(bench.path("minio/.obj-mirror/index.jsonl")).unwrap();
    assert!(!text.contains("raw_headers"), "{text}");
    // Of a younger writer, members that are not known are skipped.
    let younger = text.replace("{\"key\"", "{\"something\":{\"new\":1},\"key\"");
    std::fs::write(bench.path("minio/.obj-mirror/index.jsonl"), younger).unwrap();
    bench.s3.client().create_bucket("copy").unwrap();
    bench.run(&["minio", "s3://copy"]).with(0);
    let client = bench.s3.client();
    assert_eq!(stored_headers(&client, ("copy", "a")), stored_headers(&client, (BUCKET, "a")));
}

#[test]
fn a_damaged_escape_is_damage_and_a_header_of_no_mirror_is_not_sent() {
    let bench = Bench::with(S3::start_taking_octets(BUCKET).unwrap());
    bench.s3.client().put_octets((BUCKET, "a"), &[("x-amz-meta-t", b"caf\xe9")], b"x").unwrap();
    bench.pull();
    let path = bench.path("minio/.obj-mirror/index.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("caf%E9", "caf%E")).unwrap();
    bench.run(&["verify", "minio"]).with(4).reports("percent-encoded");
    bench.run(&["minio", "s3://documents"]).with(4);
    std::fs::write(&path, text.replace("x-amz-meta-t", "x-amz-acl")).unwrap();
    bench.s3.client().create_bucket("copy").unwrap();
    let ended = bench.run(&["minio", "s3://copy"]).with(3);
    ended.reports("failed: a: in place, but without x-amz-acl, which cannot be sent unchanged");
}
