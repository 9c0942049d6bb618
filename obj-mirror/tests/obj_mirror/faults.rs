//! Networks and servers that fail.

use crate::kit::{Bench, end, files, tries};
use crate::proxy::{Fate, Proxy};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_kit::process::wait_until;

/// A bench whose bucket holds `count` small objects.
fn with_many(count: usize) -> Bench {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("many")).unwrap();
    for n in 0..count {
        let content = format!("object {n} ").repeat(500);
        std::fs::write(bench.path(&format!("many/{n:05}")), content).unwrap();
    }
    bench.run(&["many", "s3://documents", "--quiet"]).with(0);
    bench
}

fn same(a: &Path, b: &Path) -> bool {
    let names = files(a);
    names == files(b)
        && names
            .iter()
            .all(|n| std::fs::read(a.join(n)).unwrap() == std::fs::read(b.join(n)).unwrap())
}

fn is_finished(bench: &Bench) -> bool {
    bench.path("minio/.obj-mirror/index.jsonl").exists()
}

#[test]
fn wrong_keys_and_settings_are_reported_without_the_secret() {
    let bench = with_many(1);
    let with =
        |name: &str, value: &str| end(bench.command(&["s3://documents", "minio"]).env(name, value));
    for (name, value) in
        [("AWS_SECRET_ACCESS_KEY", "wrong-secret"), ("AWS_ACCESS_KEY_ID", "NOBODY")]
    {
        let ended = with(name, value).with(1).reports("the keys are refused for bucket documents");
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        for secret in ["wrong-secret", test_kit::object_storage::SECRET_KEY] {
            assert!(!ended.err.contains(secret));
        }
    }
    with("AWS_ACCESS_KEY_ID", "").with(2).reports("AWS_ACCESS_KEY_ID is not set");
    with("AWS_ENDPOINT_URL", "http://127.0.0.1:1").with(1).reports("cannot be reached");
    assert!(!bench.path("minio").exists());
}

#[test]
fn an_unreliable_server_still_gives_an_exact_mirror() {
    let bench = with_many(150);
    let number = AtomicUsize::new(0);
    let proxy = Proxy::before(&bench.s3.endpoint(), move |_| {
        match number.fetch_add(1, Ordering::SeqCst) % 9 {
            2 => Fate::Drop,
            4 => Fate::Busy,
            6 => Fate::Cut(700),
            _ => Fate::Pass,
        }
    });
    let through =
        |args: &[&str]| end(bench.command(args).env("AWS_ENDPOINT_URL", proxy.endpoint())).with(0);
    through(&["s3://documents", "minio"]);
    assert!(same(&bench.path("many"), &bench.path("minio")));
    bench.run(&["verify", "minio"]).with(0);

    bench.s3.client().create_bucket("copy").unwrap();
    std::fs::create_dir(bench.path("large")).unwrap();
    std::fs::write(bench.path("large/parts"), vec![7; tries(20, 50) * 1024 * 1024]).unwrap();
    through(&["minio", "s3://copy"]);
    through(&["large", "s3://copy/large"]);
    bench.run(&["s3://copy/large", "back"]).with(0);
    assert!(same(&bench.path("large"), &bench.path("back")));
    assert_eq!(bench.s3.client().list("copy", "").unwrap().len(), 151);
}

#[test]
fn an_object_that_fails_for_ever_is_named_and_the_others_are_there() {
    let bench = with_many(20);
    let proxy = Proxy::before(&bench.s3.endpoint(), |line| {
        if line.contains("/00007 ") { Fate::Cut(900) } else { Fate::Pass }
    });
    let mut command = bench.command(&["s3://documents", "minio", "--json"]);
    let ended = end(command.env("AWS_ENDPOINT_URL", proxy.endpoint())).with(3);
    let ended = ended.reports("failed: 00007: ").reports("1 failed, each named above");
    assert!(!ended.err.contains("X-Amz-Signature"), "{}", ended.err);
    assert_eq!(ended.json()["failed"][0]["key"], "00007");
    assert_eq!(files(&bench.path("minio")).len(), 19);
    assert!(!is_finished(&bench));
    // Nothing of it is left but what the next run needs, and that fetches the one object alone.
    let before = bench.s3.count("GetObject").unwrap();
    bench.pull();
    assert_eq!(bench.s3.count("GetObject").unwrap(), before + 1);
    assert!(same(&bench.path("many"), &bench.path("minio")));
}

#[test]
fn nothing_is_deleted_when_an_upload_failed() {
    let bench = with_many(5);
    bench.pull();
    bench.s3.client().delete(("documents", "00003")).unwrap();
    bench.s3.put("extra", &[], b"").unwrap();
    let proxy = Proxy::before(&bench.s3.endpoint(), |line| {
        if line.starts_with("PUT") { Fate::Drop } else { Fate::Pass }
    });
    let mut command = bench.command(&["--delete", "minio", "s3://documents"]);
    end(command.env("AWS_ENDPOINT_URL", proxy.endpoint())).with(3).reports("failed: 00003: ");
    assert!(bench.keys().contains(&"extra".into()));
}

