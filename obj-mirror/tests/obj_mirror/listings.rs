//! Pushes into buckets whose listing is odd: out of order, with a key on two pages, or incomplete.

use crate::kit::{Bench, Ended, end, index};
use crate::lister::{Lister, object, page};
use std::path::Path;

/// In UTF-16, the key above U+FFFF comes before the other.
const BEYOND: [&str; 2] = ["\u{1f600}", "\u{ff5e}"];

/// A mirror of objects of one byte, made by a pull. Returns each object as a listing has it.
fn mirror(bench: &Bench, keys: &[&str]) -> Vec<String> {
    for key in keys {
        bench.s3.put(key, &[], b"x").unwrap();
    }
    bench.pull();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let of_entry = |entry: &serde_json::Value| {
        object(&text(&entry["key"]), 1, &text(&entry["etag"]))
            .replace("2026-04-21T02:00:00.000Z", &text(&entry["last_modified"]))
    };
    index(&bench.path("minio")).iter().map(of_entry).collect()
}

fn push(bench: &Bench, lister: &Lister, options: &[&str]) -> Ended {
    let mut command = bench.command(&[options, &["minio", "s3://documents"]].concat());
    end(command.env("AWS_ENDPOINT_URL", lister.endpoint()))
}

#[test]
fn whatever_the_order_of_a_listing_what_is_there_is_neither_sent_nor_deleted() {
    let keys = ["a", "a!", "a/b", "b", BEYOND[0], BEYOND[1]];
    let bench = Bench::new();
    let listed = mirror(&bench, &keys);
    let reversed: Vec<_> = listed.iter().rev().cloned().collect();
    let mut utf16 = listed.clone();
    utf16.sort_by_key(|object| object.encode_utf16().collect::<Vec<_>>());
    assert_ne!(utf16, listed);
    for order in [listed, reversed, utf16] {
        // Each object on a page of its own.
        let pages = order.clone();
        let lister =
            Lister::start(move |n| page(&pages[n], Some(n + 1).filter(|next| *next < pages.len())));
        let ended = push(&bench, &lister, &["--delete", "--json"]).with(0);
        assert_eq!(ended.json()["unchanged"], keys.len(), "{order:?}");
        assert_eq!(lister.changes(), [""; 0], "{order:?}");
        push(&bench, &lister, &["--ignore-existing"]).with(0);
        assert_eq!(lister.changes(), [""; 0], "{order:?}");
    }
}

#[test]
fn a_key_on_two_pages_counts_once_and_is_deleted_once() {
    let bench = Bench::new();
    let listed = mirror(&bench, &["kept"]);
    let first = object("extra", 1, "1") + &listed[0];
    let second = listed[0].clone() + &object("extra", 9, "2");
    let lister = Lister::start(move |n| match n {
        0 => page(&first, Some(1)),
        _ => page(&second, None),
    });
    let summary = push(&bench, &lister, &["--delete", "--json"]).with(0).json();
    assert_eq!((&summary["unchanged"], &summary["deleted"]), (&1.into(), &1.into()));
    assert_eq!(lister.changes(), ["DELETE extra"]);
}

#[test]
fn a_listing_that_does_not_continue_ends_with_an_error() {
    let bench = Bench::new();
    mirror(&bench, &["a"]);
    for objects in [object("b", 1, "1") + &object("c", 1, "1"), object("b", 1, "1"), String::new()]
    {
        let lister = Lister::start(move |n| page(&objects, Some(n + 1)));
        let ended = push(&bench, &lister, &["--delete"]).with(1);
        assert!(ended.err.contains("again and again"), "{}", ended.err);
        assert_eq!(lister.changes(), [""; 0]);
        let mut pull = bench.command(&["s3://documents", "pulled"]);
        end(pull.env("AWS_ENDPOINT_URL", lister.endpoint())).with(1);
    }
}

#[test]
fn a_listing_that_breaks_off_changes_nothing() {
    let bench = Bench::new();
    mirror(&bench, &["a", "z"]);
    let lister = Lister::start(|n| match n {
        0 => page(&object("extra", 1, "1"), Some(1)),
        _ => (403, "<Error><Code>AccessDenied</Code></Error>".to_owned()),
    });
    push(&bench, &lister, &["--delete"]).with(1);
    assert_eq!(lister.changes(), [""; 0]);
}

#[test]
fn damage_in_the_last_line_of_an_index_is_found_before_anything_changes() {
    let bench = Bench::new();
    mirror(&bench, &["a", "b", "c"]);
    let path = bench.path("minio/.obj-mirror/index.jsonl");
    let intact = std::fs::read_to_string(&path).unwrap();
    let last = intact.lines().last().unwrap();
    for damaged in [intact.replace(last, &last[1..]), intact.clone() + last] {
        let lister = Lister::start(|_| page(&object("extra", 1, "1"), None));
        std::fs::write(&path, damaged).unwrap();
        push(&bench, &lister, &["--delete"]).with(4);
        assert_eq!(lister.changes(), [""; 0]);
    }
}

#[test]
fn an_index_in_another_order_is_sent_all_the_same() {
    let bench = Bench::new();
    let listed = mirror(&bench, &["a", "b", "c//d", "e"]);
    reverse_lines(&bench.path("minio/.obj-mirror/index.jsonl"));
    let there = listed[1].clone() + &object("extra", 1, "1");
    let lister = Lister::start(move |_| page(&there, None));
    push(&bench, &lister, &["--delete"]).with(0);
    let sent = ["a", "c//d", "e"].map(|key| format!("PUT /documents/{key}"));
    assert_eq!(lister.changes(), [&["DELETE extra".to_owned()], &sent[..]].concat());
}

fn reverse_lines(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let reversed: String = text.lines().rev().map(|line| format!("{line}\n")).collect();
    assert_ne!(reversed, text);
    std::fs::write(path, reversed).unwrap();
}
