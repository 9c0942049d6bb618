//! Databases that a load has kept.

use crate::kit::*;
use anyhow::Result;
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
