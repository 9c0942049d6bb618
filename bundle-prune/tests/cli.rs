//! bundle-prune through its binary. `bundle-manifest` is a stand-in that keeps the contract: each
//! bundle's state is what its file `STATE` contains.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use assert_cmd::Command;
use chrono::{TimeDelta, Utc};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use tempfile::TempDir;

const BUNDLE_MANIFEST: &str = r#"#!/bin/sh
[ "$1 $3" = "list --json" ] || exit 2
printf '{"root":"%s","bundles":[' "$2"
comma=
for dir in "$2"/piprio_*; do
    [ -d "$dir" ] || continue
    name=$(basename "$dir")
    taken=$(echo "$name" | sed 's/piprio_\(....\)\(..\)\(..\)T\(..\)\(..\)\(..\)Z/\1-\2-\3T\4:\5:\6Z/')
    domain=unknown shrunk=null
    [ -f "$dir/DOMAIN" ] && domain=$(cat "$dir/DOMAIN")
    [ -f "$2/.$name.shrunk" ] && shrunk='"holds far less"'
    printf '%s{"name":"%s","path":"%s","timestamp":"%s","age_seconds":0,"bytes":0,"version":"unknown","state":"%s","reason":null,"domain":"%s","shrunk":%s}' "$comma" "$name" "$dir" "$taken" "$(cat "$dir/STATE")" "$domain" "$shrunk"
    comma=,
done
echo '],"partials":[],"ahead":[],"shrunk":[]}'
"#;

struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(world.root()).unwrap();
        fs::create_dir(world.dir.path().join("bin")).unwrap();
        world.stand_in(BUNDLE_MANIFEST);
        world
    }

    fn stand_in(&self, script: &str) {
        let path = self.dir.path().join("bin/bundle-manifest");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    /// A bundle this many hours old, in its name; its files are all of today.
    fn bundle(&self, hours: i64, state: &str) -> String {
        let taken = Utc::now() - TimeDelta::hours(hours);
        let name = taken.format("piprio_%Y%m%dT%H%M%SZ").to_string();
        fs::create_dir_all(self.root().join(&name).join("minio")).unwrap();
        fs::write(self.root().join(&name).join("STATE"), state).unwrap();
        fs::write(self.root().join(&name).join("minio/object"), "x").unwrap();
        name
    }

    fn prune(&self, args: &[&str]) -> assert_cmd::assert::Assert {
        self.command().args(args).assert()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bundle-prune"));
        let old = std::env::var_os("PATH").unwrap_or_default();
        let mut path = vec![self.dir.path().join("bin")];
        path.extend(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(path).unwrap());
        command.env_remove("PIPRIO_DEPLOY").env_remove("PIPRIO_DOMAIN");
        command.arg(self.root());
        command
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn old_bundles_go_by_the_time_in_their_names_and_young_ones_stay() {
    let world = World::new();
    let young = world.bundle(30 * 24 - 1, "intact");
    let old = world.bundle(30 * 24 + 1, "intact");
    world
        .prune(&[])
        .success()
        .stdout(format!("keep {young} not older than 30 d\nremoved {old} older than 30 d\n"))
        .stderr("");
    assert_eq!(world.names(), [young]);
}

#[test]
fn keeps_the_newest_intact_bundle_however_old() {
    let world = World::new();
    let damaged = world.bundle(1, "damaged");
    let newest = world.bundle(400 * 24, "intact");
    let older = world.bundle(401 * 24, "intact");
    world
        .prune(&["--keep-days", "1"])
        .success()
        .stdout(contains(format!("keep {newest} the newest intact bundle\n")))
        .stdout(contains(format!("removed {older} ")));
    assert_eq!(world.names(), [newest, damaged]);
}

#[test]
fn without_an_intact_bundle_nothing_is_removed_and_that_is_reported() {
    let world = World::new();
    let old = world.bundle(400 * 24, "damaged");
    world.prune(&["--quiet"]).success().stderr(contains("no bundle is intact, so none is removed"));
    assert_eq!(world.names(), [old]);
}

#[test]
fn a_bundle_of_the_future_is_kept_and_warned_of() {
    let world = World::new();
    let old = world.bundle(400 * 24, "intact");
    let future = world.bundle(-48, "intact");
    world
        .prune(&[])
        .success()
        .stderr(contains(format!("{future} is more than a day in the future")));
    assert_eq!(world.names(), [old, future]);
}

#[test]
fn a_run_whose_clock_contradicts_the_last_one_removes_nothing_and_the_next_continues() {
    let world = World::new();
    let young = world.bundle(1, "intact");
    let old = world.bundle(31 * 24, "intact");
    let file = world.dir.path().join("record.json");
    let record = ["--record", file.to_str().unwrap()];
    let last = |hours: i64| {
        let at = (Utc::now() - TimeDelta::hours(hours)).to_rfc3339();
        let root = world.root().canonicalize().unwrap();
        fs::write(&file, format!(r#"{{"{}":{{"at":"{at}"}}}}"#, root.display())).unwrap();
    };
    for hours in [400 * 24, -400 * 24, 3 * 24, -25] {
        last(hours);
        world.prune(&record).success().stderr(
            contains("warning: the clock reads ").and(contains("this run removes nothing")),
        );
        assert_eq!(world.names(), [old.clone(), young.clone()]);
    }
    // A dry run finds the same, and leaves the record as it is.
    last(400 * 24);
    let before = fs::read(&file).unwrap();
    let dry = world.prune(&[&record[..], &["--dry-run"]].concat()).success();
    dry.stderr(contains("the clock reads "));
    assert_eq!(fs::read(&file).unwrap(), before);
    last(24);
    world.prune(&record).success().stderr("");
    assert_eq!(world.names(), [young]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_record_is_the_deployments_where_one_is_set() {
    let world = World::new();
    world.bundle(1, "intact");
    let deployment = world.dir.path().join("deploy");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bundle-prune"));
    command.env("PATH", format!("{}:/usr/bin:/bin", world.dir.path().join("bin").display()));
    command.env("PIPRIO_DEPLOY", &deployment).arg(world.root()).assert().success();
    assert!(deployment.join(".restore/retention.json").is_file());
    fs::write(deployment.join(".restore/retention.json"), "{").unwrap();
    command.assert().success().stderr(contains("is not a record of a run"));
    command.assert().success().stderr("");
}

#[test]
fn another_deployments_bundles_are_neither_removed_nor_counted() {
    let world = World::new();
    let of = |hours, domain: &str| {
        let name = world.bundle(hours, "intact");
        fs::write(world.root().join(&name).join("DOMAIN"), domain).unwrap();
        name
    };
    let (a, b) = ("a.example.org", "b.example.org");
    let theirs = [of(800, b), of(900, b)];
    let ours = [of(1000, a), of(1100, a)];
    let nobodys = world.bundle(1200, "intact");
    world
        .prune(&["--domain", a])
        .success()
        .stdout(contains(format!("keep {} the newest intact bundle\n", ours[0])))
        .stdout(contains(format!("removed {} older than 30 d\n", ours[1])))
        .stdout(contains(format!("keep {nobodys} another deployment's\n")));
    let left = [&nobodys, &ours[0], &theirs[1], &theirs[0]].map(Clone::clone);
    assert_eq!(world.names(), left);
    // Without a domain all of them are one deployment's, as ever.
    world.prune(&[]).success();
    assert_eq!(world.names(), theirs[..1]);
}

#[test]
fn nothing_is_removed_while_a_bundle_holds_far_less_than_the_one_before() {
    let world = World::new();
    let young = world.bundle(1, "intact");
    let old = world.bundle(31 * 24, "intact");
    let mark = world.root().join(format!(".{young}.shrunk"));
    fs::write(&mark, "{}").unwrap();
    world
        .prune(&[])
        .success()
        .stdout(contains(format!(
            "keep {old} older than 30 d, and a newer bundle holds far less\n"
        )))
        .stderr(contains(format!("nothing is removed, because {young} holds far less")))
        .stderr(contains("backup.sh --accept"));
    fs::remove_file(&mark).unwrap();
    world.prune(&[]).success().stderr("");
    assert_eq!(world.names(), [young]);
}

#[test]
fn keep_last_keeps_more() {
    let world = World::new();
    let mut names: Vec<_> = (0..4).map(|n| world.bundle((40 + n) * 24, "intact")).collect();
    world.prune(&["--keep-last", "3"]).success();
    names.truncate(3);
    names.reverse();
    assert_eq!(world.names(), names);
}

#[test]
fn the_limits_of_the_deployment_hold_where_no_option_is_given() {
    let world = World::new();
    let names: Vec<_> = [100, 40, 1].map(|days| world.bundle(days * 24, "intact")).into();
    world.command().env("BACKUP_KEEP_DAYS", "60").env("BACKUP_KEEP_DAILY", "3").assert().success();
    assert_eq!(world.names(), names);
    world.command().env("BACKUP_KEEP_DAYS", "60").assert().success();
    assert_eq!(world.names(), names[1..]);
    // An empty one counts as one that is not set.
    let mut command = world.command();
    command.env("BACKUP_KEEP_DAYS", "").env("BACKUP_KEEP_DAILY", "").env("PIPRIO_DOMAIN", "");
    command.args(["--keep-days", "60"]).assert().success();
    assert_eq!(world.names(), names[1..]);
    world.command().env("BACKUP_KEEP_DAYS", "60").args(["--keep-days", "30"]).assert().success();
    assert_eq!(world.names(), names[2..]);
}

#[test]
fn a_dry_run_prints_the_verdicts_and_changes_nothing() {
    let world = World::new();
    let young = world.bundle(1, "intact");
    let old = world.bundle(31 * 24, "unsealed");
    fs::create_dir(world.root().join(".piprio_20200101T000000Z.removing")).unwrap();
    let before = world.names();
    world
        .prune(&["--dry-run"])
        .success()
        .stdout(format!("keep {young} not older than 30 d\nremove {old} older than 30 d\n"))
        .stderr(contains("piprio_20200101T000000Z would be finished"));
    assert_eq!(world.names(), before);
}

#[test]
fn the_json_gives_each_verdict_reason_and_outcome() {
    let world = World::new();
    let young = world.bundle(1, "intact");
    let old = world.bundle(31 * 24, "damaged");
    for (args, outcomes) in
        [(["--json", "--dry-run"], ["none", "none"]), (["--json", "-q"], ["kept", "removed"])]
    {
        let out = world.prune(&args).success().get_output().stdout.clone();
        let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(report["keep_days"], 30);
        let line = |n: usize, key: &str| report["bundles"][n][key].as_str().unwrap().to_owned();
        assert_eq!([line(0, "name"), line(1, "name")], [young.clone(), old.clone()]);
        assert_eq!([line(0, "verdict"), line(1, "verdict")], ["keep", "remove"]);
        assert_eq!(line(1, "reason"), "older than 30 d");
        assert_eq!([line(0, "outcome"), line(1, "outcome")], outcomes);
    }
}

#[test]
fn a_cut_off_removal_is_finished_and_the_mark_goes_with_its_bundle() {
    let world = World::new();
    let young = world.bundle(1, "intact");
    let old = world.bundle(31 * 24, "damaged");
    let left = "piprio_20200101T000000Z";
    fs::create_dir_all(world.root().join(format!(".{left}.removing/minio/a"))).unwrap();
    for name in [left, &old] {
        fs::write(world.root().join(format!(".{name}.damaged")), "x").unwrap();
    }
    world.prune(&[]).success().stderr(contains("finished the interrupted removal"));
    assert_eq!(world.names(), [young]);
}

#[test]
fn nothing_but_finished_bundles_is_touched() {
    let world = World::new();
    world.bundle(1, "intact");
    for name in [".piprio_20200101T000000Z.partial", "other", ".lock.removing"] {
        fs::create_dir(world.root().join(name)).unwrap();
    }
    fs::write(world.root().join(".piprio_20200101T000000Z.removing"), "").unwrap();
    let before = world.names();
    world.prune(&[]).success();
    assert_eq!(world.names(), before);
}

#[test]
fn a_name_that_is_no_bundles_is_not_believed() {
    let world = World::new();
    world.bundle(1, "intact");
    world.bundle(400 * 24, "intact");
    fs::create_dir(world.root().join("piprio_notes")).unwrap();
    fs::write(world.root().join("piprio_notes/STATE"), "intact").unwrap();
    let before = world.names();
    world.prune(&[]).code(1).stderr(contains("nothing was removed"));
    assert_eq!(world.names(), before);
}

#[test]
fn a_link_is_not_removed_even_if_it_is_listed() {
    let world = World::new();
    world.bundle(1, "intact");
    fs::create_dir(world.dir.path().join("elsewhere")).unwrap();
    fs::write(world.dir.path().join("elsewhere/STATE"), "intact").unwrap();
    symlink("../elsewhere", world.root().join("piprio_20200101T000000Z")).unwrap();
    world.prune(&[]).code(1).stderr(contains("could not remove piprio_20200101T000000Z"));
    assert!(world.dir.path().join("elsewhere/STATE").exists());
    assert!(world.root().join("piprio_20200101T000000Z").exists());
}

#[test]
fn one_that_cannot_be_removed_does_not_keep_the_others() {
    let world = World::new();
    let young = world.bundle(1, "intact");
    let stuck = world.bundle(31 * 24, "intact");
    let old = world.bundle(32 * 24, "intact");
    // Another file has the name that it would leave by.
    fs::write(world.root().join(format!(".{stuck}.removing")), "").unwrap();
    world
        .prune(&[])
        .code(1)
        .stdout(contains(format!("failed {stuck} ")).and(contains(format!("removed {old} "))))
        .stderr(contains(format!("could not remove {stuck}")));
    assert_eq!(world.names(), [format!(".{stuck}.removing"), stuck, young]);
}

#[test]
fn a_list_that_cannot_be_had_removes_nothing() {
    let world = World::new();
    world.bundle(1, "intact");
    world.bundle(31 * 24, "intact");
    let before = world.names();
    for script in [
        "#!/bin/sh\necho 'bundle-manifest: no' >&2; exit 1\n",
        "#!/bin/sh\nexit 0\n",
        "#!/bin/sh\necho '{\"bundles\":[{\"name\":\"piprio_2020'\n",
        "#!/bin/sh\necho '{\"bundles\":[]}'; exit 1\n",
    ] {
        world.stand_in(script);
        world.prune(&[]).code(1).stdout("").stderr(contains("nothing was removed"));
        assert_eq!(world.names(), before);
    }
}

#[test]
fn usage_errors_are_2_and_a_missing_root_is_1() {
    let world = World::new();
    for args in
        [["--keep-days", "0"], ["--keep-days", "-1"], ["--keep-days", ""], ["--keep-last", "x"]]
    {
        world.prune(&args).code(2);
    }
    fs::remove_dir_all(world.root()).unwrap();
    world.prune(&[]).code(1).stderr(contains("opening"));
}
