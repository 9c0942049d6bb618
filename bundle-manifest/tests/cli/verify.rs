use crate::support::{NAME, World, gzip};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn quick(world: &World) -> assert_cmd::assert::Assert {
    world.tool(&["verify", "--quick"]).arg(world.bundle()).assert()
}

fn full(world: &World) -> assert_cmd::assert::Assert {
    world.run("verify", &world.bundle())
}

#[test]
fn a_fresh_bundle_is_intact() {
    for mirror in [true, false] {
        let world = World::new();
        world.finished(mirror);
        full(&world).success().stdout(format!("{NAME} intact\n")).stderr("");
        quick(&world).success().stdout(format!("{NAME} intact\n")).stderr("");
    }
}

#[test]
fn a_bundle_is_found_from_within_itself_and_under_another_name() {
    let world = World::new();
    let bundle = world.finished(true);
    world.tool(&["verify", "."]).current_dir(&bundle).assert().success();
    let copy = world.root().join("copy of it");
    fs::rename(bundle, &copy).unwrap();
    world
        .run("verify", &copy)
        .success()
        .stdout("copy of it intact\n")
        .stderr(contains(format!("was made under the name {NAME}")));
}

#[test]
fn a_missing_part_is_named() {
    for name in [
        "MANIFEST.txt",
        "database.sql.gz",
        "config.tar.gz",
        "SHA256SUMS",
        "minio/b/c",
        "minio/.obj-mirror/index.jsonl",
        "minio/.obj-mirror/SHA256SUMS",
    ] {
        let world = World::new();
        let bundle = world.finished(true);
        fs::remove_file(bundle.join(name)).unwrap();
        let expected = contains(format!("bundle-manifest: {name} is missing"));
        quick(&world).code(4).stderr(expected.clone());
        full(&world).code(4).stderr(expected);
    }
}

#[test]
fn every_single_change_of_content_is_found() {
    let world = World::new();
    let bundle = world.finished(true);
    let mut changes = 0;
    for name in [
        "MANIFEST.txt",
        "database.sql.gz",
        "config.tar.gz",
        "SHA256SUMS",
        "minio/b/c",
        "minio/.obj-mirror/index.jsonl",
        "minio/.obj-mirror/SHA256SUMS",
    ] {
        let path = bundle.join(name);
        let whole = fs::read(&path).unwrap();
        let mut variants = vec![
            Vec::new(),
            whole[..whole.len() / 2].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            [whole.as_slice(), b"x"].concat(),
            [whole.as_slice(), b"\n"].concat(),
        ];
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            variants.push(flipped);
        }
        for variant in variants {
            fs::write(&path, &variant).unwrap();
            let output = full(&world).get_output().clone();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(4), "{name}: {variant:?}\n{stderr}");
            assert!(stderr.lines().count() >= 2, "{name}: {stderr}");
            changes += 1;
        }
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(changes, 63);
    full(&world).success();
}

#[test]
fn no_byte_of_the_seal_can_change_unseen() {
    let world = World::new();
    let bundle = world.finished(true);
    let path = bundle.join("SHA256SUMS");
    let seal = fs::read(&path).unwrap();
    for at in 0..seal.len() {
        let mut flipped = seal.clone();
        // The bit that separates lower case from upper: the likeliest to read as the same digit.
        flipped[at] ^= 0x20;
        fs::write(&path, &flipped).unwrap();
        let code = quick(&world).get_output().status.code();
        assert_eq!(code, Some(4), "byte {at} of\n{}", String::from_utf8_lossy(&seal));
    }
}

#[test]
fn a_directory_with_nothing_in_it_is_damage() {
    for name in ["stray", "minio/b/stray", "minio/.obj-mirror/stray", "minio/.obj-mirror/tmp/x"] {
        let world = World::new();
        let bundle = world.finished(true);
        fs::create_dir_all(bundle.join(name)).unwrap();
        quick(&world).code(4).stderr(contains(format!("{name} is not part of the bundle")));
    }
}

