//! `--link-dest`: full mirrors at the price of what changed.

use crate::kit::{BUCKET, Bench, files, index};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const COUNT: usize = 400;

fn key(n: usize) -> String {
    format!("dir{}/{n:04}", n % 7)
}

/// A bench with a mirror `monday`, of which 1 % has changed in the bucket since.
fn changed() -> Bench {
    let bench = Bench::new();
    for n in 0..COUNT {
        let headers = [("content-type", "text/x"), ("x-amz-meta-n", "1"), ("x-amz-tagging", "a=b")];
        bench.s3.put(&key(n), &headers, format!("content of {n}").repeat(40).as_bytes()).unwrap();
    }
    bench.s3.put("odd//key", &[], b"aside").unwrap();
    bench.run(&["s3://documents", "monday"]).with(0);
    for n in 0..COUNT / 100 {
        bench.s3.put(&key(n * 90), &[("x-amz-meta-n", "2")], b"changed").unwrap();
    }
    bench
}

fn same_tree(a: &Path, b: &Path) {
    assert_eq!(files(a), files(b));
    for file in files(a) {
        assert_eq!(std::fs::read(a.join(&file)).unwrap(), std::fs::read(b.join(&file)).unwrap());
    }
    assert_eq!(index(a), index(b));
    let sums = |dir: &Path| std::fs::read(dir.join(".obj-mirror/SHA256SUMS")).unwrap();
    assert_eq!(sums(a), sums(b));
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap().ino()
}

#[test]
fn only_what_changed_is_fetched_and_the_tree_is_that_of_a_full_mirror() {
    let bench = changed();
    let before = bench.s3.stats().unwrap();
    let summary = bench.counted(&["--link-dest", "monday", "s3://documents", "tuesday"]);
    let after = bench.s3.stats().unwrap();
    let grown = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    assert_eq!(grown("bytes_out"), (COUNT as u64 / 100) * "changed".len() as u64);
    let gets = |stats: &serde_json::Value| stats["operations"]["GetObject"].as_u64().unwrap();
    assert_eq!(gets(&after) - gets(&before), COUNT as u64 / 100);
    assert_eq!((&summary["transferred"], &summary["linked"]), (&4.into(), &397.into()));
    bench.run(&["s3://documents", "full"]).with(0);
    same_tree(&bench.path("tuesday"), &bench.path("full"));
    bench.run(&["verify", "tuesday"]).with(0);
    let linked = files(&bench.path("tuesday"))
        .into_iter()
        .filter(|f| inode(&bench.path("tuesday").join(f)) == inode(&bench.path("monday").join(f)));
    assert_eq!(linked.count(), COUNT - COUNT / 100);
    let printed = bench.run(&["--dry-run", "--link-dest", "full", "s3://documents", "new"]).with(0);
    assert_eq!(printed.out.lines().filter(|l| l.starts_with("link ")).count(), COUNT + 1);
}

#[test]
fn a_linked_mirror_stands_when_the_one_before_is_gone_and_is_never_written_through() {
    let bench = changed();
    bench.run(&["--link-dest", "monday", "s3://documents", "tuesday"]).with(0);
    let monday = std::fs::read(bench.path("monday/dir1/0001")).unwrap();
    // A run into a linked mirror puts new files in the place of links.
    bench.s3.put("dir1/0001", &[], b"newer").unwrap();
    bench.run(&["s3://documents", "tuesday"]).with(0);
    assert_eq!(std::fs::read(bench.path("monday/dir1/0001")).unwrap(), monday);
    bench.run(&["verify", "monday"]).with(0);
    // Nor does a push write into it.
    let state = bench.state(BUCKET);
    bench.s3.client().create_bucket("copy").unwrap();
    bench.run(&["tuesday", "s3://copy"]).with(0);
    assert_eq!(bench.state("copy"), state);
    std::fs::remove_dir_all(bench.path("monday")).unwrap();
    bench.run(&["verify", "tuesday"]).with(0);
}

#[test]
fn rot_in_a_linked_file_is_reported_for_every_mirror_that_has_it() {
    let bench = changed();
    bench.run(&["--link-dest", "monday", "s3://documents", "tuesday"]).with(0);
    let path = bench.path("monday/dir1/0001");
    let time = path.metadata().unwrap().modified().unwrap();
    let content = std::fs::read(&path).unwrap().to_ascii_uppercase();
    std::fs::write(&path, content).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    for mirror in ["monday", "tuesday"] {
        bench.run(&["verify", mirror]).with(4).reports("dir1/0001: changed");
    }
}

#[test]
fn a_mirror_that_cannot_be_linked_from_is_reported_and_everything_is_fetched() {
    let bench = changed();
    bench.run(&["--link-dest", "none", "s3://documents", "a"]).with(1).reports("does not exist");
    bench.run(&["--link-dest", "monday", "s3://documents", "monday"]).with(2);
    bench.run(&["--link-dest", "monday", "monday", "s3://documents"]).with(2);
    std::fs::create_dir(bench.path("plain")).unwrap();
    let ended = bench.run(&["--link-dest", "plain", "s3://documents", "b"]).with(0);
    ended.reports("nothing is linked from it");
    std::fs::write(bench.path("monday/.obj-mirror/index.jsonl"), "damaged").unwrap();
    let ended = bench.run(&["--link-dest", "monday", "s3://documents", "c"]).with(0);
    ended.reports("nothing is linked from it");
    same_tree(&bench.path("b"), &bench.path("c"));
}
