//! What goes out comes back.

use crate::kit::{BUCKET, Bench, end, files, index, peak, tries};
use std::process::Command;

const HEADERS: [(&str, &str); 8] = [
    ("content-type", "text/x-test; charset=utf-8"),
    ("content-encoding", "gzip"),
    ("content-disposition", "attachment; filename=\"a b.txt\""),
    ("content-language", "de"),
    ("cache-control", "max-age=7, public"),
    ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("x-amz-meta-owner", "someone; with = signs"),
    ("x-amz-meta-second", "2"),
];

#[test]
fn headers_and_metadata_come_back_with_the_bytes() {
    let bench = Bench::new();
    bench.s3.put("full", &HEADERS, b"not really gzip").unwrap();
    bench.s3.put("a/b/plain.txt", &[("content-type", "text/plain")], b"hi").unwrap();
    bench.s3.put("untyped", &[], b"").unwrap();
    let before = bench.state(BUCKET);
    bench.pull();
    assert_eq!(std::fs::read(bench.path("minio/full")).unwrap(), b"not really gzip");
    assert_eq!(files(&bench.path("minio")), ["a/b/plain.txt", "full", "untyped"]);
    let entry = &index(&bench.path("minio"))[1];
    assert_eq!(entry["content_encoding"], "gzip");
    assert_eq!(entry["metadata"]["owner"], "someone; with = signs");
    assert_eq!(entry["size"], 15);

    bench.s3.client().create_bucket("copy").unwrap();
    bench.run(&["minio", "s3://copy"]).with(0);
    assert_eq!(bench.state("copy"), before);
}

#[test]
fn a_host_without_a_name_here_is_reached_at_the_given_address() {
    let bench = Bench::new();
    bench.s3.put("a b/ü", &HEADERS, b"bytes").unwrap();
    bench.s3.put("large", &[], &vec![7; 20 << 20]).unwrap();
    let before = bench.state(BUCKET);
    let endpoint = bench.s3.env().into_iter().find(|(n, _)| n == "AWS_ENDPOINT_URL").unwrap().1;
    let address = endpoint.strip_prefix("http://").unwrap();
    let resolve = format!("minio.invalid:9000:{address}");
    let run = |args: &[&str], by_variable: bool| {
        let mut command = bench.command(args);
        command.env("AWS_ENDPOINT_URL", "http://minio.invalid:9000");
        if by_variable {
            command.env("PIPRIO_RESOLVE", format!("redis:6379:127.0.0.1:1 {resolve}"));
        } else {
            command.args(["--resolve", &resolve]);
        }
        end(&mut command)
    };
    run(&["s3://documents", "minio"], true).with(0);
    bench.s3.client().create_bucket("copy").unwrap();
    run(&["minio", "s3://copy"], false).with(0);
    assert_eq!(bench.state("copy").len(), before.len());
    assert_eq!(bench.state("copy")[0], before[0]);
    assert!(run(&["status", "s3://copy"], true).with(0).out.contains("objects: 2"));
    run(&["s3://documents", "minio", "--resolve", "minio.invalid:1:127.0.0.1"], false).with(0);
    bench.run(&["status", "s3://documents", "--resolve", "other:1:127.0.0.1"]).with(0);
}

#[test]
fn changed_properties_alone_are_sent_back() {
    let bench = Bench::new();
    bench.s3.put("a", &HEADERS, b"same bytes").unwrap();
    bench.s3.put("b", &[("content-type", "text/plain")], b"same too").unwrap();
    let before = bench.state(BUCKET);
    bench.pull();
    bench.s3.put("a", &[("content-type", "image/png")], b"same bytes").unwrap();
    bench.s3.put("b", &[("content-type", "text/plain")], b"same too").unwrap();
    let summary = bench.counted(&["minio", "s3://documents"]);
    assert_eq!((&summary["transferred"], &summary["unchanged"]), (&1.into(), &1.into()));
    assert_eq!(bench.state(BUCKET), before);
}

#[test]
fn files_and_directories_are_closed_to_others_and_carry_the_objects_time() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let bench = Bench::new();
    bench.s3.put("d/a", &[], b"x").unwrap();
    bench.pull();
    let mode = |path: &str| bench.path(path).metadata().unwrap().permissions().mode() & 0o777;
    for dir in ["minio", "minio/d", "minio/.obj-mirror"] {
        assert_eq!(mode(dir), 0o700, "{dir}");
    }
    for file in ["d/a", ".obj-mirror/index.jsonl", ".obj-mirror/SHA256SUMS"] {
        assert_eq!(mode(&format!("minio/{file}")), 0o600, "{file}");
    }
    let modified: chrono::DateTime<chrono::Utc> =
        index(&bench.path("minio"))[0]["last_modified"].as_str().unwrap().parse().unwrap();
    assert_eq!(bench.path("minio/d/a").metadata().unwrap().mtime(), modified.timestamp());
}

