use crate::support::World;
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;

#[test]
fn the_manifest_has_what_when_where_and_how_to_restore() {
    let world = World::new();
    let dir = world.components(true);
    let size = |name: &str| fs::metadata(dir.join(name)).unwrap().len().to_string();
    world
        .tool(&["describe"])
        .arg(&dir)
        .env("PIPRIO_VERSION", "4.2\nToolkit: forged")
        .assert()
        .success()
        .stdout(contains("Bundle:    piprio_20260421T020000Z\n"))
        .stdout(contains("Timestamp: 2026-04-21T02:00:00Z\n"))
        .stdout(contains("Version:   4.2\\nToolkit: forged\n"))
        .stdout(contains("Domain:    docs.example.org\n"))
        .stdout(contains("Postgres:  15.18 (Debian 15.18-0+deb12u1)\n"))
        .stdout(contains("Toolkit:   piprio-backup "))
        .stdout(contains(format!("{:>15}  PostgreSQL dump", size("database.sql.gz"))))
        .stdout(contains(format!("{:>15}  env file", size("config.tar.gz"))))
        .stdout(contains("8  2 objects\n"))
        .stdout(contains("bash scripts/restore.sh"));
}

#[test]
fn external_storage_is_listed_as_absent() {
    let world = World::new();
    let dir = world.components(false);
    world.run("describe", &dir).success().stdout(contains("absent (external object storage)"));
}

#[test]
fn unknown_settings_are_listed_as_unknown() {
    let world = World::new();
    let dir = world.components(false);
    world
        .tool(&["describe"])
        .arg(&dir)
        .env("PIPRIO_DOMAIN", "")
        .assert()
        .success()
        .stdout(contains("Domain:    unknown\n").and(contains("Version:   unknown\n")));
}

#[test]
fn a_missing_component_is_not_described_away() {
    for name in ["database.sql.gz", "config.tar.gz"] {
        let world = World::new();
        let dir = world.components(true);
        fs::remove_file(dir.join(name)).unwrap();
        world
            .run("describe", &dir)
            .code(1)
            .stdout("")
            .stderr(contains(format!("{name} is missing")));
    }
}

#[test]
fn a_mirror_that_is_not_whole_is_not_described() {
    let world = World::new();
    let dir = world.components(true);
    fs::remove_file(dir.join("minio/b/c")).unwrap();
    world.run("describe", &dir).code(1).stdout("").stderr(contains("minio/b/c is missing"));
}

#[test]
fn a_directory_of_another_name_is_a_usage_error() {
    let world = World::new();
    world.run("describe", &world.root()).code(2).stderr(contains("not named as a bundle"));
    world.run("describe", &world.root().join("none")).code(1);
}

#[test]
fn a_full_disk_is_not_success() {
    let world = World::new();
    let dir = world.components(true);
    for verb in ["describe", "sums"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_bundle-manifest"))
            .arg(verb)
            .arg(&dir)
            .stdout(full)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(1), "{verb}");
    }
}
