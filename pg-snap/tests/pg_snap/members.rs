//! What a dump is made of: gzip members that every reader of gzip accepts, and an index that a reader
//! needs nothing for but docs/FORMAT.md.

use crate::format::{beginnings, index, member, section_text};
use crate::kit::*;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use test_kit::likeness::{self, ensure_alike};
use test_kit::oddities;

fn output_of(program: &str, arguments: &[&str], file: &Path) -> Result<Vec<u8>> {
    let out =
        Command::new(program).args(arguments).arg(file).output().context(program.to_owned())?;
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success() && words.is_empty(), "{program} {arguments:?}: {words}");
    Ok(out.stdout)
}

const PYTHON: &str = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";

#[test]
fn every_reader_of_gzip_accepts_a_dump_of_every_level() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("d.sql.gz");
    for level in ["fast", "default", "small"] {
        dump_to(&s.server, "piprio", &["--level", level], &file)?;
        let text = gunzip(&file)?;
        for program in ["gunzip", "pigz"] {
            output_of(program, &["-t"], &file)?;
        }
        ensure!(output_of("pigz", &["-dc"], &file)? == text, "pigz -d");
        ensure!(output_of("zcat", &[], &file)? == text, "zcat");
        ensure!(output_of("python3", &["-c", PYTHON], &file)? == text, "Python's gzip");
        let tail =
            Command::new("sh").args(["-c", "zcat \"$1\" | tail -n 1", "sh"]).arg(&file).output()?;
        ensure!(tail.stdout.starts_with(b"-- pg-snap-index-at: "), "zcat | tail");
        ensure!(tail.stdout.ends_with(b"\n"), "the last line has no end");
        let mut one_by_one = String::new();
        let dump = std::fs::read(&file)?;
        for at in beginnings(&dump)? {
            let text = member(&dump, at)?;
            ensure!(text.len() <= 2 << 20, "a member of {} bytes", text.len());
            one_by_one += &text;
        }
        ensure!(one_by_one.as_bytes() == text, "member by member");
    }
    Ok(())
}

#[test]
fn the_index_lists_where_each_section_lies_and_what_it_contains() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql("postgres", "drop database piprio")?;
    oddities::create(&s.server, "piprio")?;
    let dump = std::fs::read(s.dump("d.sql.gz")?)?;
    let (at, sections) = index(&dump)?;
    let beginnings = beginnings(&dump)?;
    let mut offset = 0;
    for section in &sections {
        ensure!(section["offset"] == offset, "a gap before {section}");
        ensure!(beginnings.contains(&usize::try_from(offset)?), "{section} begins within a member");
        offset += section["length"].as_u64().context("length")?;
    }
    ensure!(
        usize::try_from(offset)? == at,
        "the sections end at {offset}, the index begins at {at}"
    );
    let kinds: Vec<_> = sections.iter().map(|s| s["kind"].as_str().unwrap_or_default()).collect();
    ensure!(kinds.first() == Some(&"pre-data") && kinds.last() == Some(&"end"), "{kinds:?}");
    for kind in ["large-objects", "sequences", "post-data"] {
        ensure!(kinds.iter().filter(|k| **k == kind).count() == 1, "{kind}: {kinds:?}");
    }
    ensure!(member(&dump, at)?.lines().all(|line| line.starts_with("--")), "not all comments");

    let count = "select quote_ident(n.nspname) || '.' || quote_ident(c.relname), n.nspname, c.relname,
        (xpath('/row/n/text()', query_to_xml('select count(*) as n from only ' || c.oid::regclass, false, true, '')))[1]::text
      from pg_class c join pg_namespace n on n.oid = relnamespace
      where relkind = 'r' and nspname !~ '^pg_|^information_schema$' order by 1";
    let count = format!(
        "set search_path = ''; select json_agg(x) from ({count}) as x (quoted, schema, name, rows)"
    );
    let tables: Vec<Value> = serde_json::from_str(&s.server.psql("piprio", &count)?)?;
    let data: Vec<_> = sections.iter().filter(|s| s["kind"] == "table-data").collect();
    ensure!(tables.len() == data.len(), "{} tables, {} sections", tables.len(), data.len());
    for table in tables {
        let same = |s: &&&Value| s["schema"] == table["schema"] && s["table"] == table["name"];
        let section = data.iter().find(same).with_context(|| format!("no section of {table}"))?;
        ensure!(
            section["rows"].as_u64() == table["rows"].as_str().unwrap_or("0").parse().ok(),
            "{section} {table}"
        );
        let text = section_text(&dump, section)?;
        let (_, blocks) = likeness::parts(&text);
        let mut blocks = blocks.values();
        let (rows, others) = (blocks.next().context("no COPY")?, blocks.next());
        ensure!(section["rows"] == rows.len() && others.is_none(), "{section}: {}", rows.len());
        let bytes: usize = rows.iter().map(|row| row.len() + 1).sum();
        ensure!(section["bytes"] == bytes, "{section}: {bytes}");
    }
    Ok(())
}