#[test]
fn a_bucket_of_several_pages_is_mirrored_whole_and_the_second_run_fetches_nothing() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("many")).unwrap();
    for n in 0..2100 {
        std::fs::write(bench.path(&format!("many/{n:05}")), format!("object {n}")).unwrap();
    }
    bench.run(&["many", "s3://documents"]).with(0);
    assert_eq!(bench.keys().len(), 2100);
    bench.pull();
    assert_eq!(files(&bench.path("minio")), files(&bench.path("many")));
    for name in ["00000", "01000", "02099"] {
        let read = |dir: &str| std::fs::read(bench.path(dir).join(name)).unwrap();
        assert_eq!(read("minio"), read("many"));
    }
    let fetched = bench.s3.count("GetObject").unwrap();
    assert_eq!(fetched, 2100);
    let summary = bench.counted(&["s3://documents", "minio"]);
    assert_eq!((&summary["transferred"], &summary["unchanged"]), (&0.into(), &2100.into()));
    assert_eq!(bench.s3.count("GetObject").unwrap(), fetched);
    // Nor does a push send what is there.
    let sent = bench.s3.count("PutObject").unwrap();
    let summary = bench.counted(&["minio", "s3://documents"]);
    assert_eq!(summary["unchanged"], 2100);
    assert_eq!(bench.s3.count("PutObject").unwrap(), sent);
    assert_eq!(bench.s3.count("HeadObject").unwrap(), 0);
}

#[test]
fn only_what_changed_is_fetched_again() {
    let bench = Bench::new();
    for key in ["same", "changed", "damaged"] {
        bench.s3.put(key, &[], key.as_bytes()).unwrap();
    }
    bench.pull();
    bench.s3.put("changed", &[], b"CHANGED").unwrap();
    std::fs::write(bench.path("minio/damaged"), "DAMAGED").unwrap();
    let summary = bench.counted(&["s3://documents", "minio"]);
    assert_eq!((&summary["transferred"], &summary["unchanged"]), (&2.into(), &1.into()));
    assert_eq!(std::fs::read(bench.path("minio/changed")).unwrap(), b"CHANGED");
    assert_eq!(std::fs::read(bench.path("minio/damaged")).unwrap(), b"damaged");
    bench.run(&["verify", "minio"]).with(0);
}

#[test]
fn many_large_objects_at_once_share_the_memory_and_all_get_through() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("large")).unwrap();
    let pairs: u8 = tries(8, 12);
    for n in 0..pairs {
        std::fs::write(bench.path(&format!("large/parts{n}")), vec![n; 20 * 1024 * 1024]).unwrap();
        std::fs::write(bench.path(&format!("large/whole{n}")), vec![n; 9 * 1024 * 1024]).unwrap();
    }
    let (pushed, ok) = peak(bench.command(&["large", "s3://documents"]));
    assert!(ok && pushed < 260, "{pushed} MiB");
    let status = bench.run(&["status", "s3://documents"]).with(0);
    assert_eq!(
        status.out,
        format!("objects: {}\nbytes: {}\n", 2 * pairs, u64::from(pairs) * 29 * 1024 * 1024)
    );
}

#[test]
fn large_objects_go_in_parts_and_never_lie_in_memory_whole() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("large")).unwrap();
    // Larger than what the run may hold.
    let mib: usize = tries(240, 300);
    let mut bytes = vec![b'x'; mib * 1024 * 1024];
    for (n, block) in bytes.chunks_mut(4096).enumerate() {
        block[..8].copy_from_slice(&n.to_le_bytes());
    }
    std::fs::write(bench.path("large/most"), &bytes).unwrap();
    std::fs::write(bench.path("large/40"), &bytes[..40 * 1024 * 1024]).unwrap();
    std::fs::write(bench.path("large/16"), &bytes[..16 * 1024 * 1024]).unwrap();

    let (pushed, ok) = peak(bench.command(&["large", "s3://documents"]));
    assert!(ok && pushed < 220, "{pushed} MiB");
    assert_eq!(bench.s3.count("UploadPart").unwrap(), mib.div_ceil(8) as u64 + 5);
    assert_eq!(bench.s3.count("PutObject").unwrap(), 1);

    let (pulled, ok) = peak(bench.command(&["s3://documents", "minio"]));
    assert!(ok && pulled < 120, "{pulled} MiB");
    for name in ["most", "40", "16"] {
        let read = |dir: &str| std::fs::read(bench.path(dir).join(name)).unwrap();
        assert!(read("minio") == read("large"), "{name} differs");
    }
    // Sent in parts by us, it is known again although its ETag is no hash of the whole.
    let summary = bench.counted(&["large", "s3://documents"]);
    assert_eq!((&summary["transferred"], &summary["unchanged"]), (&0.into(), &3.into()));
}

