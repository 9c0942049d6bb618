use crate::support::{World, gzip};
use bundle_format::report::{DumpReport, DumpTable};
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const FIRST: &str = "piprio_20260401T020000Z";
const SECOND: &str = "piprio_20260402T020000Z";
const THIRD: &str = "piprio_20260403T020000Z";

/// Prints the report that lies there for the bundle, in place of reading its dump.
const PG_SNAP: &str = r#"#!/bin/sh
[ "$1 $2" = "inspect --json" ] || exit 2
cat "$(dirname "$0")/$(basename "$(dirname "$3")").json"
"#;

fn world() -> World {
    let world = World::new();
    world.stand_in("pg-snap", PG_SNAP);
    world
}

/// A finished bundle of that name whose dump holds these tables, `schema.table` and rows each.
pub fn bundle(world: &World, name: &str, tables: &[(&str, u64)]) -> PathBuf {
    let split = |name: &str| {
        let (schema, table) = name.split_once('.').unwrap();
        (schema.to_owned(), table.to_owned())
    };
    let table = |(name, rows): &(&str, u64)| {
        let (schema, name) = split(name);
        DumpTable { schema, name, rows: *rows, bytes: rows * 10 }
    };
    let report = DumpReport::<()> {
        complete: true,
        schemas: tables.iter().map(|(name, _)| split(name).0).collect(),
        tables: tables.iter().map(table).collect(),
        ..DumpReport::default()
    };
    world.stand_in(&format!("{name}.json"), &serde_json::to_string(&report).unwrap());
    let dir = world.root().join(name);
    fs::rename(world.finished(true), &dir).unwrap();
    dir
}

fn mark(world: &World, name: &str) -> PathBuf {
    world.root().join(format!(".{name}.shrunk"))
}

fn shrunk(world: &World) -> Vec<String> {
    let names = world.names().into_iter();
    names.filter_map(|n| Some(n.strip_suffix(".shrunk")?[1..].to_owned())).collect()
}

#[test]
fn a_schema_gone_and_a_table_emptied_set_it_off_until_a_bundle_has_them_again() {
    let world = world();
    let all = [("a.orders", 40), ("a.users", 7), ("b.orders", 9)];
    let first = bundle(&world, FIRST, &all);
    world.run("alarm", &first).success().stderr(contains("no intact bundle before"));
    let second = bundle(&world, SECOND, &[("a.orders", 41), ("a.users", 0)]);
    world.run("alarm", &second).success().stdout("").stderr(
        contains(format!("warning: {SECOND} holds far less than {FIRST}: "))
            .and(contains("1 schema gone (b)"))
            .and(contains("1 table empty (a.users)"))
            .and(contains("backup.sh --accept"))
            .and(contains("bundle-manifest diff ")),
    );
    assert_eq!(shrunk(&world), [SECOND]);
    assert_eq!(fs::metadata(mark(&world, SECOND)).unwrap().permissions().mode() & 0o777, 0o600);
    world.run("list", &world.root()).success().stdout(
        contains(format!("intact; holds far less than {FIRST}: 1 schema gone (b)"))
            .and(predicate::function(|text: &str| text.matches("far less").count() == 1)),
    );
    // Whatever happens to the bundle that it was compared with, the alarm remains.
    fs::rename(&first, world.root().join("piprio_20260301T020000Z")).unwrap();
    let third = bundle(&world, THIRD, &[("a.orders", 41), ("a.users", 0), ("b.orders", 9)]);
    world.run("alarm", &third).success().stderr(contains(format!(
        "{THIRD} still holds far less than {FIRST}: 1 table empty (a.users)"
    )));
    assert_eq!(shrunk(&world), [SECOND]);
    let whole = bundle(&world, "piprio_20260404T020000Z", &all);
    world
        .run("alarm", &whole)
        .success()
        .stderr(contains(format!("holds again what {SECOND} lacked")));
    assert!(shrunk(&world).is_empty());
}

#[test]
fn what_is_accepted_or_not_asked_for_ends_it() {
    for options in [&["--accept"][..], &["--shrink-percent", "0"]] {
        let world = world();
        bundle(&world, FIRST, &[("a.t", 9)]);
        let second = bundle(&world, SECOND, &[("a.t", 0)]);
        world.run("alarm", &second).success();
        assert_eq!(shrunk(&world), [SECOND]);
        let third = bundle(&world, THIRD, &[("a.t", 0)]);
        let words = format!("accepted: {SECOND} holds far less than {FIRST}");
        world.tool(&["alarm"]).args(options).arg(&third).assert().success().stderr(contains(words));
        assert!(shrunk(&world).is_empty());
    }
}

#[test]
fn the_percentage_is_of_the_rows_before() {
    for (percent, rows, expected) in [("50", 50, 0), ("50", 49, 1), ("90", 89, 1), ("1", 1, 0)] {
        let world = world();
        bundle(&world, FIRST, &[("a.t", 100)]);
        let second = bundle(&world, SECOND, &[("a.t", rows)]);
        world.tool(&["alarm", "--shrink-percent", percent]).arg(&second).assert().success();
        assert_eq!(shrunk(&world).len(), expected, "{percent} {rows}");
    }
    let world = world();
    world.tool(&["alarm", "--shrink-percent", "101"]).arg(world.root()).assert().code(2);
}

