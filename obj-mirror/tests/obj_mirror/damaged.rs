//! A damaged mirror that is the only copy: what is whole goes back, and nothing else.

use crate::kit::{BUCKET, Bench, index};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;

/// An object: its key, a hash of its bytes, its headers.
type Object = (String, u64, Vec<(String, String)>);

/// What the bucket holds now, without what it held before the push.
fn sent(bench: &Bench) -> Vec<Object> {
    let hashed = |body: &[u8]| {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        hasher.finish()
    };
    let objects = bench.state(BUCKET).into_iter().filter(|(key, ..)| key != "extra");
    objects
        .map(|(key, body, mut headers)| {
            // An object sent in parts has another ETag than one sent whole.
            headers.retain(|(name, _)| name != "etag");
            (key, hashed(&body), headers)
        })
        .collect()
}

/// A mirror of seven objects, one of them in parts, one lying aside, and an emptied bucket.
fn mirror() -> (Bench, Vec<Object>) {
    let bench = Bench::new();
    let headers = [("x-amz-meta-who", "me"), ("content-type", "text/odd")];
    for key in ["cut", "flipped", "gone", "fine", "a", "a/b"] {
        bench.s3.put(key, &headers, format!("content of {key}").as_bytes()).unwrap();
    }
    bench.s3.put("large", &headers, &vec![7; 20 << 20]).unwrap();
    bench.pull();
    let before = sent(&bench);
    for key in bench.keys() {
        bench.s3.client().delete((BUCKET, &key)).unwrap();
    }
    bench.s3.put("extra", &[], b"kept").unwrap();
    (bench, before)
}

fn own(bench: &Bench, name: &str) -> std::path::PathBuf {
    bench.path("minio/.obj-mirror").join(name)
}

fn without(objects: &[Object], keys: &[&str]) -> Vec<Object> {
    objects.iter().filter(|o| !keys.contains(&o.0.as_str())).cloned().collect()
}

fn spoil_objects(bench: &Bench) {
    fs::write(bench.path("minio/flipped"), "Content of flipped").unwrap();
    fs::write(bench.path("minio/cut"), "content").unwrap();
    fs::remove_file(bench.path("minio/gone")).unwrap();
    let large = fs::File::options().write(true).open(bench.path("minio/large")).unwrap();
    large.write_at(b"x", 19 << 20).unwrap();
}

