//! Bucket to directory to empty bucket: equal, object for object, in everything that is promised.

use crate::kit::{BUCKET, Bench, tries};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use test_kit::s3::client::Client;

/// Everything that is promised of an object: bytes, headers and metadata, tags.
type Object = (Vec<u8>, Vec<(String, String)>, Vec<String>);

#[derive(Clone, Debug)]
struct Given {
    body: Vec<u8>,
    headers: Vec<(String, String)>,
}

/// Keys that have gone wrong somewhere: paths that lead elsewhere, files and directories of one name,
/// what XML, URLs, terminals and filesystems have their own ideas of.
const HOSTILE: [&str; 40] = [
    "a",
    "a/",
    "a/b",
    "a//b",
    "/a",
    "..",
    "../x",
    "a/../b",
    "%2e%2e/x",
    ".",
    "./x",
    "x/.",
    "//",
    "/",
    "a/b/",
    "A",
    "A/b",
    "a\u{0}b",
    "\u{1}",
    "\n",
    "\r\n",
    "\t",
    " ",
    "  x  ",
    "+",
    "a+b",
    "%",
    "%00",
    "&amp;",
    "<x>\"'",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{fffe}",
    "\u{feff}",
    "ü",
    "u\u{308}",
    "🙂",
    ".obj-mirror",
    ".obj-mirror/index.jsonl",
];

fn long_keys() -> Vec<String> {
    let segment = "s".repeat(256);
    vec!["k".repeat(1024), "d/".repeat(511) + "xy", format!("{segment}/x"), "ü".repeat(512)]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(HOSTILE.as_slice()).prop_map(str::to_owned),
        1 => prop::sample::select(long_keys()),
        3 => prop::collection::vec(prop::sample::select(HOSTILE.as_slice()), 2..4).prop_map(|p| p.join("/")),
        2 => r"[ab./]{1,6}",
        2 => r"\PC{1,30}",
        1 => r"(\PC|[\x01-\x1f]){1,20}",
    ]
}

/// A value that HTTP carries unchanged.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![r"[!-~]([ -~]{0,20}[!-~])?", "[a-zäöü漢🙂]{1,10}"]
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let named = |name: &'static str, value: BoxedStrategy<String>| {
        prop::option::weighted(0.4, value).prop_map(move |v| v.map(|v| (name.to_owned(), v)))
    };
    let plain = || r"[!-~]([ -~]{0,20}[!-~])?".boxed();
    let headers = (
        named("content-type", "text/[a-z]{1,8}(; charset=utf-8)?".boxed()),
        named(
            "content-encoding",
            prop::sample::select(vec!["gzip", "br", "x-own"]).prop_map(str::to_owned).boxed(),
        ),
        named(
            "content-disposition",
            plain().prop_map(|v| format!("attachment; filename={v}")).boxed(),
        ),
        named("content-language", "[a-z]{2}(, [a-z]{2})?".boxed()),
        named("cache-control", "max-age=[0-9]{1,4}".boxed()),
        named("expires", Just("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()).boxed()),
        prop::collection::btree_map("[a-z][a-z0-9-]{0,10}", value(), 0..4),
        prop::collection::btree_map(r"[A-Za-zü +=_/.:-]{1,12}", r"[A-Za-zü +=_/.:&<-]{0,12}", 0..4),
    );
    headers.prop_map(|(a, b, c, d, e, f, metadata, tags)| {
        let mut all: Vec<_> = [a, b, c, d, e, f].into_iter().flatten().collect();
        all.extend(metadata.into_iter().map(|(k, v)| (format!("x-amz-meta-{k}"), v)));
        if !tags.is_empty() {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&tags);
            all.push(("x-amz-tagging".to_owned(), query.finish()));
        }
        all
    })
}

fn bucket() -> impl Strategy<Value = BTreeMap<String, Given>> {
    let body = prop_oneof![
        1 => Just(Vec::new()),
        5 => prop::collection::vec(any::<u8>(), 1..200),
        1 => (1..400_000_usize, any::<u8>()).prop_map(|(n, b)| vec![b; n]),
    ];
    let object = (body, headers()).prop_map(|(body, headers)| Given { body, headers });
    prop::collection::btree_map(key(), object, 1..40)
}

fn state(client: &Client, bucket: &str) -> BTreeMap<String, Object> {
    let keys = client.list(bucket, "").unwrap();
    keys.into_iter()
        .map(|key| {
            let object = client.get((bucket, &key)).unwrap();
            let is_promised = |name: &str| {
                ["content-type", "content-encoding", "content-disposition", "content-language"]
                    .contains(&name)
                    || ["cache-control", "expires"].contains(&name)
                    || name.starts_with("x-amz-meta-")
            };
            let mut headers: Vec<_> =
                object.headers.into_iter().filter(|(name, _)| is_promised(name)).collect();
            headers.sort();
            let tags = client.tags((bucket, &key)).unwrap();
            (key, (object.body, headers, tags))
        })
        .collect()
}

fn fill(client: &Client, bucket: &str, objects: &BTreeMap<String, Given>) {
    client.create_bucket(bucket).unwrap();
    for (key, given) in objects {
        let headers: Vec<_> = given.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        client.put((bucket, key), &headers, &given.body).unwrap();
    }
}

