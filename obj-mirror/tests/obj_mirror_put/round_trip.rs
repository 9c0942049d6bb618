//! What is stored comes back.

use crate::kit::{BUCKET, Bench, Ended, KEY, MIB, OBJECT, framed, peak, sha256};
use std::fs::File;
use std::process::Stdio;
use test_kit::S3;

const SIZES: [usize; 9] =
    [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 17 * MIB + 3];

/// How an object is stored.
type Run<'a> = (&'static str, Box<dyn Fn() -> Ended + 'a>);

#[test]
fn every_size_comes_back_from_every_kind_of_input() {
    let bench = Bench::new();
    for size in SIZES {
        let (path, bytes) = bench.file("a", size);
        let shown = path.to_str().unwrap();
        let parts = size.div_ceil(8 * MIB).max(1);
        let runs: [Run<'_>; 5] = [
            ("< FILE", Box::new(|| bench.put("a", &["--json"]))),
            ("FILE", Box::new(|| bench.run(&["put", OBJECT, shown, "--json"]))),
            ("pipe", Box::new(|| bench.pipe(&bytes, &["--json"]))),
            ("COMMAND", Box::new(|| bench.run(&["put", OBJECT, "--json", "--", "cat", shown]))),
            ("framed", Box::new(|| bench.pipe(&framed(&bytes), &["--json", "--framed"]))),
        ];
        for (how, run) in runs {
            let report = run().with(0).json();
            assert_eq!(report["bytes"], size, "{how}");
            assert_eq!(report["parts"], parts, "{how}, {size} bytes");
            if how != "framed" {
                assert_eq!(report["sha256"], sha256(&bytes), "{how}");
            }
            assert!(bench.stored() == bytes, "{how}, {size} bytes");
            let got = bench.get(&[]).with(0);
            assert!(got.out == bytes, "{how}, {size} bytes");
            assert!(got.err.contains("match the server's SHA-256"), "{how}: {}", got.err);
            bench.s3.client().delete((BUCKET, KEY)).unwrap();
        }
    }
    bench.is_empty();
}

#[test]
fn a_file_is_stored_from_where_it_was_read_to() {
    let bench = Bench::new();
    let (path, bytes) = bench.file("a", 9 * MIB);
    let script = format!("{{ head -c 4096 >/dev/null; exec \"$@\"; }} < '{}'", path.display());
    let tool = test_kit::tool("obj-mirror");
    let mut command = bench.command(&[]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(tool).args(["put", OBJECT]);
    shell.envs(command.envs(bench.s3.env()).get_envs().filter_map(|(k, v)| Some((k, v?))));
    assert!(shell.status().unwrap().success());
    let stored = bench.stored();
    assert!(stored == bytes[bytes.len() - stored.len()..] && stored.len() < bytes.len());
}

#[test]
fn a_large_object_never_lies_in_memory_whole() {
    let bench = Bench::new();
    let (path, bytes) = bench.file("large", 200 * MIB);
    let shown = path.to_str().unwrap();
    for args in [&["put", OBJECT, shown][..], &["put", OBJECT, "--", "cat", shown]] {
        let (used, ok) = peak(&mut bench.start(args));
        assert!(ok && used < 64, "{args:?}: {used} MiB");
        assert!(bench.stored() == bytes);
    }
    let mut command = bench.command(&["get", OBJECT]);
    command.stdout(File::create(bench.path("got")).unwrap()).stderr(Stdio::null());
    let (used, ok) = peak(&mut command.spawn().unwrap());
    assert!(ok && used < 64, "{used} MiB");
    assert!(std::fs::read(bench.path("got")).unwrap() == bytes);
}

#[test]
fn a_server_that_knows_no_sha256_takes_it_and_the_etag_is_compared() {
    for s3 in [S3::start_refusing_checksums(BUCKET), S3::start_demanding_checksums(BUCKET)] {
        let bench = Bench::with(s3.unwrap());
        for size in [0, 5, 17 * MIB] {
            let (_, bytes) = bench.file("a", size);
            bench.put("a", &[]).with(0);
            let url = bench.s3.endpoint();
            // Without asking for checksums, as an old version would.
            assert!(bench.stored() == bytes, "{url}");
        }
    }
}

#[test]
fn an_object_without_a_comparable_checksum_comes_back_with_a_warning() {
    let bench = Bench::new();
    let (_, bytes) = bench.file("a", 11 * MIB);
    let client = bench.s3.client();
    let at = (BUCKET, KEY);
    let begun = client.request("POST", at, &[("uploads", "")], &[], b"").unwrap().text();
    let id = begun.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap();
    let mut list = String::new();
    for (n, part) in bytes.chunks(5 * MIB).enumerate() {
        let number = (n + 1).to_string();
        let query = [("partNumber", &*number), ("uploadId", id)];
        let etag = client.request("PUT", at, &query, &[], part).unwrap();
        let etag = etag.header("etag").unwrap().to_owned();
        list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let done = client.request("POST", at, &[("uploadId", id)], &[], body.as_bytes()).unwrap();
    assert_eq!(done.status, 200, "{}", done.text());
    let got = bench.get(&[]).with(0).reports("only its length was checked");
    assert!(got.out == bytes);
    let got = bench.get(&["--sha256", &sha256(&bytes)]).with(0);
    assert!(got.out == bytes && !got.err.contains("warning"), "{}", got.err);
    bench.get(&["--sha256", &sha256(b"")]).with(4).reports("its SHA-256 is");
}

#[test]
fn a_range_is_both_its_ends_and_what_lies_between() {
    let bench = Bench::new();
    let (_, bytes) = bench.file("a", 9 * MIB);
    bench.put("a", &[]).with(0);
    let range = |text: &str| bench.get(&["--range", text]);
    assert_eq!(range("0-0").with(0).out, bytes[..1]);
    assert_eq!(range("4096-8191").with(0).out, bytes[4096..8192]);
    assert_eq!(range("9437000-").with(0).out, bytes[9_437_000..]);
    assert_eq!(range("9437000-99999999").with(0).out, bytes[9_437_000..]);
    range("9437184-").with(2).reports("no byte 9437184");
    range("5-4").with(2);
    let part = sha256(&bytes[10..20]);
    bench.get(&["--range", "10-19", "--sha256", &part]).with(0);
    bench.get(&["--range", "10-20", "--sha256", &part]).with(4);
}
