//! Networks that lose a little all the time, and runs that are killed at any moment.

use crate::kit::{Bench, end, files, index, tries};
use crate::proxy::{Fate, Proxy};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn filled(count: usize) -> Bench {
    let bench = Bench::new();
    for n in 0..count {
        let key = if n % 50 == 7 { format!("odd//{n:04}") } else { format!("dir{}/{n:04}", n % 5) };
        bench.s3.put(&key, &[("content-type", "text/x")], &vec![n as u8; 100 + n * 37]).unwrap();
    }
    bench.s3.put("large", &[], &vec![9; tries(20, 40) << 20]).unwrap();
    bench
}

/// The mirror is exactly what a quiet network gives, with nothing beside it.
fn is_exact(bench: &Bench, mirror: &str) {
    bench.run(&["verify", mirror, "--quiet"]).with(0);
    bench.run(&["s3://documents", "calm", "--quiet"]).with(0);
    let (a, b) = (bench.path(mirror), bench.path("calm"));
    assert_eq!(index(&a), index(&b));
    assert_eq!(files(&a), files(&b));
    let own = |dir: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir.join(".obj-mirror"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| name != "objects");
        names.sort();
        names
    };
    assert_eq!(own(&a), ["SHA256SUMS", "index.jsonl"]);
}

/// Drops 2 % of requests, answers 1 % with 503 and cuts 1 % of bodies.
fn lossy(bench: &Bench) -> Proxy {
    let number = AtomicU64::new(0);
    Proxy::before(&bench.s3.endpoint(), move |_| {
        match number.fetch_add(1, Ordering::SeqCst) % 100 {
            17 | 71 => Fate::Drop,
            39 => Fate::Busy,
            83 => Fate::Cut(300),
            _ => Fate::Pass,
        }
    })
}

#[test]
fn a_network_that_loses_a_little_all_the_time_still_gives_an_exact_mirror_both_ways() {
    let bench = filled(tries(300, 500));
    let proxy = lossy(&bench);
    let through =
        |args: &[&str]| end(bench.command(args).env("AWS_ENDPOINT_URL", proxy.endpoint())).with(0);
    through(&["s3://documents", "minio"]);
    is_exact(&bench, "minio");
    bench.s3.client().create_bucket("copy").unwrap();
    through(&["--delete", "minio", "s3://copy"]);
    let without_parts = |bucket| -> Vec<_> {
        let state = bench.state(bucket).into_iter();
        state.filter(|(key, ..)| key != "large").collect()
    };
    assert_eq!(without_parts("copy"), without_parts("documents"));
    let large = |bucket| bench.s3.client().get((bucket, "large")).unwrap().body;
    assert!(large("copy") == large("documents"));
}

#[test]
fn a_key_that_fails_for_ever_is_named_and_the_others_are_there() {
    let bench = filled(60);
    let proxy = Proxy::before(&bench.s3.endpoint(), |line| {
        if line.contains("/0011 ") { Fate::Drop } else { Fate::Pass }
    });
    let mut command = bench.command(&["s3://documents", "minio"]);
    let ended = end(command.env("AWS_ENDPOINT_URL", proxy.endpoint())).with(3);
    ended.reports("failed: dir1/0011: ").reports("1 failed, each named above");
    assert_eq!(files(&bench.path("minio")).len(), 58);
    bench.pull();
    is_exact(&bench, "minio");
}

#[test]
fn a_run_killed_at_any_moment_is_made_exact_by_the_next() {
    let bench = filled(300);
    // Few or many, over the same third of a second.
    let (step, look) = tries((6, 4), (1, 10));
    for number in 0..tries(8, 50_u64) {
        let moment = number * step;
        let mut child = bench.command(&["s3://documents", "minio", "--quiet"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(moment * 7));
        child.kill().unwrap();
        child.wait().unwrap();
        if number % look == look - 1 {
            bench.pull();
            is_exact(&bench, "minio");
            if number % (2 * look) == look - 1 {
                std::fs::remove_dir_all(bench.path("minio")).unwrap();
            }
        }
    }
    bench.pull();
    is_exact(&bench, "minio");
}

#[test]
fn a_silent_server_fails_the_request_and_a_total_time_ends_a_run() {
    let bench = filled(5);
    let proxy = Proxy::before(&bench.s3.endpoint(), |line| {
        if line.contains("/0003 ") { Fate::Hang } else { Fate::Pass }
    });
    let mut command = bench.command(&["s3://documents", "minio", "--timeout", "2"]);
    let ended = end(command.env("AWS_ENDPOINT_URL", proxy.endpoint())).with(1);
    ended.reports("not finished within 2 s").reports("run it again to continue");
    let mut command = bench.command(&["s3://documents", "minio", "--request-timeout", "1"]);
    let ended = end(command.env("AWS_ENDPOINT_URL", proxy.endpoint())).with(3);
    ended.reports("failed: dir3/0003: no answer within 1 s");
    bench.pull();
    is_exact(&bench, "minio");
}

#[test]
fn no_more_bytes_a_second_go_than_asked_for() {
    let bench = Bench::new();
    bench.s3.put("a", &[], &vec![1; 3_000_000]).unwrap();
    for args in [["s3://documents", "minio"], ["minio", "s3://documents/copy"]] {
        let args = [&args[..], &["--max-rate", "1.5M"]].concat();
        let seconds = bench.counted(&args)["seconds"].as_f64().unwrap();
        // Less than two seconds would be more than asked for; the first piece goes at once.
        assert!(seconds > 1.5, "{seconds} s");
    }
}

#[test]
fn an_object_that_changes_while_it_is_fetched_in_parts_is_fetched_again() {
    let bench = filled(3);
    let new = vec![3; tries(21, 41) << 20];
    let expected = new.clone();
    let (client, number) = (bench.s3.client(), AtomicU64::new(0));
    let proxy = Proxy::before(&bench.s3.endpoint(), move |line| {
        // The third part, when others of the old object lie on the disk.
        if line.contains("/large ") && number.fetch_add(1, Ordering::SeqCst) == 2 {
            client.put(("documents", "large"), &[("x-amz-meta-new", "1")], &new).unwrap();
        }
        Fate::Pass
    });
    let mut command = bench.command(&["s3://documents", "minio"]);
    end(command.env("AWS_ENDPOINT_URL", proxy.endpoint())).with(0);
    assert!(std::fs::read(bench.path("minio/large")).unwrap() == expected);
    let entry = index(&bench.path("minio")).into_iter().find(|e| e["key"] == "large").unwrap();
    assert_eq!(entry["metadata"]["new"], "1");
    bench.run(&["verify", "minio"]).with(0);
}
