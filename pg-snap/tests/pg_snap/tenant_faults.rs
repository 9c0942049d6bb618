//! Loads of a schema that are refused, fail, or warn: the database is as it was.

use crate::kit::*;
use crate::tenant::pg_dump;
use anyhow::{Context, Result, ensure};
use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use test_kit::tool;

/// Statements that create a dependent outside the schema, and how the refusal lists it.
const OUTSIDE: [(&str, &str); 20] = [
    ("create view apart.v as select * from rich.v", "view apart.v"),
    ("create materialized view apart.m as select * from rich.t", "materialized view apart.m"),
    (
        "create table apart.fk (a integer references rich.t)",
        "table constraint fk_a_fkey on apart.fk",
    ),
    (
        "create function apart.f(rich.mood) returns void language sql as ''",
        "function apart.f(rich.mood)",
    ),
    (
        "create function apart.body() returns bigint language sql begin atomic select count(*) from rich.log; end",
        "function apart.body()",
    ),
    ("create table apart.typed (a integer, b rich.pair)", "table column apart.typed.b"),
    (
        "create table apart.part partition of rich.parted for values from (20) to (30)",
        "table apart.part",
    ),
    ("create table apart.kid () inherits (rich.parent)", "table apart.kid"),
    ("create table apart.trig (id integer)", ""),
    (
        "create trigger x after insert on apart.trig for each row execute function rich.noted()",
        "trigger x on apart.trig",
    ),
    (
        "create table apart.def (a integer default nextval('rich.q'))",
        "default value for apart.def.a",
    ),
    ("create index expr on apart.trig (rich.twice(id))", "index apart.expr"),
    ("create policy pol on apart.trig using (rich.twice(id) > 1)", "policy pol on apart.trig"),
    ("create publication pub for table rich.t", "publication relation rich.t in publication pub"),
    (
        "create publication pubs for tables in schema rich",
        "publication namespace rich in publication pubs",
    ),
    ("create extension pgcrypto schema rich", "extension pgcrypto"),
    ("create table apart.whole (a integer)", ""),
    (
        "create table rich.piece () inherits (apart.whole)",
        "table apart.whole, of which rich.piece is a part",
    ),
    (
        "create function apart.of_pair(rich.pair) returns integer language sql as 'select 1'",
        "function apart.of_pair(rich.pair)",
    ),
    (
        "create cast (rich.pair as integer) with function apart.of_pair(rich.pair)",
        "cast (rich.pair AS integer)",
    ),
];

#[test]
fn what_depends_on_the_schema_from_outside_is_listed_and_keeps_it_from_being_set_aside()
-> Result<()> {
    let s = Setup::rich()?;
    let file = s.dump("d.sql.gz")?;
    s.sql("create schema apart")?;
    let pgcrypto = "select count(*) from pg_available_extensions where name = 'pgcrypto'";
    let has_pgcrypto = s.sql(pgcrypto)? == "1";
    let made: Vec<_> =
        OUTSIDE.iter().filter(|(sql, _)| has_pgcrypto || !sql.contains("pgcrypto")).collect();
    for (sql, _) in &made {
        s.sql(sql)?;
    }
    let before = content(&s.server, "piprio")?;
    let refused = s.load("rich", &file).assert().code(5);
    let stderr = String::from_utf8(refused.get_output().stderr.clone())?;
    let wanted: Vec<_> =
        made.iter().map(|(_, listed)| *listed).filter(|listed| !listed.is_empty()).collect();
    let listed: Vec<_> = stderr
        .lines()
        .filter_map(|line| line.split_once("dependent on it: "))
        .map(|(_, l)| l)
        .collect();
    for wanted in &wanted {
        assert!(listed.contains(wanted), "{wanted} is not in {stderr}");
    }
    assert_eq!(listed.len(), wanted.len(), "{stderr}");
    assert!(stderr.contains(&format!("{} objects outside schema rich", wanted.len())), "{stderr}");
    assert!(content(&s.server, "piprio")? == before);
    assert_eq!(s.kept("rich")?, "");
    // Another schema of the same dump, and another name for this one, are not affected.
    s.load("tenant_0001", &file).assert().success();
    s.load("rich", &file).args(["--into", "look"]).assert().success();
    Ok(())
}

