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
fn a_mirror_with_a_file_that_it_does_not_list_is_not_sealed() {
    for stray in ["minio/stray", "minio/.obj-mirror/objects/stray"] {
        let world = World::new();
        let dir = world.components(true);
        fs::create_dir_all(dir.join(stray).parent().unwrap()).unwrap();
        fs::write(dir.join(stray), "x").unwrap();
        let refused = world.run("sums", &dir).code(1).stdout("");
        refused
            .stderr(contains("the mirror has 1 file"))
            .stderr(contains(format!("{stray} is not listed")));
    }
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

/// The line of `--known` for a file as it now lies there, with another checksum where one is given.
fn known(path: &std::path::Path, checksum: Option<&str>) -> String {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path).unwrap();
    let modified = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    let own = Command::new("sha256sum").arg(path).output().unwrap().stdout;
    let own = String::from_utf8(own).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    format!("{} {modified} {}  {name}\n", meta.len(), checksum.unwrap_or(&own[..64]))
}

#[test]
fn a_file_whose_checksum_is_known_is_not_read() {
    let world = World::new();
    let dir = world.components(true);
    let whole = world.run("sums", &dir).success().get_output().stdout.clone();
    let path = dir.join("database.sql.gz");
    let run = |known: &str| {
        let mut tool = world.tool(&["sums"]);
        tool.arg(&dir).args(["--known", "-"]);
        tool.write_stdin(known).assert()
    };
    run(&known(&path, None)).success().stdout(whole.clone());
    let other = "0".repeat(64);
    let line = known(&path, Some(&other));
    run(&line).success().stdout(contains(format!("{other}  database.sql.gz\n")));
    // Nothing shows that it is the same file: it is read, and compared.
    let time = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    let before = known(&path, None);
    fs::File::options().write(true).open(&path).unwrap().set_times(time).unwrap();
    run(&before).success().stdout(whole);
    run(&line).code(4).stdout("").stderr(contains("has changed since it was written"));
}

#[test]
fn a_file_that_is_not_as_it_was_written_is_not_sealed() {
    let world = World::new();
    let dir = world.components(true);
    let path = dir.join("database.sql.gz");
    let list = world.root().join("known");
    let run = |text: &str| {
        fs::write(&list, text).unwrap();
        let mut tool = world.tool(&["sums"]);
        tool.arg("--known").arg(&list).arg(&dir);
        tool.assert().code(4).stdout("")
    };
    let line = known(&path, None);
    let size = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(size - 1).unwrap();
    run(&line).stderr(contains(format!("has {} bytes, and {size} were written", size - 1)));
    fs::remove_file(&path).unwrap();
    run(&line).stderr(contains("database.sql.gz was written, and"));
    run("damaged\n").stderr(contains("has no size, time and checksum in line 1"));
}
