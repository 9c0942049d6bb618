//! What is not whole, or not a dump, is refused, and the database that was there stays.

use crate::kit::*;
use anyhow::{Context, Result, ensure};
use predicates::prelude::*;
use predicates::str::contains;
use test_kit::postgres;

fn gzip_members(bytes: &[u8]) -> Vec<usize> {
    let start = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0];
    bytes.windows(start.len()).enumerate().filter(|(_, w)| *w == start).map(|(at, _)| at).collect()
}

#[test]
fn a_damaged_dump_is_refused_and_the_old_database_is_as_it_was() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let original = content(&s.server, "piprio")?;
    let zipped = std::fs::read(&file)?;
    let text = gunzip(&file)?;

    let refuse =
        |what: &str, dump: Vec<u8>, reason: &str| -> Result<()> {
            s.pg_snap("piprio").arg("load").write_stdin(dump).assert().code(4).stderr(
                contains(reason).and(predicate::function(|e: &str| e.lines().count() == 1)),
            );
            ensure!(content(&s.server, "piprio")? == original, "{what}: the old database changed");
            ensure!(s.databases()? == "piprio postgres", "{what}: {}", s.databases()?);
            Ok(())
        };
    refuse("empty", Vec::new(), "empty")?;
    let copy = memfind(&text, b"COPY tenant_").context("no COPY in the dump")? + 400;
    refuse("cut inside COPY data", text[..copy].to_vec(), "truncated inside the data")?;
    for cut in [1000, zipped.len() / 2, zipped.len() - 4] {
        refuse("a cut gzip stream", zipped[..cut].to_vec(), "incomplete")?;
    }
    let end = end_marker(&text)?;
    refuse("no end marker", text[..end].to_vec(), "end marker")?;
    let mut flipped = zipped.clone();
    flipped[zipped.len() * 2 / 3] ^= 0x10;
    refuse("a flipped bit", flipped, "the dump")?;

    let trace = s.path("trace");
    let with = |at: usize, line: &str| [&text[..at], line.as_bytes(), &text[at..]].concat();
    let shell = format!("\\! touch {}\n", trace.display());
    refuse("a shell escape first", with(0, &shell), "psql command '\\!'")?;
    refuse("a shell escape last", with(text.len(), &shell), "psql command '\\!'")?;
    refuse("a connect", with(0, "\\connect postgres\n"), "psql command '\\connect'")?;
    assert!(!trace.exists());
    Ok(())
}

#[test]
fn a_dump_cut_after_any_gzip_member_is_refused() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql(
        "piprio",
        "create table big as select md5(i::text) from generate_series(1, 200000) i",
    )?;
    let zipped = std::fs::read(s.dump("d.sql.gz")?)?;
    let members = gzip_members(&zipped);
    assert!(members.len() > 4, "{} members", members.len());
    // The last ones hold the end marker, the index of sections, and where that lies.
    let (cuts, whole) = members[1..].split_at(members.len() - 3);
    for cut in cuts {
        let cut = zipped[..*cut].to_vec();
        s.pg_snap("x").arg("load").write_stdin(cut.clone()).assert().code(4);
        s.pg_snap("x").arg("inspect").write_stdin(cut).assert().code(4).stdout(contains("NO: "));
    }
    for cut in whole {
        s.pg_snap("x").arg("inspect").write_stdin(&zipped[..*cut]).assert().success();
    }
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}

#[test]
fn drop_first_drops_nothing_for_a_dump_that_is_not_whole() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let original = content(&s.server, "piprio")?;
    let cut = s.path("cut.sql.gz");
    let zipped = std::fs::read(&file)?;
    std::fs::write(&cut, &zipped[..zipped.len() / 2])?;
    s.pg_snap("piprio")
        .args(["load", "--drop-first"])
        .arg(&cut)
        .assert()
        .code(4)
        .stderr(contains("nothing was dropped"));
    assert!(content(&s.server, "piprio")? == original);
    s.pg_snap("piprio").args(["load", "--drop-first"]).arg(&file).assert().success();
    assert!(content(&s.server, "piprio")? == original);
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}

#[test]
fn inspect_shows_what_a_dump_contains() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let out = s.pg_snap("").args(["inspect", "--json"]).arg(&file).output()?;
    let report: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    assert_eq!(report["complete"], true);
    assert_eq!(report["database"]["name"], "piprio");
    let tables = report["tables"].as_array().context("tables")?;
    let rows = |schema: &str, name: &str| {
        tables
            .iter()
            .find(|t| t["schema"] == schema && t["name"] == name)
            .map(|t| t["rows"].as_u64())
    };
    for (schema, table) in
        [("tenant_0002", "documents"), ("public", "schema_migrations"), ("public", "awkward")]
    {
        let count = s.server.psql("piprio", &format!("select count(*) from {schema}.{table}"))?;
        assert_eq!(rows(schema, table), Some(count.parse().ok()), "{schema}.{table}");
    }
    s.pg_snap("").args(["inspect"]).arg(s.path("none")).assert().code(1).stdout("");
    Ok(())
}

#[test]
fn failures_are_one_line_and_never_show_the_password() -> Result<()> {
    let s = Setup::new()?;
    let one_line = || predicate::function(|e: &str| e.lines().count() == 1);
    let silent = || contains(postgres::PASSWORD).not().and(contains("wrong-pw").not());
    s.pg_snap("piprio")
        .env("PGPASSWORD", "wrong-pw")
        .arg("dump")
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("psql on piprio ended with status 2").and(one_line()).and(silent()));
    s.pg_snap("piprio")
        .env("PGPORT", "1")
        .arg("dump")
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("Connection refused").and(one_line()).and(silent()));
    s.pg_snap("nowhere")
        .arg("dump")
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("no database nowhere").and(one_line()));
    s.pg_snap("").arg("dump").assert().code(2).stderr(contains("PGDATABASE"));
    s.pg_snap("piprio")
        .args(["status", "--json"])
        .assert()
        .success()
        .stdout(contains("\"exists\":true"));
    s.pg_snap("nowhere")
        .args(["status", "--json"])
        .assert()
        .success()
        .stdout(contains("\"exists\":false"));
    Ok(())
}

#[test]
fn a_dump_that_comes_through_a_named_pipe_is_read_like_any_other() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let pipe = s.path("pipe");
    for command in ["inspect", "load"] {
        let made = std::process::Command::new("mkfifo").arg(&pipe).status()?;
        ensure!(made.success());
        let mut cat = std::process::Command::new("sh")
            .args(["-c", "exec cat \"$0\" > \"$1\""])
            .args([&file, &pipe])
            .spawn()?;
        s.pg_snap("piped").arg(command).arg(&pipe).assert().success();
        assert!(cat.wait()?.success(), "{command}");
        std::fs::remove_file(&pipe)?;
    }
    Ok(())
}