#[test]
fn it_is_held_against_an_intact_bundle_of_the_same_deployment() {
    let world = world();
    bundle(&world, FIRST, &[("a.t", 9)]);
    let damaged = bundle(&world, SECOND, &[("a.t", 0)]);
    fs::remove_file(damaged.join("config.tar.gz")).unwrap();
    let third = bundle(&world, THIRD, &[("a.t", 0)]);
    world.run("alarm", &third).success().stderr(contains(format!("far less than {FIRST}")));
    let other = "piprio_20260404T020000Z";
    bundle(&world, "piprio_20260403T120000Z", &[("a.t", 9)]);
    let other = bundle(&world, other, &[("z.t", 1)]);
    let manifest = fs::read_to_string(other.join("MANIFEST.txt")).unwrap();
    let manifest = manifest.replace("docs.example.org", "other.example.org");
    fs::write(other.join("MANIFEST.txt"), manifest).unwrap();
    world.run("alarm", &other).success().stderr(contains("no intact bundle before"));
    assert_eq!(shrunk(&world), [THIRD], "another deployment's alarm is its own");
}

#[test]
fn a_mark_is_of_its_bundle_alone_and_a_new_bundle_of_the_name_has_none() {
    let world = world();
    bundle(&world, FIRST, &[("a.t", 9)]);
    let second = bundle(&world, SECOND, &[("a.t", 0)]);
    world.run("alarm", &second).success();
    fs::remove_dir_all(&second).unwrap();
    let out = world.tool(&["list", "--json"]).arg(world.root()).assert().success();
    let list: serde_json::Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert_eq!(list["shrunk"], serde_json::json!([]));
    let second = bundle(&world, SECOND, &[("a.t", 9)]);
    world.run("alarm", &second).success();
    assert!(shrunk(&world).is_empty());
}

#[test]
fn what_cannot_be_read_fails_and_what_is_no_finished_bundle_is_a_usage_error() {
    let world = world();
    let first = bundle(&world, FIRST, &[("a.t", 9)]);
    let second = bundle(&world, SECOND, &[("a.t", 9)]);
    world.run("alarm", &world.root()).code(2).stderr(contains("is not named piprio_"));
    // The one before is passed over, the new one must be known.
    world.stand_in(&format!("{FIRST}.json"), "no report");
    world
        .run("alarm", &second)
        .success()
        .stderr(contains(format!("{FIRST} cannot be compared with")));
    world.run("alarm", &first).code(1).stderr(contains("its report cannot be read"));
}

/// Gives a finished bundle these files as its configuration.
fn configured(world: &World, bundle: PathBuf, files: &[(&str, &str)]) -> PathBuf {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    fs::write(bundle.join("config.tar.gz"), gzip(&tar.into_inner().unwrap())).unwrap();
    world.describe_and_seal(&bundle);
    bundle
}

#[test]
fn secrets_that_are_gone_set_it_off_until_a_bundle_has_them_again() {
    let world = world();
    let rows = [("a.t", 9)];
    let all = [(".env", "A=1\n"), ("secrets/key", "k"), ("certs/a.pem", "c"), ("certs/b.pem", "c")];
    let first = configured(&world, bundle(&world, FIRST, &rows), &all);
    world.run("alarm", &first).success();
    let second = configured(&world, bundle(&world, SECOND, &rows), &[(".env", "A=1\n")]);
    world.run("alarm", &second).success().stderr(
        contains(format!("warning: {SECOND} holds far less than {FIRST}: "))
            .and(contains("1 secret gone (secrets/key)"))
            .and(contains("no files below certs/ (2 before)")),
    );
    assert_eq!(shrunk(&world), [SECOND]);
    // A certificate under another name is one.
    let renewed = [(".env", "A=1\n"), ("secrets/key", "rotated"), ("certs/c.pem", "c")];
    let third = configured(&world, bundle(&world, THIRD, &rows), &renewed);
    world
        .run("alarm", &third)
        .success()
        .stderr(contains(format!("holds again what {SECOND} lacked")));
    assert!(shrunk(&world).is_empty());
}

#[test]
fn no_loss_is_decided_from_a_config_archive_that_cannot_be_read() {
    let world = world();
    let rows = [("a.t", 9)];
    configured(&world, bundle(&world, FIRST, &rows), &[("secrets/key", "k")]);
    let second = configured(&world, bundle(&world, SECOND, &rows), &[("secrets/other", "k")]);
    // Sealed as it is: the seal of such a bundle is intact.
    fs::write(second.join("config.tar.gz"), "no archive").unwrap();
    world.describe_and_seal(&second);
    let third = configured(&world, bundle(&world, THIRD, &rows), &[("secrets/key", "k")]);
    world.run("alarm", &third).success().stderr(
        contains(format!("{SECOND} cannot be compared with"))
            .and(contains("holds far less than").not()),
    );
    assert!(shrunk(&world).is_empty());
    // What cannot be read of the new bundle is no loss either.
    world.run("alarm", &second).code(1).stderr(contains("config.tar.gz"));
}
