//! Dumps of two nights: what has not changed is the same members, byte for byte.

use crate::format::{index, member, members, rewritten, section};
use crate::kit::*;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;
use test_kit::Postgres;
use test_kit::postgres::Options;

/// Three tables of 22, 22 and 5 MB of text, in the order of their rows' places.
const TABLES: &str = "
    create schema a; create schema b;
    create table a.touched (id int primary key, t text, n int);
    create table b.touched (id int primary key, t text, n int);
    create table b.untouched (id int primary key, t text, n int);
    insert into a.touched select g, repeat(md5(g::text), 10), 0 from generate_series(1, 66000) g;
    insert into b.touched select g, repeat(md5(g::text), 10), 0 from generate_series(1, 66000) g;
    insert into b.untouched select g, repeat(md5('u' || g), 10), 0 from generate_series(1, 15000) g;
    create sequence b.numbers";
/// 2 % of the rows updated, which moves them to the end, and 1 % inserted; the other table grows so much that
/// it is the largest.
const NIGHT: &str = "
    update a.touched set n = n + 1 where id between 20001 and 21320;
    insert into a.touched select g, repeat(md5(g::text), 10), 0 from generate_series(66001, 66660) g;
    insert into b.touched select g, repeat(md5(g::text), 10), 0 from generate_series(66001, 76000) g;
    select nextval('b.numbers')";

/// A server with these tables, which no vacuum changes meanwhile.
fn setup(tables: &str) -> Result<(Postgres, tempfile::TempDir)> {
    let server =
        Postgres::with(Options { settings: vec!["autovacuum=off".into()], ..Options::default() })?;
    server.psql("postgres", "create database piprio")?;
    server.psql("piprio", tables)?;
    Ok((server, tempfile::tempdir()?))
}

fn dump(server: &Postgres, dir: &tempfile::TempDir, options: &[&str]) -> Result<Vec<u8>> {
    let file = dir.path().join("d.sql.gz");
    dump_to(server, "piprio", options, &file)?;
    Ok(std::fs::read(file)?)
}

fn is_of(section: &Value, schema: &str, table: &str) -> bool {
    section["schema"] == schema && section["table"] == table
}

/// The members of a table's section.
fn members_of<'a>(dump: &'a [u8], schema: &str, table: &str) -> Result<Vec<&'a [u8]>> {
    let (_, sections) = index(dump)?;
    let one = sections.iter().find(|section| is_of(section, schema, table));
    members(section(dump, one.context("no section")?)?)
}

fn order(dump: &[u8]) -> Result<Vec<String>> {
    let names = index(dump)?
        .1
        .into_iter()
        .map(|section| format!("{}{}", section["kind"], section["table"]));
    Ok(names.collect())
}

#[test]
fn the_next_nights_dump_has_the_members_of_this_nights_wherever_no_row_changed() -> Result<()> {
    let (server, dir) = setup(TABLES)?;
    for level in ["default", "fast"] {
        let first = dump(&server, &dir, &["--level", level])?;
        server.psql("piprio", NIGHT)?;
        let second = dump(&server, &dir, &["--level", level, "--jobs", "3"])?;
        ensure!(order(&first)? == order(&second)?, "{:?}", order(&second)?);
        let untouched = |dump| members_of(dump, "b", "untouched");
        ensure!(
            untouched(&first)? == untouched(&second)?,
            "the members of a table that did not change"
        );
        // Where rows left, where they arrived, and a neighbour of each.
        for (schema, most) in [("a", 5), ("b", 10)] {
            let before: HashSet<_> = members_of(&first, schema, "touched")?.into_iter().collect();
            let after = members_of(&second, schema, "touched")?;
            let new = after.iter().filter(|member| !before.contains(**member)).count();
            ensure!(before.len() >= 11, "{} members", before.len());
            ensure!(
                (1..=most).contains(&new),
                "{level}: {new} of {} are new in {schema}",
                after.len()
            );
        }
        server.psql("piprio", "drop schema a cascade; drop schema b cascade")?;
        server.psql("piprio", TABLES)?;
    }
    Ok(())
}