/// A report of a dump, whether or not the dump has an index, which a pipe does not show.
fn without_index(report: &[u8]) -> String {
    String::from_utf8_lossy(report).replace("\"indexed\":true", "\"indexed\":false")
}

#[test]
fn a_dump_cut_behind_its_end_marker_between_members_is_whole_and_cut_anywhere_else_is_not()
-> Result<()> {
    let s = Setup::new()?;
    let dump = std::fs::read(s.dump("d.sql.gz")?)?;
    let (at, sections) = index(&dump)?;
    let end = sections.last().context("no sections")?["offset"].as_u64().context("offset")?;
    let beginnings = beginnings(&dump)?;
    // Behind the member with the end marker, in front of each that follows it, and at the end.
    let whole: Vec<usize> =
        beginnings.iter().copied().filter(|b| *b >= at).chain([dump.len()]).collect();
    ensure!(whole.len() >= 3 && usize::try_from(end)? < at);
    let between = beginnings.iter().copied();
    let around = whole.iter().flat_map(|cut| [cut - 1, cut + 1]).filter(|cut| *cut < dump.len());
    let anywhere = (0..20).map(|n| dump.len() * n / 20 + n * 7);
    let mut cuts: Vec<usize> = between.chain(around).chain(anywhere).chain([dump.len()]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let (file, mut reports) = (s.path("cut.sql.gz"), Vec::new());
    for cut in cuts {
        std::fs::write(&file, &dump[..cut])?;
        let out = s.pg_snap("").args(["inspect", "--json"]).arg(&file).output()?;
        let wanted = if whole.contains(&cut) { 0 } else { 4 };
        ensure!(
            out.status.code() == Some(wanted),
            "cut at {cut} of {}: {:?}",
            dump.len(),
            out.status
        );
        if wanted == 0 {
            reports.push(without_index(&out.stdout));
        }
    }
    ensure!(
        reports.len() == whole.len() && reports.iter().all(|t| *t == reports[0]),
        "they report other dumps"
    );
    Ok(())
}

#[test]
fn inspect_reports_the_same_from_the_index_as_from_the_whole_dump() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql("postgres", "create database other")?;
    oddities::create(&s.server, "odd")?;
    let file = s.path("d.sql.gz");
    for database in ["piprio", "odd", "other"] {
        dump_to(&s.server, database, &[], &file)?;
        for form in [&["inspect"][..], &["inspect", "--json"]] {
            let by_index = s.pg_snap("").args(form).arg(&file).output()?;
            let in_full = s.pg_snap("").args(form).arg("--full").arg(&file).output()?;
            let piped = s.pg_snap("").args(form).arg("-").pipe_stdin(&file)?.output()?;
            ensure!(
                by_index.status.success() && in_full.status.success() && piped.status.success()
            );
            let [by_index, in_full, piped] =
                [by_index, in_full, piped].map(|out| without_index(&out.stdout));
            ensure_alike(&in_full, &by_index, &format!("{database} {form:?}"))?;
            ensure!(piped == in_full, "{database} {form:?}");
        }
    }
    Ok(())
}

#[test]
fn inspect_in_full_finds_what_the_index_cannot_show() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let mut dump = std::fs::read(&file)?;
    let (_, sections) = index(&dump)?;
    let large =
        sections.iter().filter(|s| s["kind"] == "table-data").max_by_key(|s| s["length"].as_u64());
    let large = large.context("no data")?;
    let middle =
        large["offset"].as_u64().context("offset")? + large["length"].as_u64().unwrap_or(0) / 2;
    dump[usize::try_from(middle)?] ^= 1;
    std::fs::write(&file, &dump)?;
    s.pg_snap("").args(["inspect", "--full"]).arg(&file).assert().code(4);
    s.pg_snap("").args(["inspect", "-"]).pipe_stdin(&file)?.assert().code(4);
    s.pg_snap("copy").arg("load").arg(&file).assert().code(4);
    ensure!(s.databases()? == "piprio postgres", "{}", s.databases()?);
    Ok(())
}
