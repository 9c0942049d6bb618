use crate::support::{NAME, World};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs::{self, File};
use std::process::{Command, Stdio};

/// `pack`, with standard output going to a file.
fn pack_to(world: &World, file: &str, through: &[&str]) -> Option<i32> {
    let out = File::create(world.root().join(file)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bundle-manifest"));
    command.arg("pack").arg(world.bundle()).args(through);
    command.stdout(out).stderr(Stdio::null()).status().unwrap().code()
}

fn size(world: &World, file: &str) -> u64 {
    fs::metadata(world.root().join(file)).unwrap().len()
}

#[test]
fn what_is_packed_is_a_tar_of_one_directory_that_any_tar_reads() {
    let world = World::new();
    world.finished(true);
    let tar = world.run("pack", &world.bundle()).success().get_output().stdout.clone();
    fs::write(world.root().join("b.tar"), &tar).unwrap();
    let mut command = Command::new("tar");
    let status = command.args(["xf", "b.tar", "--one-top-level=x"]).current_dir(world.root());
    assert!(status.status().unwrap().success());
    let mut same = Command::new("diff");
    same.arg("-r").arg(world.bundle()).arg(world.root().join("x").join(NAME));
    assert!(same.status().unwrap().success());
    let gzipped = world.tool(&["pack"]).arg(world.bundle()).args(["--", "gzip"]).assert().success();
    fs::write(world.root().join("b.tar.gz"), &gzipped.get_output().stdout).unwrap();
    for file in ["b.tar", "b.tar.gz"] {
        let to = world.root().join(format!("from-{file}"));
        let unpacked =
            world.tool(&["unpack"]).arg(world.root().join(file)).arg(&to).assert().success();
        unpacked.stdout(format!("{}/{NAME}\n", to.canonicalize().unwrap().display()));
        world.run("verify", &to.join(NAME)).success();
    }
}

#[test]
fn what_turns_out_damaged_on_the_way_is_never_finished() {
    let world = World::new();
    let bundle = world.finished(true);
    // Same size, and the seal of objects is not looked at before their bytes are.
    fs::write(bundle.join("minio/b/c"), "THREE").unwrap();
    assert_eq!(pack_to(&world, "out", &[]), Some(4));
    assert_eq!(size(&world, "out"), 0);
    // A command that is terminated does not reach the end of its input.
    let finished = world.root().join("finished");
    let script = format!("while read -r line; do :; done; echo > '{}'", finished.display());
    assert_eq!(pack_to(&world, "out", &["--", "sh", "-c", &script]), Some(4));
    assert_eq!(size(&world, "out"), 0);
    assert!(!finished.exists(), "it was let finish");
}

#[test]
fn what_was_in_the_file_before_is_kept() {
    let world = World::new();
    let bundle = world.finished(true);
    fs::write(bundle.join("minio/b/c"), "THREE").unwrap();
    let path = world.root().join("out");
    fs::write(&path, "mine").unwrap();
    let out = File::options().append(true).open(&path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bundle-manifest"));
    command.arg("pack").arg(bundle).stdout(out).stderr(Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(4));
    assert!(fs::read(&path).unwrap().starts_with(b"mine"));
}

#[test]
fn a_failing_command_a_full_disk_and_a_missing_program_are_failures() {
    let world = World::new();
    world.finished(true);
    assert_eq!(pack_to(&world, "out", &["--", "sh", "-c", "exit 3"]), Some(1));
    assert_eq!(pack_to(&world, "out", &["--", "sh", "-c", "cat; exit 3"]), Some(1));
    assert_eq!(size(&world, "out"), 0);
    assert_eq!(pack_to(&world, "out", &["--", "no-such-program"]), Some(1));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bundle-manifest"));
    command.arg("pack").arg(world.bundle()).stdout(full).stderr(Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(1));
}

#[test]
fn only_a_finished_bundle_is_packed() {
    let world = World::new();
    let partial = world.components(true);
    world.describe_and_seal(&partial);
    world.run("pack", &partial).code(2).stdout("").stderr(contains("is not named"));
    let bundle = world.root().join(NAME);
    fs::rename(partial, &bundle).unwrap();
    fs::remove_file(bundle.join("config.tar.gz")).unwrap();
    let refused = world.run("pack", &bundle).code(4).stdout("");
    refused.stderr(contains("is not packed").and(contains("config.tar.gz is missing")));
}
