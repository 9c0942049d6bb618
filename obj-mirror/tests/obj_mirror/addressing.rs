//! How requests name their bucket, and temporary keys: what goes over the wire, and that the server,
//! which checks every signature, takes it.

use crate::kit::{BUCKET, Bench, Ended, Object, end};
use crate::proxy::{Fate, Proxy};
use std::sync::{Arc, Mutex};

/// Keys that are easily sent as others where the path begins with them, and one that goes in parts.
fn filled() -> (Bench, Vec<Object>) {
    let bench = Bench::new();
    for key in ["a", "a/b", "/a", "//", "..", "a/../b", "%2e%2e/x", "ü ü"] {
        bench.s3.put(key, &[("x-amz-meta-who", "me")], key.as_bytes()).unwrap();
    }
    std::fs::create_dir(bench.path("large")).unwrap();
    std::fs::write(bench.path("large/large"), vec![7; 17 << 20]).unwrap();
    bench.run(&["large", "s3://documents"]).with(0);
    let before = bench.state(BUCKET);
    (bench, before)
}

/// A proxy before the server that keeps the heads of all requests.
fn recorder(bench: &Bench) -> (Proxy, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    let proxy = Proxy::before(&bench.s3.endpoint(), move |head| {
        kept.lock().unwrap().push(head.to_owned());
        Fate::Pass
    });
    (proxy, heads)
}

/// There and back through the proxy: `documents` to a directory to `copy`.
fn there_and_back(bench: &Bench, run: impl Fn(&[&str]) -> Ended) {
    run(&["s3://documents", "minio"]).with(0);
    run(&["make-bucket", "s3://copy"]).with(0);
    run(&["minio", "s3://copy"]).with(0);
    run(&["status", "s3://copy"]).with(0);
    bench.run(&["verify", "minio"]).with(0);
}

#[test]
fn the_virtual_host_style_brings_everything_there_and_back_and_names_the_bucket_in_the_host_alone()
{
    let (bench, before) = filled();
    let (proxy, heads) = recorder(&bench);
    let address = proxy.endpoint().replace("http://", "");
    there_and_back(&bench, |args| {
        let mut command = bench.command(args);
        command.env("AWS_ENDPOINT_URL", "http://storage.test:9000");
        command.env("S3_FORCE_PATH_STYLE", "no");
        command.env("PIPRIO_RESOLVE", format!("storage.test:9000:{address}"));
        end(&mut command)
    });
    assert_eq!(bench.state("copy"), before);
    let heads = heads.lock().unwrap();
    for head in &*heads {
        let hosts = ["documents", "copy"].map(|b| format!("\r\nhost: {b}.storage.test:9000\r\n"));
        assert!(hosts.iter().any(|host| head.contains(host)), "{head}");
        let path = head.split(' ').nth(1).unwrap();
        assert!(!path.starts_with("/documents") && !path.starts_with("/copy"), "{head}");
    }
    for start in ["GET /?", "PUT / ", "GET /a/../b ", "GET //a ", "PUT /%252e%252e/x "] {
        assert!(heads.iter().any(|head| head.starts_with(start)), "{start}");
    }
}

#[test]
fn a_session_token_goes_with_every_request_and_is_signed() {
    let (bench, before) = filled();
    let (proxy, heads) = recorder(&bench);
    let token = "FwoGZXIvYXdzEXAMPLE//token+of/some=length==";
    there_and_back(&bench, |args| {
        let mut command = bench.command(args);
        command.env("AWS_ENDPOINT_URL", proxy.endpoint()).env("AWS_SESSION_TOKEN", token);
        let ended = end(&mut command);
        assert!(!ended.out.contains(token) && !ended.err.contains(token), "{ended:?}");
        ended
    });
    assert_eq!(bench.state("copy"), before);
    let heads = heads.lock().unwrap();
    assert!(!heads.is_empty());
    for head in &*heads {
        assert!(head.contains(&format!("\r\nx-amz-security-token: {token}\r\n")), "{head}");
        let names = head.split_once("SignedHeaders=").unwrap().1.split(',').next().unwrap();
        assert!(names.split(';').any(|name| name == "x-amz-security-token"), "{head}");
    }
}
