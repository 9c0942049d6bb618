use crate::support::{NAME, PARTIAL, World};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_whole_bundle_gets_its_name_closed_to_others() {
    let world = World::new();
    let dir = world.components(true);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    world.describe_and_seal(&dir);
    let root = world.root().canonicalize().unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    let published = world.run("publish", &dir).success().stderr("");
    published.stdout(format!("{}/{NAME}\n", root.display()));
    assert_eq!(world.names(), [NAME]);
    let mode = fs::metadata(world.bundle()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_root_or_bundle_that_others_can_read_is_reported() {
    let world = World::new();
    let dir = world.components(true);
    world.describe_and_seal(&dir);
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o750)).unwrap();
    let published = world.run("publish", &dir).success();
    published.stderr(contains("can be read by others").and(contains("chmod 700")));
    let quiet = || world.run("verify", &world.bundle()).success().get_output().stderr.clone();
    assert_eq!(quiet(), b"");
    fs::set_permissions(world.bundle(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(String::from_utf8_lossy(&quiet()).contains("chmod -R go="));
}

#[test]
fn a_bundle_that_exists_is_never_replaced() {
    let world = World::new();
    world.finished(false);
    let dir = world.components(true);
    world.describe_and_seal(&dir);
    world.run("publish", &dir).code(5).stdout("").stderr(contains("exists already"));
    assert_eq!(world.names(), [PARTIAL, NAME]);
    assert!(!world.bundle().join("minio").exists());
}

#[test]
fn a_name_in_the_way_is_refused_even_as_an_empty_directory() {
    let world = World::new();
    let dir = world.components(true);
    world.describe_and_seal(&dir);
    fs::create_dir(world.bundle()).unwrap();
    world.run("publish", &dir).code(5);
    assert_eq!(fs::read_dir(world.bundle()).unwrap().count(), 0);
}

#[test]
fn what_is_not_whole_and_sealed_never_gets_a_finished_name() {
    type Spoil = fn(&std::path::Path);
    let spoil: [(&str, Spoil); 5] = [
        ("SHA256SUMS", |dir| fs::remove_file(dir.join("SHA256SUMS")).unwrap()),
        ("MANIFEST.txt", |dir| fs::remove_file(dir.join("MANIFEST.txt")).unwrap()),
        ("database.sql.gz", |dir| fs::write(dir.join("database.sql.gz"), "").unwrap()),
        ("late", |dir| fs::write(dir.join("late"), "after the seal").unwrap()),
        ("minio/b/c", |dir| fs::remove_file(dir.join("minio/b/c")).unwrap()),
    ];
    for (named, spoil) in spoil {
        let world = World::new();
        let dir = world.components(true);
        world.describe_and_seal(&dir);
        spoil(&dir);
        world.run("publish", &dir).code(4).stdout("").stderr(contains(named));
        assert_eq!(world.names(), [PARTIAL]);
    }
}

#[test]
fn only_a_partial_is_published() {
    let world = World::new();
    let bundle = world.finished(true);
    world.run("publish", &bundle).code(2).stderr(contains("is not named"));
    world.run("publish", &world.partial()).code(1);
}
