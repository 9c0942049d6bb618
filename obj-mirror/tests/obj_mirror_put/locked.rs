//! Buckets with Object Lock, and keys that may only upload.

use crate::kit::{BUCKET, Bench, Ended, KEY, MIB, OBJECT, end};
use test_kit::S3;
use test_kit::s3::keys::UPLOAD_ONLY;

fn header(bench: &Bench, name: &str) -> Option<String> {
    let answer = bench.s3.client().request("HEAD", (BUCKET, KEY), &[], &[], b"").unwrap();
    answer.header(name).map(str::to_owned)
}

fn status(bench: &Bench, method: &str) -> u16 {
    bench.s3.client().request(method, (BUCKET, KEY), &[], &[], b"other").unwrap().status
}

#[test]
fn a_locked_object_can_be_neither_deleted_nor_replaced() {
    for size in [0, 1000, 17 * MIB] {
        let bench = Bench::with(S3::start_locking(BUCKET).unwrap());
        let (_, bytes) = bench.file("a", size);
        bench.put("a", &["--retain-days", "30"]).with(0);
        assert_eq!(header(&bench, "x-amz-object-lock-mode").as_deref(), Some("GOVERNANCE"));
        let until = header(&bench, "x-amz-object-lock-retain-until-date").unwrap();
        let until: chrono::DateTime<chrono::Utc> = until.parse().unwrap();
        let hours = (until - chrono::Utc::now()).num_hours();
        assert!((30 * 24 - 1..=30 * 24).contains(&hours), "{until}");
        assert_eq!((status(&bench, "DELETE"), status(&bench, "PUT")), (403, 403));
        bench.put("a", &[]).with(1);
        assert!(bench.stored() == bytes);
        assert_eq!(bench.unfinished(), 0);
    }
    let bench = Bench::with(S3::start_locking(BUCKET).unwrap());
    bench.file("a", 5);
    bench.put("a", &["--retain-days", "1", "--retain-mode", "compliance"]).with(0);
    assert_eq!(header(&bench, "x-amz-object-lock-mode").as_deref(), Some("COMPLIANCE"));
    bench.put("a", &["--retain-mode", "compliance"]).with(2);
}

#[test]
fn a_bucket_without_object_lock_stores_nothing_unlocked() {
    let bench = Bench::new();
    for size in [5, 17 * MIB] {
        bench.file("a", size);
        let ended = bench.put("a", &["--retain-days", "30"]).with(1);
        ended.reports("Object Lock").reports("was not stored");
        bench.is_empty();
    }
}

#[test]
fn a_lock_that_the_server_does_not_show_is_none() {
    let bench = Bench::with(S3::start_hiding_locks(BUCKET).unwrap());
    bench.file("a", 5);
    let ended = bench.put("a", &["--retain-days", "30"]).with(1);
    ended.reports("is stored, but the server shows no lock of it");
}

#[test]
fn a_server_that_loses_the_lock_of_an_upload_in_parts_is_asked_for_it_again() {
    for key in [None, Some(UPLOAD_ONLY)] {
        let bench = Bench::with(S3::start_losing_locks_of_parts(BUCKET).unwrap());
        for size in [1000, 17 * MIB] {
            let name = size.to_string();
            let (_, bytes) = bench.file(&name, size);
            let object = format!("s3://{BUCKET}/{name}");
            let mut command = bench.command(&["put", &object, &name, "--retain-days", "30"]);
            if let Some(key) = key {
                command.env("AWS_ACCESS_KEY_ID", key);
            }
            end(&mut command).with(0);
            let ask = |method: &str| {
                bench.s3.client().request(method, (BUCKET, &name), &[], &[], b"").unwrap()
            };
            let answer = ask("HEAD");
            assert_eq!(answer.header("x-amz-object-lock-mode"), Some("GOVERNANCE"), "{size}");
            assert_eq!(ask("DELETE").status, 403, "{size}");
            assert!(ask("GET").body == bytes, "{size}");
        }
    }
}

#[test]
fn an_upload_that_a_killed_run_began_without_a_lock_is_locked_all_the_same() {
    let bench = Bench::with(S3::start_locking(BUCKET).unwrap());
    let (_, bytes) = bench.file("a", 17 * MIB);
    let begun = bench.s3.client().request("POST", (BUCKET, KEY), &[("uploads", "")], &[], b"");
    let begun = begun.unwrap().text();
    let id = begun.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap();
    let query = [("partNumber", "1"), ("uploadId", id)];
    bench.s3.client().request("PUT", (BUCKET, KEY), &query, &[], &bytes[..8 * MIB]).unwrap();
    let report = bench.put("a", &["--retain-days", "30", "--json"]).with(0).json();
    assert_eq!(report["resumed"], 1);
    assert_eq!(header(&bench, "x-amz-object-lock-mode").as_deref(), Some("GOVERNANCE"));
    assert_eq!(status(&bench, "DELETE"), 403);
    assert!(bench.stored() == bytes);
}

#[test]
fn keys_that_may_only_upload_are_enough_to_store() {
    let bench = Bench::new();
    let uploading =
        |args: &[&str]| -> Ended { end(bench.command(args).env("AWS_ACCESS_KEY_ID", UPLOAD_ONLY)) };
    for size in [5, 17 * MIB] {
        let (_, bytes) = bench.file("a", size);
        uploading(&["put", OBJECT, "a"]).with(0);
        assert!(bench.stored() == bytes);
    }
    uploading(&["get", OBJECT]).with(5).reports("refused");
    uploading(&["status", "s3://offsite"]).with(1).reports("refused");
    uploading(&["put", OBJECT, "--", "false"]).with(1);
    assert_eq!(bench.unfinished(), 0);
}