#[test]
fn what_no_list_knows_is_damage() {
    for name in ["stray", "minio/stray", "minio/b/stray", "minio/.obj-mirror/stray"] {
        let world = World::new();
        let bundle = world.finished(true);
        fs::write(bundle.join(name), "x").unwrap();
        let expected = contains(format!("{name} is not part of the bundle"));
        quick(&world).code(4).stderr(expected.clone());
        full(&world).code(4).stderr(expected);
    }
}

#[test]
fn a_link_in_a_bundle_is_damage_even_to_the_right_content() {
    let world = World::new();
    let bundle = world.finished(true);
    fs::rename(bundle.join("config.tar.gz"), world.root().join("elsewhere")).unwrap();
    symlink("../elsewhere", bundle.join("config.tar.gz")).unwrap();
    quick(&world).code(4).stderr(contains("config.tar.gz is a symbolic link"));
    full(&world).code(4).stderr(contains("config.tar.gz is a symbolic link"));
}

#[test]
fn the_other_tools_reasons_are_relayed() {
    let world = World::new();
    let bundle = world.finished(true);
    fs::write(bundle.join("database.sql.gz"), gzip(b"COPY a FROM stdin;\n1\n")).unwrap();
    fs::write(bundle.join("minio/b/c"), "THREE").unwrap();
    fs::write(bundle.join("config.tar.gz"), "no archive").unwrap();
    full(&world)
        .code(4)
        .stderr(contains("bundle-manifest: database.sql.gz is damaged: the dump is cut\n"))
        .stderr(contains("bundle-manifest: database.sql.gz does not match its checksum"))
        .stderr(contains("bundle-manifest: minio/b/c is damaged: sha256 differs\n"))
        .stderr(contains("bundle-manifest: config.tar.gz cannot be read: not an archive\n"));
}

#[test]
fn a_seal_with_the_same_sums_written_in_another_way_is_damage() {
    let world = World::new();
    let path = world.finished(true).join("SHA256SUMS");
    let seal = fs::read_to_string(&path).unwrap();
    let reversed: String = seal.lines().rev().map(|line| format!("{line}\n")).collect();
    for other in [reversed, seal.replacen("  ", " *", 1), seal.replacen("  ", "  ./", 1)] {
        fs::write(&path, other).unwrap();
        quick(&world).code(4).stderr(contains("SHA256SUMS is not as it was written"));
    }
}

#[test]
fn a_dump_that_was_cut_before_it_was_sealed_is_damage() {
    let world = World::new();
    let dir = world.components(true);
    fs::write(dir.join("database.sql.gz"), gzip(b"COPY a FROM stdin;\n1\n")).unwrap();
    world.describe_and_seal(&dir);
    world.run("publish", &dir).success();
    quick(&world).success();
    full(&world).code(4).stderr(contains("is damaged: the dump is cut"));
}

#[test]
fn a_check_that_could_not_be_made_is_no_verdict() {
    for script in
        ["#!/bin/sh\necho 'pg-snap: cannot open it' >&2\nexit 1\n", "#!/bin/sh\nkill -9 $$\n"]
    {
        let world = World::new();
        world.finished(true);
        world.stand_in("pg-snap", script);
        full(&world)
            .code(1)
            .stdout(format!("{NAME} unknown\n"))
            .stderr(contains("could not check"));
        assert_eq!(world.names(), [NAME]);
    }
    let world = World::new();
    let bundle = world.finished(true);
    let none = world.root();
    world
        .tool(&["verify"])
        .arg(&bundle)
        .env("PATH", none)
        .assert()
        .code(1)
        .stderr(contains("pg-snap not found"));
    world.run("verify", Path::new("/nonexistent")).code(1);
}

#[test]
fn a_quick_check_runs_no_other_tool_and_reads_nothing_big() {
    let world = World::new();
    let dir = world.components(true);
    // Level 0 keeps it over the limit of what is small.
    let mut dump = gzip(crate::support::DUMP);
    dump.resize(1 << 20, 0);
    fs::write(dir.join("database.sql.gz"), &dump).unwrap();
    world.describe_and_seal(&dir);
    world.run("publish", &dir).success();
    let path = world.bundle().join("database.sql.gz");
    dump[500_000] ^= 1;
    fs::write(&path, &dump).unwrap();
    let nowhere = world.root();
    let quick = || {
        let mut tool = world.tool(&["verify", "--quick"]);
        tool.arg(world.bundle()).env("PATH", &nowhere).assert()
    };
    quick().success();
    fs::write(&path, &dump[1..]).unwrap();
    quick().code(4).stderr(contains("has 1048575 bytes, and the manifest lists 1048576"));
}

