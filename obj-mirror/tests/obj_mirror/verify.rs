//! `obj-mirror verify` finds what is wrong.

use crate::kit::Bench;
use std::os::unix::fs::symlink;

fn mirror() -> Bench {
    let bench = Bench::new();
    for key in ["flipped", "cut", "missing", "fine", "a", "a/b"] {
        bench.s3.put(key, &[], format!("content of {key}").as_bytes()).unwrap();
    }
    bench.pull();
    bench
}

#[test]
fn every_kind_of_damage_is_found_and_named() {
    let bench = mirror();
    let report = bench.run(&["verify", "minio", "--json"]).with(0).json();
    assert_eq!((&report["objects"], &report["bytes"]), (&6.into(), &91.into()));
    assert_eq!(report["problems"], serde_json::json!([]));

    std::fs::write(bench.path("minio/flipped"), "Content of flipped").unwrap();
    std::fs::write(bench.path("minio/cut"), "content").unwrap();
    std::fs::remove_file(bench.path("minio/missing")).unwrap();
    std::fs::write(bench.path("minio/extra"), "").unwrap();
    std::fs::write(bench.path("minio/.obj-mirror/extra"), "").unwrap();
    symlink("/etc/passwd", bench.path("minio/link")).unwrap();
    let aside = std::fs::read_dir(bench.path("minio/.obj-mirror/objects")).unwrap();
    std::fs::write(aside.map(|e| e.unwrap().path()).next().unwrap(), "content of b").unwrap();

    let ended = bench.run(&["verify", "minio", "--json", "--jobs", "3"]).with(4);
    let problems: Vec<(String, String)> = ended.json()["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            let key = p["key"].as_str().or(p["path"].as_str()).unwrap();
            (key.to_owned(), p["problem"].as_str().unwrap().to_owned())
        })
        .collect();
    let expect = [
        ("a", "changed"),
        (".obj-mirror/extra", "not in the index"),
        ("cut", "changed: 7 bytes, 14 in the index"),
        ("extra", "not in the index"),
        ("flipped", "changed"),
        ("link", "not in the index"),
        ("missing", "missing"),
    ];
    assert_eq!(problems.len(), expect.len(), "{problems:?}");
    for (key, problem) in expect {
        assert!(problems.iter().any(|(k, p)| k == key && p.starts_with(problem)), "{key}");
    }
    for (key, _) in &expect[1..] {
        assert!(ended.err.contains(&format!("{key}: ")), "{key}:\n{}", ended.err);
    }
}

#[test]
fn a_damaged_index_or_one_at_odds_with_its_sums_is_damage() {
    let bench = mirror();
    let own = bench.path("minio/.obj-mirror");
    let index = std::fs::read_to_string(own.join("index.jsonl")).unwrap();
    for damaged in [&index[..index.len() - 20], "not json\n", &index.repeat(2)] {
        std::fs::write(own.join("index.jsonl"), damaged).unwrap();
        bench.run(&["verify", "minio"]).with(4).reports("index.jsonl: cannot be read");
    }
    let shorter: String = index.lines().skip(1).map(|l| format!("{l}\n")).collect();
    std::fs::write(own.join("index.jsonl"), shorter).unwrap();
    bench.run(&["verify", "minio"]).with(4).reports("SHA256SUMS").reports("not in the index");
    std::fs::remove_file(own.join("index.jsonl")).unwrap();
    bench.run(&["verify", "minio"]).with(4).reports("nothing to verify against");
}

#[test]
fn a_temporary_file_that_fails_is_no_damage() {
    let bench = mirror();
    let index = bench.path("minio/.obj-mirror/index.jsonl");
    let lines = std::fs::read_to_string(&index).unwrap();
    let backwards: String = lines.lines().rev().map(|line| format!("{line}\n")).collect();
    std::fs::write(&index, backwards).unwrap();
    bench.run(&["verify", "minio"]).with(0);
    for args in [&["verify", "minio"][..], &["minio", "s3://documents"]] {
        let ended = bench.command(args).env("TMPDIR", bench.path("none")).output().unwrap();
        let words = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{words}");
        assert!(words.contains("temporary file"), "{words}");
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_damage_and_not_waited_for() {
    for name in ["fine", ".obj-mirror/index.jsonl", ".obj-mirror/SHA256SUMS"] {
        let bench = mirror();
        let path = bench.path("minio").join(name);
        let _ = std::fs::remove_file(&path);
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        bench.run(&["verify", "minio"]).with(4);
        let pushed = bench.run(&["minio", "s3://documents"]).code;
        assert!(matches!(pushed, Some(3 | 4)), "{name}: {pushed:?}");
        assert_eq!(
            bench.run(&["--skip-damaged", "minio", "s3://documents"]).code,
            Some(if name.ends_with("SHA256SUMS") { 0 } else { 3 },),
            "{name}"
        );
    }
}

#[test]
fn a_directory_that_never_had_an_index_passes_with_a_warning() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("old")).unwrap();
    std::fs::write(bench.path("old/a"), "x").unwrap();
    bench.run(&["verify", "old"]).with(0).reports("no index: nothing to verify against");
    bench.run(&["verify", "none"]).with(1).reports("does not exist");
}
