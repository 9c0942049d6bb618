use crate::support::{NAME, World};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn bundles_are_listed_newest_first_with_their_state() {
    let world = World::new();
    let newer = world.root().join("piprio_20260422T020000Z");
    fs::rename(world.finished(true), &newer).unwrap();
    fs::remove_file(newer.join("config.tar.gz")).unwrap();
    world.finished(true);
    let out = world.run("list", &world.root()).success().get_output().stdout.clone();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("piprio_20260422T020000Z  "), "{text}");
    assert!(lines[0].contains("damaged: config.tar.gz is missing"), "{text}");
    assert!(lines[1].starts_with(NAME), "{text}");
    assert!(lines[1].contains("docs.example.org") && lines[1].ends_with("intact"), "{text}");
}

#[test]
fn only_real_directories_of_the_right_name_are_bundles() {
    let world = World::new();
    world.finished(true);
    world.components(true);
    for name in
        ["piprio_20260101", "other", "piprio_20260230T000000Z", ".piprio_20260101T000000Z.removing"]
    {
        fs::create_dir(world.root().join(name)).unwrap();
    }
    fs::write(world.root().join("piprio_20260103T000000Z"), "").unwrap();
    symlink(NAME, world.root().join("piprio_20260102T000000Z")).unwrap();
    world
        .run("list", &world.root())
        .success()
        .stdout(predicate::function(|text: &str| text.lines().count() == 1))
        .stderr(contains("piprio_20260102T000000Z is named as a bundle but is not a directory"))
        .stderr(contains(".partial is unfinished"));
}

#[test]
fn none_is_no_failure_and_names_where_to_look() {
    let world = World::new();
    world
        .run("list", &world.root())
        .success()
        .stdout("")
        .stderr(contains("no finished bundles in"));
    world
        .run("list", &world.root().join("none"))
        .code(1)
        .stderr(contains("no directory of bundles"));
}

#[test]
fn the_json_carries_what_retention_needs() {
    let world = World::new();
    world.finished(true);
    let out = world.tool(&["list", "--json"]).arg(world.root()).assert().success();
    let list: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    let bundle = &list["bundles"][0];
    assert_eq!(bundle["name"], NAME);
    assert_eq!(bundle["timestamp"], "2026-04-21T02:00:00Z");
    assert_eq!(bundle["state"], "intact");
    assert_eq!(bundle["reason"], serde_json::Value::Null);
    assert_eq!(bundle["domain"], "docs.example.org");
    assert!(bundle["bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn the_newest_alone_is_listed_and_no_other_is_looked_into() {
    let world = World::new();
    world.finished(true);
    // Reading this one would fail it; its state would be reported.
    let older = "piprio_20260101T000000Z";
    fs::create_dir(world.root().join(older)).unwrap();
    let listed = |arguments: &[&str]| {
        let out = world.tool(arguments).arg(world.root()).assert().success();
        String::from_utf8(out.get_output().stdout.clone()).unwrap()
    };
    assert!(listed(&["list"]).contains(older));
    let newest = listed(&["list", "--newest"]);
    assert!(newest.starts_with(NAME) && newest.lines().count() == 1, "{newest}");
}

/// Finished bundles under these names, all intact.
fn bundles(world: &World, names: &[&str]) {
    for name in names {
        fs::rename(world.finished(true), world.root().join(name)).unwrap();
    }
}

#[test]
fn the_newest_is_of_this_deployment_and_not_of_the_future() {
    let world = World::new();
    let (older, newer, ahead) =
        ("piprio_20260101T000000Z", "piprio_20260201T000000Z", "piprio_29990101T000000Z");
    bundles(&world, &[older, newer, ahead]);
    let listed = |options: &[&str]| {
        let out = world.tool(&["list", "--paths"]).args(options).arg(world.root()).assert();
        String::from_utf8(out.success().get_output().stdout.clone()).unwrap()
    };
    let root = world.root().canonicalize().unwrap();
    let paths = |names: &[&str]| -> String {
        names.iter().map(|name| format!("{}\n", root.join(name).display())).collect()
    };
    assert_eq!(listed(&[]), paths(&[ahead, newer, older]));
    assert_eq!(listed(&["--newest"]), paths(&[newer]));
    assert_eq!(listed(&["--newest", "--domain", "DOCS.example.org"]), paths(&[newer]));
    assert_eq!(listed(&["--newest", "--domain", "other.example.org"]), "");
    assert_eq!(listed(&["--newest", "--domain", ""]), paths(&[newer]));
    fs::write(root.join(newer).join("config.tar.gz"), "").unwrap();
    assert_eq!(listed(&["--newest"]), paths(&[newer]));
    assert_eq!(listed(&["--newest", "--intact"]), paths(&[older]));
    for name in [older, newer] {
        fs::remove_dir_all(root.join(name)).unwrap();
    }
    assert_eq!(listed(&["--newest"]), paths(&[ahead]), "where all are ahead");
    let out = world.tool(&["list", "--json"]).arg(&root).assert().success();
    let list: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert_eq!((&list["ahead"][0], &list["shrunk"]), (&ahead.into(), &serde_json::json!([])));
}