#[test]
fn whatever_a_bucket_holds_comes_back_as_it_was() {
    let bench = Bench::new();
    let client = bench.s3.client();
    let numbers = std::cell::Cell::new(0);
    let config = Config { cases: tries(6, 24), failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&bucket(), |objects| {
        let number = numbers.get() + 1;
        numbers.set(number);
        let (from, to, dir) =
            (format!("from-{number}"), format!("to-{number}"), format!("d{number}/m"));
        fill(&client, &from, &objects);
        client.create_bucket(&to).unwrap();
        std::fs::create_dir(bench.path(&format!("d{number}"))).unwrap();
        bench.run(&[&format!("s3://{from}"), &dir, "--quiet"]).with(0);
        bench.run(&["verify", &dir, "--quiet"]).with(0);
        bench.run(&[&dir, &format!("s3://{to}"), "--quiet"]).with(0);
        let beside = std::fs::read_dir(bench.path(&format!("d{number}"))).unwrap().count();
        prop_assert_eq!(beside, 1, "something was written outside");
        let (before, after) = (state(&client, &from), state(&client, &to));
        prop_assert_eq!(before.len(), objects.len());
        for (key, object) in &before {
            prop_assert_eq!(after.get(key), Some(object), "{:?}", key);
        }
        prop_assert_eq!(after.len(), before.len());
        Ok(())
    });
    run.unwrap();
}

#[test]
fn the_hostile_ones_together_an_empty_and_a_huge_object_come_back_as_they_were() {
    let bench = Bench::new();
    let client = bench.s3.client();
    let headers = [
        ("content-type", "text/x"),
        ("x-amz-meta-who", "Jürgen 漢"),
        ("x-amz-tagging", "k=v%2B+w&%C3%BC="),
    ];
    let mut keys: Vec<String> = HOSTILE.iter().map(|k| (*k).to_owned()).collect();
    keys.extend(long_keys());
    for key in &keys {
        bench.s3.put(key, &headers, format!("under {key}").as_bytes()).unwrap();
    }
    bench.s3.put("empty", &[("content-type", "text/none")], b"").unwrap();
    // In parts both ways: three, or thirteen.
    let words = tries(20, 100) * 1024 * 1024_u32 / 4;
    let huge: Vec<u8> = (0..words).flat_map(u32::to_le_bytes).collect();
    bench.s3.put("huge", &headers, &huge).unwrap();
    let before = state(&client, BUCKET);
    assert_eq!(before.len(), keys.len() + 2);
    bench.pull();
    client.create_bucket("copy").unwrap();
    bench.run(&["minio", "s3://copy"]).with(0);
    let after = state(&client, "copy");
    for (key, object) in &before {
        assert!(after.get(key) == Some(object), "{key:?} differs");
    }
    assert_eq!(after.len(), before.len());
    // And a second time there is nothing to do.
    let again = bench.counted(&["minio", "s3://copy"]);
    assert_eq!(again["unchanged"], before.len());
}

#[test]
fn a_change_of_tags_alone_is_sent_back_and_fetched_where_it_is_asked_for() {
    let bench = Bench::new();
    let client = bench.s3.client();
    for key in ["a", "b"] {
        bench.s3.put(key, &[("x-amz-tagging", "state=old")], b"x").unwrap();
    }
    bench.pull();
    let retag = |value: &str| {
        let body = format!(
            "<Tagging><TagSet><Tag><Key>state</Key><Value>{value}</Value></Tag></TagSet></Tagging>"
        );
        client.request("PUT", (BUCKET, "a"), &[("tagging", "")], &[], body.as_bytes()).unwrap();
    };
    retag("new");
    // Neither time nor ETag changes: only a request shows it.
    bench.pull();
    let kept = || crate::kit::index(&bench.path("minio"))[0]["tags"]["state"].clone();
    assert_eq!(kept(), "old");
    bench.run(&["s3://documents", "minio", "--tags", "always"]).with(0);
    assert_eq!(kept(), "new");
    bench.s3.client().create_bucket("copy").unwrap();
    bench.run(&["minio", "s3://copy"]).with(0);
    assert_eq!(client.tags(("copy", "a")).unwrap(), ["state=new"]);
}

#[test]
fn tags_that_changed_since_come_back_without_an_upload() {
    let bench = Bench::new();
    let client = bench.s3.client();
    for key in ["changed", "lost"] {
        bench.s3.put(key, &[("x-amz-tagging", "state=old")], b"x").unwrap();
    }
    bench.s3.put("untagged", &[], b"x").unwrap();
    bench.pull();
    let retag = |key: &str, tags: &str| {
        let body = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
        client.request("PUT", (BUCKET, key), &[("tagging", "")], &[], body.as_bytes()).unwrap();
    };
    let expire = "<Tag><Key>class</Key><Value>expire</Value></Tag>";
    retag("changed", expire);
    retag("lost", "");
    retag("untagged", expire);
    let tags = || ["changed", "lost", "untagged"].map(|key| client.tags((BUCKET, key)).unwrap());
    let before = tags();
    let counted = |options: &[&str]| {
        let counts = bench.counted(&[options, &["minio", "s3://documents"]].concat());
        ["transferred", "bytes", "unchanged"].map(|name| counts[name].as_u64().unwrap())
    };
    let dry = bench.run(&["--dry-run", "minio", "s3://documents"]).with(0);
    assert_eq!(dry.out.lines().count(), 2, "{}", dry.out);
    assert_eq!(counted(&["--tags", "never"]), [0, 0, 3]);
    assert_eq!(counted(&["--ignore-existing"]), [0, 0, 3]);
    assert_eq!(tags(), before);
    assert_eq!(counted(&[]), [2, 0, 1]);
    assert_eq!(tags(), [vec!["state=old"], vec!["state=old"], vec!["class=expire"]]);
    assert_eq!(counted(&["--tags", "always"]), [1, 0, 2]);
    assert_eq!(tags()[2], Vec::<String>::new());
    assert_eq!(counted(&["--tags", "always"]), [0, 0, 3]);
}