#[test]
fn an_object_of_another_size_is_found_without_reading_it() {
    let world = World::new();
    let bundle = world.finished(true);
    fs::write(bundle.join("minio/b/c"), "longer than three").unwrap();
    quick(&world)
        .code(4)
        .stderr(contains("minio/ holds 2 objects of 20 bytes"))
        .stderr(contains("minio/b/c has 17 bytes, and the mirror's index lists 5"));
}

#[test]
fn damage_once_found_is_remembered_until_a_full_verify_passes() {
    let world = World::new();
    let bundle = world.finished(true);
    fs::write(bundle.join("minio/b/c"), "THREE").unwrap();
    quick(&world).success();
    full(&world).code(4);
    let marker = format!(".{NAME}.damaged");
    assert_eq!(world.names(), [marker.as_str(), NAME]);
    quick(&world).code(4).stderr(contains("was found damaged by a full verify: minio/b/c"));
    fs::write(bundle.join("minio/b/c"), "three").unwrap();
    quick(&world).code(4);
    full(&world).success();
    assert_eq!(world.names(), [NAME]);
    quick(&world).success();
}

#[test]
fn an_older_scripts_bundle_is_unsealed_and_still_good() {
    let world = World::new();
    let bundle = world.old_bundle();
    full(&world).success().stdout(format!("{NAME} unsealed\n")).stderr(contains("has no seal"));
    quick(&world).success().stdout(format!("{NAME} unsealed\n")).stderr(contains("has no seal"));
    fs::write(bundle.join("database.sql.gz"), gzip(b"COPY a FROM stdin;\n1\n")).unwrap();
    full(&world).code(4).stderr(contains("is damaged: the dump is cut"));
    for name in ["MANIFEST.txt", "database.sql.gz"] {
        let world = World::new();
        let bundle = world.old_bundle();
        fs::remove_file(bundle.join(name)).unwrap();
        full(&world).code(4).stderr(contains(format!("{name} is missing")));
    }
}

#[test]
fn a_manifest_of_this_toolkit_without_a_seal_is_damage() {
    let world = World::new();
    let bundle = world.old_bundle();
    fs::write(bundle.join("MANIFEST.txt"), "Bundle: x\nToolkit: piprio-backup 0.1.0\n").unwrap();
    full(&world).code(4).stderr(contains("SHA256SUMS is missing"));
    quick(&world).code(4).stderr(contains("SHA256SUMS is missing"));
}

#[test]
fn the_report_as_json_has_the_documented_shape() {
    let world = World::new();
    let bundle = world.finished(true);
    fs::remove_file(bundle.join("minio/b/c")).unwrap();
    world
        .tool(&["verify", "--quick", "--json"])
        .arg(&bundle)
        .assert()
        .code(4)
        .stdout(format!(
            "{{\"bundle\":\"{NAME}\",\"state\":\"damaged\",\"sealed\":true,\"problems\":[{{\"path\":\"minio/b/c\",\"problem\":\"is missing\"}}],\"unchecked\":[]}}\n"
        ))
        .stderr(contains("damaged (1 problem)").and(contains("minio/b/c is missing")));
}

#[test]
fn a_bundle_on_a_read_only_filesystem_is_intact_without_a_warning() {
    let world = World::new();
    let bundle = world.finished(true);
    let script =
        "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" || exit 77; shift; \"$@\"";
    let tool = world.tool(&[]);
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["-m", "sh", "-c", script]).arg(world.root()).arg("sh").arg(tool.get_program());
    unshare.arg("verify").arg(&bundle);
    for (name, value) in tool.get_envs() {
        unshare.env(name, value.unwrap_or_default());
    }
    let out = unshare.output();
    let Some(out) = out.ok().filter(|out| matches!(out.status.code(), Some(0 | 3 | 4))) else {
        println!("skipped, because no filesystem can be mounted here");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    assert_eq!(String::from_utf8_lossy(&out.stdout), format!("{NAME} intact\n"));
}