#[test]
fn a_prefix_is_a_folder_and_the_rest_of_the_bucket_is_left_alone() {
    let bench = Bench::new();
    for key in ["in/a", "in/b/c", "inside", "out"] {
        bench.s3.put(key, &[], key.as_bytes()).unwrap();
    }
    bench.run(&["s3://documents/in", "minio"]).with(0);
    assert_eq!(files(&bench.path("minio")), ["a", "b/c"]);
    bench.run(&["minio", "s3://documents/other/place"]).with(0);
    bench.s3.put("in/later", &[], b"").unwrap();
    bench.run(&["--delete", "minio", "s3://documents/in/"]).with(0);
    let keys = ["in/a", "in/b/c", "inside", "other/place/a", "other/place/b/c", "out"];
    assert_eq!(bench.keys(), keys);
    let status = bench.run(&["status", "s3://documents/in", "--json"]).with(0).json();
    assert_eq!(status["objects"], 2);
}

#[test]
fn an_empty_bucket_is_a_whole_mirror_that_empties_a_bucket() {
    let bench = Bench::new();
    bench.pull();
    assert!(index(&bench.path("minio")).is_empty());
    bench.run(&["verify", "minio"]).with(0);
    bench.s3.put("later", &[], b"").unwrap();
    bench.run(&["--delete", "minio", "s3://documents"]).with(0);
    assert!(bench.keys().is_empty());
}

#[test]
fn a_directory_without_an_index_is_sent_with_types_by_extension() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("plain/sub")).unwrap();
    std::fs::write(bench.path("plain/sub/a.json"), "{}").unwrap();
    std::fs::write(bench.path("plain/b"), "?").unwrap();
    bench.run(&["plain", "s3://documents"]).with(0);
    let kind = |key: &str| {
        let object = bench.s3.client().get((BUCKET, key)).unwrap();
        object.header("content-type").unwrap().to_owned()
    };
    assert_eq!(kind("sub/a.json"), "application/json");
    assert_eq!(kind("b"), "application/octet-stream");
    let again = bench.counted(&["plain", "s3://documents"]);
    assert_eq!(again["unchanged"], 2);
}

#[test]
fn a_dry_run_prints_its_plan_and_changes_nothing() {
    let bench = Bench::new();
    bench.s3.put("a\nb", &[], b"x").unwrap();
    bench.s3.put("c", &[], b"x").unwrap();
    let printed = bench.run(&["--dry-run", "s3://documents", "minio"]).with(0);
    assert_eq!(printed.out, "download a\\nb\ndownload c\n");
    assert!(!bench.path("minio").exists());
    bench.pull();
    bench.s3.client().delete((BUCKET, "c")).unwrap();
    bench.s3.put("extra", &[], b"x").unwrap();
    let printed = bench.run(&["--dry-run", "--delete", "minio", "s3://documents"]).with(0);
    assert_eq!(printed.out, "upload c\ndelete extra\n");
    assert_eq!(bench.keys(), ["a\nb", "extra"]);
    let printed = bench.run(&["--dry-run", "--delete", "s3://documents", "minio"]).with(0);
    assert_eq!(printed.out, "download extra\ndelete c\n");
    let json = bench.run(&["--dry-run", "--json", "s3://documents", "minio"]).with(0).json();
    assert_eq!(json["plan"][0]["key"], "extra");
    assert!(bench.path("minio/c").exists() && !bench.path("minio/extra").exists());
}

#[test]
fn plain_sha256sum_checks_a_mirror() {
    let bench = Bench::new();
    for key in ["a", "a/b", "back\\slash", "sp ace", "new\nline", "ü"] {
        bench.s3.put(key, &[], key.as_bytes()).unwrap();
    }
    bench.pull();
    let check = || {
        let mut command = Command::new("sha256sum");
        command.args(["-c", "--strict", "--quiet", ".obj-mirror/SHA256SUMS"]);
        end(command.current_dir(bench.path("minio")))
    };
    check().with(0);
    std::fs::write(bench.path("minio/ü"), "other").unwrap();
    check().with(1);
}

#[test]
fn status_counts_and_names_what_it_counted() {
    let bench = Bench::new();
    bench.s3.put("a", &[], b"12345").unwrap();
    bench.s3.put("b/c", &[], b"678").unwrap();
    let status = bench.run(&["status", "s3://documents"]).with(0);
    assert_eq!(status.out, "objects: 2\nbytes: 8\n");
    let json = bench.run(&["status", "s3://documents", "--json"]).with(0).json();
    assert_eq!(json["bucket"], "documents");
    assert_eq!(json["endpoint"], bench.s3.endpoint());
    assert_eq!((&json["objects"], &json["bytes"]), (&2.into(), &8.into()));
    bench.run(&["status", "s3://nothing"]).with(1).reports("bucket nothing does not exist");
}
