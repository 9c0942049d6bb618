//! Buckets that are missing, and are made.

use crate::kit::{Bench, end};
use test_kit::s3::keys::{READ_ONLY, UPLOAD_ONLY};

#[test]
fn keys_that_may_only_read_are_found_and_nothing_is_stored() {
    let bench = Bench::new();
    let ask = |access: &str, more: &[&str]| {
        let mut command = bench.command(&["status", "--quick", "s3://documents/some/prefix"]);
        end(command.args(more).env("AWS_ACCESS_KEY_ID", access))
    };
    ask(READ_ONLY, &[]).with(0);
    ask(READ_ONLY, &["--writable"]).with(1).reports("writing to s3://documents");
    ask(UPLOAD_ONLY, &["--writable"]).with(1).reports("the keys are refused");
    bench.run(&["status", "--writable", "s3://documents"]).with(0);
    bench.run(&["status", "--json", "--writable", "s3://missing"]).with(0);
    assert!(bench.keys().is_empty());
    let uploads = bench.s3.client().request("GET", ("documents", ""), &[("uploads", "")], &[], b"");
    assert!(!uploads.unwrap().text().contains("<UploadId>"));
}

#[test]
fn a_missing_bucket_is_made_once_and_what_is_there_is_left_alone() {
    let bench = Bench::new();
    let made = bench
        .run(&["make-bucket", "s3://fresh", "--json"])
        .with(0)
        .reports("created bucket fresh at");
    assert_eq!(made.json()["created"], true);
    bench.s3.client().put(("fresh", "a"), &[], b"x").unwrap();
    let again =
        bench.run(&["make-bucket", "--json", "s3://fresh"]).with(0).reports("already exists");
    assert_eq!(again.json()["created"], false);
    assert_eq!(bench.s3.client().list("fresh", "").unwrap(), ["a"]);
    bench.run(&["make-bucket", "s3://fresh/folder"]).with(2);
    bench.run(&["make-bucket", "fresh"]).with(2);
}

#[test]
fn a_bucket_is_made_in_another_region_and_at_another_address() {
    let bench = Bench::new();
    let mut elsewhere = bench.command(&["make-bucket", "s3://far"]);
    end(elsewhere.env("AWS_REGION", "eu-central-1")).with(0);
    let address = bench.s3.endpoint().replace("http://", "");
    let mut dialled = bench.command(&["make-bucket", "s3://near"]);
    dialled.args(["--resolve", &format!("minio:9000:{address}")]);
    end(dialled.env("AWS_ENDPOINT_URL", "http://minio:9000")).with(0);
    for bucket in ["far", "near"] {
        assert!(bench.s3.client().list(bucket, "").is_ok(), "{bucket}");
    }
}

#[test]
fn a_missing_bucket_is_distinguished_from_a_storage_that_does_not_answer() {
    let bench = Bench::new();
    let ask = |bucket| bench.run(&["status", "--quick", "--json", bucket]);
    assert_eq!(ask("s3://missing").with(0).json()["exists"], false);
    assert_eq!(ask("s3://documents").with(0).json()["exists"], true);
    bench.run(&["status", "--quick", "s3://missing"]).with(1).reports("does not exist");
    let whole = |bucket| bench.run(&["status", "--json", bucket]).with(0).json();
    assert_eq!(whole("s3://missing")["exists"], false);
    assert_eq!(whole("s3://documents")["exists"], true);
    bench.run(&["status", "s3://missing"]).with(1).reports("does not exist");
    for verb in [&["status", "--quick", "--json"][..], &["status", "--json"], &["make-bucket"]] {
        let mut gone = bench.command(verb);
        gone.arg("s3://documents").env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        assert_eq!(end(&mut gone).with(1).reports("cannot be reached").out, "");
        let mut refused = bench.command(verb);
        refused.arg("s3://documents").env("AWS_SECRET_ACCESS_KEY", "wrong");
        end(&mut refused).with(1).reports("the keys are refused");
    }
}
