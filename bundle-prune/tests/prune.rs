//! `bundle-prune` over the real `bundle-manifest`, on directories of every kind that a bundle root
//! may come to hold: what it prints in a dry run is what it then does, and the floor is never damage.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

use chrono::{TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use test_kit::{tool, tool_path};

/// What may have a bundle's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    /// A bundle of the older script, all there.
    Good,
    /// One whose dump is gone.
    Damaged,
    /// One that looks good, and that a full verify found damaged.
    Marked,
    Link,
    File,
}

use Thing::{Damaged, File, Good, Link, Marked};

struct Root {
    dir: TempDir,
}

impl Root {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("backups")).unwrap();
        write_bundle(&dir.path().join("elsewhere"));
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    /// Puts a thing there under the name of a bundle of that age; negative ages lie in the future.
    fn put(&self, hours: i64, thing: Thing) -> String {
        let name =
            (Utc::now() - TimeDelta::hours(hours)).format("piprio_%Y%m%dT%H%M%SZ").to_string();
        let path = self.path().join(&name);
        match thing {
            Good | Marked => write_bundle(&path),
            Damaged => fs::create_dir(&path).unwrap(),
            Link => symlink("../elsewhere", &path).unwrap(),
            File => fs::write(&path, "a file").unwrap(),
        }
        if thing == Marked {
            fs::write(self.path().join(format!(".{name}.damaged")), "a/b is damaged\n").unwrap();
        }
        name
    }

    fn prune(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(tool("bundle-prune"));
        command.arg(self.path()).args(["--quiet", "--json"]).args(arguments);
        let output = command.env("PATH", tool_path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Every path below the root, with what it is.
    fn listing(&self) -> BTreeSet<PathBuf> {
        let entries = walkdir::WalkDir::new(self.dir.path()).into_iter();
        entries.map(|entry| entry.unwrap().into_path()).collect()
    }

    fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path().join(name)).is_ok()
    }
}

fn write_bundle(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::write(path.join("MANIFEST.txt"), "Version: 1\n").unwrap();
    fs::write(path.join("database.sql.gz"), "a dump").unwrap();
}

/// Of each bundle in the report: its verdict, its reason, and what came of it.
fn report(output: &Output) -> BTreeMap<String, [String; 3]> {
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let bundles = report["bundles"].as_array().unwrap().iter();
    bundles
        .map(|b| (text(&b["name"]), ["verdict", "reason", "outcome"].map(|key| text(&b[key]))))
        .collect()
}

#[test]
fn the_newest_is_never_one_that_a_full_verify_found_damaged() {
    let root = Root::new();
    let marked = root.put(40 * 24, Marked);
    let floor = root.put(50 * 24, Good);
    let older = root.put(60 * 24, Good);
    let message = report(&root.prune(&[]));
    assert_eq!(message[&floor][..2], ["keep", "the newest intact bundle"]);
    assert_eq!([root.has(&marked), root.has(&floor), root.has(&older)], [false, true, false]);
    assert!(!root.has(&format!(".{marked}.damaged")));
}

#[test]
fn a_link_or_a_file_named_like_a_bundle_is_neither_the_newest_nor_touched() {
    let root = Root::new();
    let odd =
        [root.put(1, Link), root.put(2, File), root.put(90 * 24, Link), root.put(91 * 24, File)];
    let floor = root.put(50 * 24, Good);
    let older = root.put(60 * 24, Good);
    let message = report(&root.prune(&[]));
    assert_eq!(message.keys().collect::<Vec<_>>(), [&older, &floor]);
    assert!(odd.iter().all(|name| root.has(name)));
    assert_eq!([root.has(&floor), root.has(&older)], [true, false]);
    assert!(root.dir.path().join("elsewhere/MANIFEST.txt").exists());
}

fn things() -> impl Strategy<Value = Vec<(i64, Thing)>> {
    let thing = prop_oneof![4 => Just(Good), 2 => Just(Damaged), 2 => Just(Marked), 1 => Just(Link), 1 => Just(File)];
    // Apart by enough hours that no run comes so late that an age changes its side.
    prop::collection::btree_map((-8..40i64).prop_map(|n| n * 6 + 3), thing, 0..9)
        .prop_map(|things| things.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_dry_run_changes_nothing_and_prints_what_a_real_run_then_does(
        things in things(), days in 1..9u32, last in 0..4u32,
    ) {
        let root = Root::new();
        let put = things.iter().map(|(hours, thing)| (root.put(*hours, *thing), *hours, *thing));
        let put: Vec<_> = put.collect();
        for odd in ["piprio_20260230T000000Z", "piprio_notes", ".piprio_20200101T000000Z.partial"] {
            fs::create_dir(root.path().join(odd)).unwrap();
        }
        let before = root.listing();
        let options = ["--keep-days", &days.to_string(), "--keep-last", &last.to_string()];
        let planned = report(&root.prune(&[&options[..], &["--dry-run"]].concat()));
        prop_assert_eq!(&root.listing(), &before);
        let done = report(&root.prune(&options));

        let bundles = put.iter().filter(|(.., thing)| !matches!(thing, Link | File));
        let names: BTreeSet<_> = bundles.map(|(name, ..)| name.clone()).collect();
        prop_assert_eq!(names, planned.keys().cloned().collect());
        let fate = |report: &BTreeMap<String, [String; 3]>| {
            let fate = report.iter().map(|(name, [verdict, reason, _])| (name.clone(), verdict.clone(), reason.clone()));
            fate.collect::<Vec<_>>()
        };
        prop_assert_eq!(fate(&planned), fate(&done));
        for (name, [verdict, reason, outcome]) in &done {
            prop_assert!(!reason.is_empty());
            prop_assert_eq!(outcome, if verdict == "keep" { "kept" } else { "removed" });
            prop_assert_eq!(root.has(name), verdict == "keep");
        }
        let gone = |path: &PathBuf| done.iter().any(|(name, [verdict, ..])| {
            let removed = verdict == "remove";
            removed && (path.starts_with(root.path().join(name)) || path.ends_with(format!(".{name}.damaged")))
        });
        let expected: BTreeSet<_> = before.into_iter().filter(|path| !gone(path)).collect();
        prop_assert_eq!(root.listing(), expected);
        let newest = put.iter().filter(|(_, hours, thing)| *thing == Good && *hours > -24);
        let newest = newest.min_by_key(|(_, hours, _)| *hours);
        prop_assert!(newest.is_none_or(|(name, ..)| root.has(name)));
        let limit = i64::from(days) * 24;
        prop_assert!(put.iter().all(|(name, hours, _)| *hours > limit || root.has(name)));
    }
}