/// A member whose text differs in every dump.
fn holds_a_key(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("\\restrict ") || line.starts_with("\\unrestrict "))
}

#[test]
fn two_dumps_of_a_database_are_the_same_bytes_but_for_a_key_in_members_of_its_own() -> Result<()> {
    let (server, dir) = setup(TABLES)?;
    let first = dump(&server, &dir, &["--jobs", "1"])?;
    let second = dump(&server, &dir, &["--jobs", "4"])?;
    let (a, b) = (members(&first)?, members(&second)?);
    ensure!(a.len() == b.len(), "{} members and {}", a.len(), b.len());
    let mut differing = Vec::new();
    for (one, other) in a.iter().zip(&b).filter(|(one, other)| one != other) {
        ensure!(one.len() == other.len(), "{} bytes and {}", one.len(), other.len());
        let text = member(one, 0)?;
        ensure!(holds_a_key(&text), "differs: {text}");
        ensure!(text.lines().count() < 9, "more than a key differs: {text}");
        differing.push(text);
    }
    let keys = member_texts(&a)?.iter().filter(|text| holds_a_key(text)).count();
    ensure!(differing.len() == keys, "{differing:?}, of {keys}");
    Ok(())
}

fn member_texts(members: &[&[u8]]) -> Result<Vec<String>> {
    members.iter().map(|one| member(one, 0)).collect()
}

#[test]
fn members_are_within_their_bounds_and_end_with_a_row() -> Result<()> {
    let (server, dir) = setup(TABLES)?;
    server.psql("piprio", "create table c as select repeat('x', 5000000)")?;
    let dump = dump(&server, &dir, &[])?;
    for (schema, table) in [("a", "touched"), ("b", "touched"), ("b", "untouched")] {
        let texts = member_texts(&members_of(&dump, schema, table)?)?;
        let (last, others) = texts.split_last().context("no members")?;
        ensure!(last.len() <= 2 << 20, "the last one has {} bytes", last.len());
        for text in others {
            ensure!((3 << 18..=2 << 20).contains(&text.len()), "{} bytes", text.len());
            ensure!(text.ends_with('\n'), "ends within a row: {:?}", &text[text.len() - 9..]);
        }
    }
    let pieces = member_texts(&members_of(&dump, "public", "c")?)?;
    let lengths: Vec<usize> = pieces.iter().map(String::len).collect();
    ensure!(pieces[0].ends_with("FROM stdin;\n"), "{}", pieces[0]);
    ensure!(lengths[1..3] == [2 << 20; 2] && lengths.len() == 4, "{lengths:?}");
    Ok(())
}

#[test]
fn a_dump_loads_whatever_the_size_of_its_members() -> Result<()> {
    let (server, dir) = setup(
        "create table t as select g id, repeat(md5(g::text), 10) t from generate_series(1, 15000) g",
    )?;
    let sum = "select count(*), sum(hashtext(t)::bigint), sum(id) from t";
    let wanted = server.psql("piprio", sum)?;
    let dump = dump(&server, &dir, &["--level", "fast"])?;
    let report = |file: &Path| -> Result<Value> {
        let out = pg_snap(&server, "").args(["inspect", "--json"]).arg(file).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Ok(serde_json::from_slice(&out.stdout)?)
    };
    let known = report(&dir.path().join("d.sql.gz"))?;
    // As an earlier version wrote them, small ones, and one that is larger than what is read at once.
    for size in [1 << 20, 5000, 9 << 20] {
        let file = dir.path().join("rewritten.sql.gz");
        std::fs::write(&file, rewritten(&dump, size)?)?;
        ensure!(report(&file)? == known, "members of {size} bytes: {known}");
        pg_snap(&server, "copy").arg("load").arg(&file).assert().success();
        ensure!(server.psql("copy", sum)? == wanted, "members of {size} bytes, from the file");
        pg_snap(&server, "copy").args(["load", "-"]).pipe_stdin(&file)?.assert().success();
        ensure!(server.psql("copy", sum)? == wanted, "members of {size} bytes, from a pipe");
    }
    Ok(())
}