#[test]
fn functions_that_name_a_schema_in_their_text_are_listed() -> Result<()> {
    let s = Setup::new()?;
    s.sql(
        "create schema a; create table a.t (); create function a.f() returns bigint language sql as 'select count(*) from a.t';
         create function a.g() returns void language plpgsql set search_path = a as 'begin end';
         create function a.h() returns void language sql as 'select 1'; create table a.aa ()",
    )?;
    let file = s.dump("d.sql.gz")?;
    let done = s.load("a", &file).assert().success();
    let kept = s.kept("a")?;
    let expected = format!(
        "name schema \"a\", and so use the one from the dump: \"{kept}\".f(), \"{kept}\".g()"
    );
    let stderr = String::from_utf8(done.get_output().stderr.clone())?;
    assert!(stderr.contains(&expected) && !stderr.contains("h()"), "{stderr}");
    s.load("a", &file)
        .args(["--into", "b"])
        .assert()
        .success()
        .stderr(contains("name schema \"a\", although they are in \"b\" now: b.f(), b.g()"));
    Ok(())
}

#[test]
fn whatever_fails_leaves_all_as_it_was() -> Result<()> {
    let s = Setup::rich()?;
    let file = s.dump("d.sql.gz")?;
    let plain = String::from_utf8(gunzip(&file)?)?;
    let edited = |name: &str, from: &str, to: &str| -> Result<_> {
        ensure!(plain.contains(from), "{from}");
        let path = s.path(name);
        std::fs::write(&path, plain.replacen(from, to, 1))?;
        Ok(path)
    };
    let before = content(&s.server, "piprio")?;
    let whole = s.path("whole.sql.gz");
    let zipped = std::fs::read(&file)?;
    let cut = s.path("cut.sql.gz");
    std::fs::write(&cut, &zipped[..zipped.len() * 2 / 3])?;
    std::fs::write(&whole, &zipped)?;
    let half = s.path("half.sql");
    std::fs::write(&half, &plain.as_bytes()[..end_marker(plain.as_bytes())?])?;
    let table = s.path("table.sql");
    std::fs::write(&table, pg_dump(&s, &["-t", "rich.log"])?)?;
    let stray = "\nCREATE SEQUENCE rich.q";
    for (what, file, schema, code, message) in [
        ("cut", cut.clone(), "rich", 4, "incomplete"),
        ("no end marker", half.clone(), "rich", 4, "incomplete"),
        ("no such schema", whole.clone(), "rihc", 5, "no schema rihc; it contains"),
        ("nearest", whole.clone(), "tenant_001", 5, "the most similar: tenant_0001"),
        ("public", whole.clone(), "public", 5, "outside schema public"),
        ("a table only", table.clone(), "rich", 5, "not the schema itself"),
        (
            "a missing type",
            edited("type.sql", "mood rich.mood DEFAULT", "mood rich.moot DEFAULT")?,
            "rich",
            1,
            "moot",
        ),
        (
            "a row that does not fit",
            edited(
                "row.sql",
                "COPY rich.parted_1 (at) FROM stdin;\n5",
                "COPY rich.parted_1 (at) FROM stdin;\n55",
            )?,
            "rich",
            1,
            "parted_1",
        ),
        (
            "a commit",
            edited("commit.sql", stray, "\nCOMMIT;\nCREATE SEQUENCE rich.q")?,
            "rich",
            4,
            "transaction",
        ),
        (
            "a commit that goes on",
            edited("chain.sql", stray, "\nCOMMIT AND CHAIN;\nCREATE SEQUENCE rich.q")?,
            "rich",
            4,
            "transaction",
        ),
        (
            "a psql command",
            edited("psql.sql", stray, "\n\\! id\nCREATE SEQUENCE rich.q")?,
            "rich",
            4,
            "psql command",
        ),
        (
            "another's",
            edited("other.sql", stray, "\nDROP TABLE other.shared;\nCREATE SEQUENCE rich.q")?,
            "rich",
            4,
            "disagree",
        ),
        (
            "a part elsewhere",
            edited(
                "part.sql",
                "CREATE TABLE rich.log (\n    id integer\n)",
                "CREATE TABLE rich.log (\n    id integer\n)\nINHERITS (other.shared)",
            )?,
            "rich",
            1,
            "parts of tables elsewhere: rich.log of other.shared",
        ),
        (
            "a newer major",
            edited(
                "newer.sql",
                "Dumped from database version ",
                "Dumped from database version 99",
            )?,
            "rich",
            5,
            "cannot be loaded into an older",
        ),
    ] {
        let done = s.load(schema, &file).assert().code(code).stdout("");
        let stderr = String::from_utf8(done.get_output().stderr.clone())?;
        assert!(stderr.contains(message), "{what}: {stderr}");
        assert!(content(&s.server, "piprio")? == before, "{what}");
        if code == 4 || schema == "rihc" {
            let extract =
                s.pg_snap("").args(["extract", "--schema", schema]).arg(&file).output()?;
            if !what.starts_with("a commit") {
                assert_eq!(extract.status.code(), Some(code), "{what}");
                s.pg_snap("").arg("inspect").write_stdin(extract.stdout).assert().code(4);
            }
        }
    }
    s.load("rich", &whole).arg("--drop-first").assert().code(2);
    s.load("rich", &whole).arg("--keep-previous").assert().code(2);
    s.pg_snap("piprio").args(["load", "--into", "x"]).arg(&whole).assert().code(2);
    s.pg_snap("absent")
        .args(["load", "--schema", "rich"])
        .arg(&whole)
        .assert()
        .code(5)
        .stderr(contains("no database"));
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}

