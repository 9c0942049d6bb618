use crate::alarm::bundle;
use crate::support::World;
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;

const PG_SNAP: &str = r#"#!/bin/sh
cat "$(dirname "$0")/$(basename "$(dirname "$3")").json"
"#;

#[test]
fn the_greatest_change_comes_first_for_people_and_programs() {
    let world = World::new();
    world.stand_in("pg-snap", PG_SNAP);
    let first = bundle(
        &world,
        "piprio_20260401T020000Z",
        &[("a.few", 3), ("a.many", 500), ("a.same", 5), ("gone.t", 20)],
    );
    let second = bundle(
        &world,
        "piprio_20260402T020000Z",
        &[("a.few", 4), ("a.many", 1200), ("a.same", 5), ("new.t", 1)],
    );
    fs::write(
        second.join("minio/.obj-mirror/index.jsonl"),
        "{\"key\":\"b/c\",\"path\":\"b/c\",\"size\":6}\n{\"key\":\"d/e\",\"path\":\"d/e\",\"size\":1}\n",
    )
    .unwrap();
    let run = |more: &[&str]| world.tool(&["diff"]).args([&first, &second]).args(more).assert();
    run(&[])
        .success()
        .stderr("")
        .stdout(contains("database: 528 -> 1210 rows").and(contains("1 schema removed: gone\n")))
        .stdout(contains("1 schema added: new\n").and(contains("a.same").not()))
        .stdout(predicate::function(|text: &str| {
            let at = |words: &str| text.find(words).unwrap();
            at("a.many") < at("gone.t (removed)") && at("gone.t (removed)") < at("a.few")
        }))
        .stdout(contains("objects: 2 -> 2 objects, 8 B -> 7 B\n"))
        .stdout(contains("config\n  as before\n"));
    let out = run(&["--json"]).success().get_output().stdout.clone();
    let diff: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(diff["database"]["schemas_removed"], serde_json::json!(["gone"]));
    assert_eq!(
        diff["database"]["tables"][0],
        serde_json::json!({"schema": "a", "name": "many", "change": "changed",
            "rows": {"before": 500, "after": 1200}, "bytes": {"before": 5000, "after": 12000}})
    );
    let all = &diff["objects"]["all"];
    assert_eq!([&all["added"], &all["removed"], &all["changed"]], [1, 1, 1]);
    assert_eq!(diff["objects"]["prefixes"].as_array().unwrap().len(), 3);
}

#[test]
fn what_cannot_be_read_fails() {
    let world = World::new();
    world.stand_in("pg-snap", PG_SNAP);
    let first = bundle(&world, "piprio_20260401T020000Z", &[("a.t", 1)]);
    let diff = |other| world.tool(&["diff"]).arg(&first).arg(other).assert();
    diff(world.root().join("none")).code(1).stderr(contains("opening"));
    diff(world.root()).code(1);
    world.stand_in("pg-snap", "#!/bin/sh\necho 'pg-snap: the dump is cut' >&2; exit 4\n");
    diff(first.clone()).code(1).stdout("").stderr(contains("the dump is cut"));
}
