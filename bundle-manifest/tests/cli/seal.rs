use crate::support::World;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn plain_sha256sum_accepts_the_seal_odd_names_included() {
    let world = World::new();
    let dir = world.components(true);
    fs::write(dir.join("minio/.obj-mirror/a\\b\nc\rd"), "odd").unwrap();
    world.describe_and_seal(&dir);
    let check = |dir: &std::path::Path, file: &str| {
        Command::new("sha256sum").args(["-c", "--strict", file]).current_dir(dir).output().unwrap()
    };
    let seal = check(&dir, "SHA256SUMS");
    assert!(seal.status.success(), "{}", String::from_utf8_lossy(&seal.stderr));
    assert!(check(&dir.join("minio"), ".obj-mirror/SHA256SUMS").status.success());
}

#[test]
fn the_seal_is_sorted_and_leaves_the_objects_to_the_mirrors_own() {
    let world = World::new();
    let dir = world.components(true);
    world.describe_and_seal(&dir);
    let seal = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let paths: Vec<_> = seal.lines().map(|line| &line[66..]).collect();
    assert_eq!(
        paths,
        [
            "MANIFEST.txt",
            "config.tar.gz",
            "database.sql.gz",
            "minio/.obj-mirror/SHA256SUMS",
            "minio/.obj-mirror/index.jsonl"
        ]
    );
}

#[test]
fn a_mirror_without_sums_of_its_own_is_sealed_file_by_file() {
    let world = World::new();
    let dir = world.components(true);
    fs::remove_dir_all(dir.join("minio/.obj-mirror")).unwrap();
    world.run("sums", &dir).success().stdout(contains("  minio/b/c\n"));
}

#[test]
fn what_no_sum_can_cover_is_not_sealed() {
    let world = World::new();
    let dir = world.components(true);
    symlink("/etc/passwd", dir.join("minio/link")).unwrap();
    world.run("sums", &dir).code(1).stdout("").stderr(contains("minio/link is a symbolic link"));
}

#[test]
fn a_mirror_that_is_not_whole_is_not_sealed() {
    let world = World::new();
    let dir = world.components(true);
    fs::remove_file(dir.join("minio/b/c")).unwrap();
    world.run("sums", &dir).code(1).stdout("").stderr(contains("minio/b/c is missing"));
}

#[test]
fn a_mirror_that_was_never_finished_is_neither_described_nor_sealed() {
    let world = World::new();
    let dir = world.components(true);
    fs::write(dir.join("minio/.obj-mirror/journal.jsonl"), "").unwrap();
    for verb in ["describe", "sums"] {
        world.run(verb, &dir).code(1).stdout("").stderr(contains("is not finished"));
    }
    fs::remove_file(dir.join("minio/.obj-mirror/SHA256SUMS")).unwrap();
    world.run("sums", &dir).code(1).stderr(contains("is not finished"));
}