#[test]
fn an_object_that_is_deleted_meanwhile_is_reported_and_skipped() {
    let bench = with_many(6);
    let client = bench.s3.client();
    let proxy = Proxy::before(&bench.s3.endpoint(), move |line| {
        if line.contains("/00002 ") {
            client.delete(("documents", "00002")).unwrap();
        }
        Fate::Pass
    });
    let mut command = bench.command(&["s3://documents", "minio"]);
    let ended = end(command.env("AWS_ENDPOINT_URL", proxy.endpoint())).with(0);
    ended.reports("00002 was deleted before it was read; skipped");
    assert_eq!(files(&bench.path("minio")).len(), 5);
    bench.run(&["verify", "minio"]).with(0);
}

#[test]
fn a_server_that_dies_ends_the_run_without_an_index() {
    let mut bench = with_many(600);
    let proxy = {
        let number = AtomicUsize::new(0);
        Proxy::before(&bench.s3.endpoint(), move |_| {
            // Slow enough to be in the middle when the server is killed.
            std::thread::sleep(std::time::Duration::from_millis(5));
            if number.fetch_add(1, Ordering::SeqCst) > 590 { Fate::Hang } else { Fate::Pass }
        })
    };
    let mut command = bench.command(&["s3://documents", "minio", "--jobs", "4"]);
    command.env("AWS_ENDPOINT_URL", proxy.endpoint()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let journal = bench.path("minio/.obj-mirror/journal.jsonl");
    // More than the files asked for below: some objects lie aside, and a line may be half-written.
    wait_until("some objects", || {
        Ok(std::fs::read_to_string(&journal).unwrap_or_default().lines().count() > 40)
    })
    .unwrap();
    bench.s3.kill_hard().unwrap();
    drop(proxy);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("cannot be reached") && err.contains("run it again"), "{err}");
    assert!(!is_finished(&bench));
    let left = files(&bench.path("minio")).len();
    assert!((21..600).contains(&left), "{left}");
    assert!(!bench.path("minio/.obj-mirror/tmp").exists());
}

#[test]
fn a_killed_run_continues_where_it_was() {
    let bench = with_many(300);
    let number = AtomicUsize::new(0);
    let proxy = Proxy::before(&bench.s3.endpoint(), move |_| {
        if number.fetch_add(1, Ordering::SeqCst) > 100 { Fate::Hang } else { Fate::Pass }
    });
    let mut command = bench.command(&["s3://documents", "minio", "--jobs", "8", "--tags", "never"]);
    let mut child = command.env("AWS_ENDPOINT_URL", proxy.endpoint()).spawn().unwrap();
    let journal = bench.path("minio/.obj-mirror/journal.jsonl");
    let done = || {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        text.lines().filter(|l| !l.is_empty()).count()
    };
    wait_until("a hundred objects", || Ok(done() == 100)).unwrap();
    // Another one may not come between.
    bench.run(&["s3://documents", "minio"]).with(5).reports("another run");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!is_finished(&bench));
    std::fs::write(bench.path("minio/.obj-mirror/tmp/get-999"), "left over").unwrap();
    bench.run(&["verify", "minio"]).with(4).reports("is incomplete");

    let before = bench.s3.count("GetObject").unwrap();
    bench.pull();
    assert_eq!(bench.s3.count("GetObject").unwrap() - before, 200);
    assert!(same(&bench.path("many"), &bench.path("minio")));
    let own = walkdir::WalkDir::new(bench.path("minio/.obj-mirror")).min_depth(1);
    let mut own: Vec<_> = own.into_iter().map(|e| e.unwrap().file_name().to_owned()).collect();
    own.sort();
    assert_eq!(own, ["SHA256SUMS", "index.jsonl"]);
}

#[test]
fn a_signal_ends_a_run_with_its_status_and_leaves_no_temporary_files() {
    use rustix::process::{Pid, Signal, kill_process};
    let bench = with_many(50);
    let number = AtomicUsize::new(0);
    let proxy = Proxy::before(&bench.s3.endpoint(), move |_| {
        if number.fetch_add(1, Ordering::SeqCst) > 20 { Fate::Hang } else { Fate::Pass }
    });
    let mut command = bench.command(&["s3://documents", "minio", "--tags", "never"]);
    let mut child = command.env("AWS_ENDPOINT_URL", proxy.endpoint()).spawn().unwrap();
    let journal = bench.path("minio/.obj-mirror/journal.jsonl");
    wait_until("some objects", || {
        Ok(std::fs::read_to_string(&journal).unwrap_or_default().lines().count() > 15)
    })
    .unwrap();
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(!is_finished(&bench) && !bench.path("minio/.obj-mirror/tmp").exists());
    bench.pull();
}