#[test]
fn roles_that_the_schema_needs_are_made_without_login_and_only_if_it_comes_back() -> Result<()> {
    let s = Setup::rich()?;
    s.sql("alter role tenant_reader login; create role elsewhere; alter table other.shared owner to elsewhere")?;
    let file = s.dump("d.sql.gz")?;
    s.sql("drop schema rich cascade; alter table other.shared owner to current_user; drop role elsewhere;
           drop owned by tenant_owner; drop owned by tenant_reader; drop role tenant_owner; drop role tenant_reader")?;
    let roles = "select coalesce(string_agg(rolname || ' ' || rolcanlogin, ',' order by rolname), '') from pg_roles where rolname ~ '^(tenant|else)'";
    let plain = String::from_utf8(gunzip(&file)?)?
        .replace("INHERITS (rich.parent)", "INHERITS (rich.nobody)");
    let broken = s.path("broken.sql");
    std::fs::write(&broken, plain)?;
    s.load("rich", &broken).assert().code(1).stderr(contains("there was none before"));
    assert_eq!(s.sql(roles)?, "");
    s.load("rich", &file).assert().success().stderr(
        contains("role tenant_owner does not exist here")
            .and(contains("tenant_reader could log in")),
    );
    assert_eq!(s.sql(roles)?, "tenant_owner false,tenant_reader false");
    Ok(())
}

fn start(s: &Setup, file: &Path) -> Result<Child> {
    let mut load = std::process::Command::new(tool("pg-snap"));
    load.args(["load", "--schema", "rich"])
        .arg(file)
        .envs(s.server.env())
        .env("PGDATABASE", "piprio");
    Ok(load.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

const AT_WORK: &str = "select count(*) from pg_stat_activity where datname = 'piprio' and application_name like '%pg_snap_incoming'";

#[test]
fn a_load_that_is_killed_or_signalled_leaves_nothing() -> Result<()> {
    let s = Setup::rich()?;
    // More than is read ahead, and than pipes hold.
    s.sql("create table rich.big as select md5(i::text) a, md5(i::text || 'x') b from generate_series(1, 200000) i")?;
    let text = gunzip(&s.dump("d.sql.gz")?)?;
    let before = content(&s.server, "piprio")?;
    for signal in ["KILL", "TERM", "INT"] {
        let mut load = start(&s, Path::new("-"))?;
        let mut stdin = load.stdin.take().context("no pipe")?;
        stdin.write_all(&text[..text.len() / 2])?;
        wait_for(&s.server, AT_WORK, "1")?;
        std::process::Command::new("kill")
            .args([format!("-{signal}"), load.id().to_string()])
            .assert()
            .success();
        assert!(!load.wait()?.success());
        wait_for(&s.server, AT_WORK, "0")?;
        assert!(content(&s.server, "piprio")? == before, "{signal}");
    }
    s.load("rich", &s.path("d.sql.gz")).assert().success();
    Ok(())
}

#[test]
fn a_session_of_the_server_that_is_ended_leaves_nothing_and_is_reported() -> Result<()> {
    let s = Setup::rich()?;
    s.sql("create table rich.big as select md5(i::text) a, md5(i::text || 'x') b from generate_series(1, 200000) i")?;
    let text = gunzip(&s.dump("d.sql.gz")?)?;
    let before = content(&s.server, "piprio")?;
    let mut load = start(&s, Path::new("-"))?;
    let mut stdin = load.stdin.take().context("no pipe")?;
    stdin.write_all(&text[..text.len() / 2])?;
    wait_for(&s.server, AT_WORK, "1")?;
    s.sql(&AT_WORK.replace("count(*)", "pg_terminate_backend(pid)"))?;
    let _ = stdin.write_all(&text[text.len() / 2..]);
    drop(stdin);
    let out = load.wait_with_output()?;
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("loading schema rich failed; it is as it was"), "{stderr}");
    assert!(content(&s.server, "piprio")? == before);
    Ok(())
}

#[test]
fn an_application_sees_the_old_schema_or_the_new_and_never_waits() -> Result<()> {
    let s = Setup::rich()?;
    s.sql("create table rich.state (what text); insert into rich.state values ('new')")?;
    let file = s.dump("d.sql.gz")?;
    s.sql("update rich.state set what = 'old'")?;
    let done = AtomicBool::new(false);
    let (old, new) = std::thread::scope(|scope| -> Result<(u32, u32)> {
        let application = scope.spawn(|| watch(&s, &done));
        let loaded = (0..3).try_for_each(|_| -> Result<()> {
            s.sql("update rich.state set what = 'old'")?;
            let load = s.load("rich", &file).output()?;
            ensure!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
            s.sql(&format!("drop schema \"{}\" cascade", s.kept("rich")?)).map(drop)
        });
        // Whatever came of it, else the application would run for ever.
        done.store(true, Ordering::Relaxed);
        let seen = application.join().map_err(|_| anyhow::anyhow!("the application"))?;
        loaded.and(seen)
    })?;
    ensure!(old > 0 && new > 0, "old {old}, new {new}");
    println!("an application saw the old schema {old} times and the new one {new} times");
    Ok(())
}

/// One session that repeats a prepared statement, as applications do.
fn watch(s: &Setup, done: &AtomicBool) -> Result<(u32, u32)> {
    let mut psql = s.server.client("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "piprio"]);
    let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (mut stdin, stdout) =
        (psql.stdin.take().context("in")?, psql.stdout.take().context("out")?);
    let mut stdout = std::io::BufReader::new(stdout);
    stdin.write_all(b"set lock_timeout = '1s'; prepare q as select what from rich.state;\n")?;
    let (mut old, mut new) = (0, 0);
    loop {
        let last = done.load(Ordering::Relaxed);
        stdin.write_all(b"execute q;\n")?;
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line)?;
        match line.trim() {
            "old" => old += 1,
            "new" => new += 1,
            other => anyhow::bail!("an application saw '{other}'"),
        }
        if last {
            break;
        }
    }
    drop(stdin);
    stdout.read_to_string(&mut String::new())?;
    ensure!(psql.wait()?.success());
    Ok((old, new))
}