#[test]
fn damaged_objects_are_left_out_by_name_and_every_other_is_sent() {
    let (bench, before) = mirror();
    spoil_objects(&bench);
    let ended = bench.run(&["--skip-damaged", "minio", "s3://documents", "--json"]).with(3);
    let json = ended.json();
    let mut names: Vec<_> =
        json["left_out"].as_array().unwrap().iter().map(|f| f["key"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["cut", "flipped", "gone", "large"]);
    for name in names {
        assert!(ended.err.contains(&format!("left out: {name}: ")), "{}", ended.err);
    }
    assert_eq!(json["failed"], serde_json::json!([]));
    assert_eq!(sent(&bench), without(&before, &["cut", "flipped", "gone", "large"]));
    assert!(bench.keys().contains(&"extra".to_owned()), "nothing is deleted");
    // What the bucket has in a damaged one's place stays as well.
    bench.s3.put("flipped", &[], b"older").unwrap();
    bench.run(&["--skip-damaged", "minio", "s3://documents"]).with(3);
    assert_eq!(bench.s3.client().get((BUCKET, "flipped")).unwrap().body, b"older");
}

#[test]
fn without_the_option_damaged_objects_fail_and_nothing_is_deleted() {
    let (bench, before) = mirror();
    spoil_objects(&bench);
    let ended = bench.run(&["--delete", "minio", "s3://documents"]).with(3);
    for name in ["cut", "flipped", "gone", "large"] {
        assert!(ended.err.contains(&format!("failed: {name}: ")), "{}", ended.err);
    }
    assert_eq!(sent(&bench), without(&before, &["cut", "flipped", "gone", "large"]));
    assert!(bench.keys().contains(&"extra".to_owned()));
}

#[test]
fn leaving_out_and_deleting_are_not_asked_for_together() {
    let (bench, _) = mirror();
    bench.run(&["--skip-damaged", "--delete", "minio", "s3://documents"]).with(2);
    bench.run(&["--skip-damaged", "s3://documents", "other"]).with(2);
    assert_eq!(bench.keys(), ["extra"]);
}

#[test]
fn a_whole_mirror_is_sent_whole() {
    let (bench, before) = mirror();
    bench.run(&["--skip-damaged", "minio", "s3://documents"]).with(0);
    assert_eq!(sent(&bench), before);
}

#[test]
fn a_line_lost_from_the_index_costs_what_only_it_knew() {
    let (bench, before) = mirror();
    let text = fs::read_to_string(own(&bench, "index.jsonl")).unwrap();
    // `a` lies aside, so its key is lost; `fine` lies at its key, so only its headers are.
    let damaged: String = text
        .lines()
        .map(|l| {
            let lost = l.contains(r#""key":"a","#) || l.contains(r#""key":"fine""#);
            if lost { "{damaged\n".to_owned() } else { format!("{l}\n") }
        })
        .collect();
    fs::write(own(&bench, "index.jsonl"), damaged).unwrap();
    fs::write(bench.path("minio/flipped"), "Content of flipped").unwrap();
    bench.run(&["minio", "s3://documents"]).with(4);
    assert_eq!(bench.keys(), ["extra"]);
    let ended = bench.run(&["--skip-damaged", "minio", "s3://documents"]).with(3);
    let ended = ended.reports("left out: flipped").reports("its key is unknown");
    assert!(ended.err.contains("index.jsonl, line "), "{}", ended.err);
    let expected = without(&before, &["a", "fine", "flipped"]);
    assert_eq!(without(&sent(&bench), &["fine"]), expected);
    assert_eq!(bench.s3.client().get((BUCKET, "fine")).unwrap().body, b"content of fine");
}

#[test]
fn a_lost_index_leaves_the_sums_and_lost_sums_leave_the_index() {
    let (bench, before) = mirror();
    fs::write(bench.path("minio/flipped"), "Content of flipped").unwrap();
    let listed = fs::read(own(&bench, "index.jsonl")).unwrap();
    fs::remove_file(own(&bench, "index.jsonl")).unwrap();
    bench.run(&["--skip-damaged", "minio", "s3://documents"]).with(3).reports("lost its index");
    let bodies = |objects: &[Object]| -> Vec<(String, u64)> {
        objects.iter().map(|o| (o.0.clone(), o.1)).collect()
    };
    assert_eq!(bodies(&sent(&bench)), bodies(&without(&before, &["a", "flipped"])));

    fs::write(own(&bench, "index.jsonl"), listed).unwrap();
    fs::remove_file(own(&bench, "SHA256SUMS")).unwrap();
    bench.run(&["--skip-damaged", "minio", "s3://documents"]).with(3).reports("disagree");
    assert_eq!(sent(&bench), without(&before, &["flipped"]), "properties come back too");
}

#[test]
fn an_object_that_either_list_proves_is_sent() {
    let (bench, before) = mirror();
    let text = fs::read_to_string(own(&bench, "index.jsonl")).unwrap();
    let entries = index(&bench.path("minio"));
    let entry = entries.iter().find(|e| e["key"] == "fine").unwrap();
    let sum = entry["sha256"].as_str().unwrap();
    let other = format!("{}{}", if sum.starts_with('0') { '1' } else { '0' }, &sum[1..]);
    fs::write(own(&bench, "index.jsonl"), text.replace(sum, &other)).unwrap();
    bench.run(&["--skip-damaged", "minio", "s3://documents"]).with(0).reports("disagree");
    assert_eq!(sent(&bench), before);
}
