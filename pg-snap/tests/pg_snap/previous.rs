//! Databases that a load has kept.

use crate::kit::*;
use anyhow::{Context, Result};
use predicates::str::contains;

#[test]
fn the_previous_database_is_kept_when_asked_swapped_back_and_never_written_over() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("piprio", "create table public.newer ()")?;
    s.pg_snap("piprio")
        .args(["load", "--keep-previous"])
        .arg(&file)
        .assert()
        .success()
        .stderr(contains("piprio_previous"));
    assert_eq!(
        s.server.psql("piprio_previous", "select to_regclass('public.newer') is not null")?,
        "t"
    );
    assert_eq!(s.server.psql("piprio", "select to_regclass('public.newer') is null")?, "t");

    s.pg_snap("piprio").args(["previous", "swap"]).assert().success();
    assert_eq!(s.server.psql("piprio", "select to_regclass('public.newer') is not null")?, "t");
    s.pg_snap("piprio").args(["previous", "swap"]).assert().success();

    s.pg_snap("piprio")
        .args(["load", "--keep-previous"])
        .arg(&file)
        .assert()
        .success()
        .stderr(contains("warning"));
    let kept = s
        .server
        .psql("postgres", "select datname from pg_database where datname ~ '^piprio_previous_'")?;
    assert_eq!(s.server.psql(&kept, "select to_regclass('public.newer') is not null")?, "t");

    s.pg_snap("piprio").args(["previous", "drop"]).assert().success();
    assert_eq!(s.databases()?, format!("piprio {kept} postgres"));
    Ok(())
}

#[test]
fn a_kept_database_is_found_by_its_oid_under_the_name_a_later_load_gave_it() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let oid = |name: &str| {
        s.server.psql("postgres", &format!("select oid from pg_database where datname = '{name}'"))
    };
    let run = |what: &[&str]| s.pg_snap("piprio").args(["previous"]).args(what).assert();
    let load =
        || s.pg_snap("piprio").args(["load", "--keep-previous"]).arg(&file).assert().success();
    let first = oid("piprio")?;
    load();
    let second = oid("piprio")?;
    load();
    let third = oid("piprio")?;
    let listed = s.pg_snap("piprio").args(["status", "--json"]).output()?;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
    let kept = listed["beside"].as_array().context("beside")?;
    let oid_of = |b: &serde_json::Value| b["oid"].to_string();
    assert_eq!(kept.len(), 2, "{listed}");
    assert!(kept.iter().any(|b| b["name"] == "piprio_previous" && oid_of(b) == second), "{listed}");
    assert!(kept.iter().any(|b| oid_of(b) == first), "{listed}");

    // The first one back in place, whatever it is called now.
    run(&["swap", "--oid", &first]).success();
    assert_eq!(oid("piprio")?, first);
    run(&["swap", "--oid", &first]).success().stderr(contains("nothing to swap"));
    let before = s.databases()?;
    run(&["drop", "--oid", &third, "--oid", &first])
        .code(5)
        .stderr(contains("nothing was dropped"));
    let other = oid("postgres")?;
    run(&["drop", "--oid", &other]).code(5);
    run(&["swap", "--oid", &other]).code(5);
    run(&["swap", "--oid", &first, "--oid", &third]).code(2);
    run(&["swap", "--oid", "1"]).code(5);
    assert_eq!(s.databases()?, before);

    run(&["drop", "--oid", &third, "--oid", &second]).success();
    assert_eq!(s.databases()?, "piprio postgres");
    run(&["drop", "--oid", &third]).success().stderr(contains("nothing to drop"));
    Ok(())
}
