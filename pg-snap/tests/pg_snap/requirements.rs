//! What a dump needs beside roles that own, extensions and room, on a second cluster that lacks it.

use crate::kit::*;
use crate::preflight::{as_role, edited, passes, refused};
use anyhow::{Result, ensure};
use std::path::Path;
use test_kit::extension::Extended;
use test_kit::user::give_to_server_user;
use test_kit::{Postgres, postgres};

/// Dumps a database that is made so.
fn dump_of(server: &Postgres, sql: &str, file: &Path) -> Result<()> {
    server.psql("postgres", "drop database if exists source")?;
    server.psql("postgres", "create database source")?;
    server.psql("source", sql)?;
    dump_to(server, "source", &[], file)
}

#[test]
fn a_role_that_only_rows_name_is_needed_and_what_rows_cannot_name_is_reported() -> Result<()> {
    let s = Setup::new()?;
    let elsewhere = Postgres::start()?;
    let plain = "create role plain login password 'x' createdb";
    elsewhere.psql("postgres", plain)?;
    let file = s.path("rows.sql.gz");
    s.server.psql("postgres", "create role \"Named\" login; create role in_list")?;
    dump_of(
        &s.server,
        "create table duty (who regrole, others regrole[], what regclass);
         insert into duty values ('\"Named\"', '{in_list,pg_monitor}', 'pg_class'), (0, null, 'duty')",
        &file,
    )?;
    refused(&elsewhere, "plain", &file, "CREATE ROLE \"in_list\" NOLOGIN;")?;
    let report = passes(&elsewhere, postgres::USER, &file)?;
    let missing = report["roles_missing"].to_string();
    assert_eq!(missing, r#"[{"login":true,"name":"Named"},{"login":false,"name":"in_list"}]"#);
    as_role(&elsewhere, postgres::USER).arg("load").arg(&file).assert().success();
    assert_eq!(
        elsewhere.psql("piprio", "select * from duty")?,
        "\"Named\"|{in_list,pg_monitor}|pg_class\n-||duty"
    );

    dump_of(
        &s.server,
        "create table duty (what regclass, how regproc, type regtype); create index by_what on duty (what);
         create function twice(int) returns int language sql as 'select 1';
         create function twice(text) returns int language sql as 'select 1';
         insert into duty values ('by_what', 'twice(int)'::regprocedure::oid, 'int4')",
        &file,
    )?;
    refused(
        &s.server,
        postgres::USER,
        &file,
        "refer to public.by_what as regclass, which a load creates",
    )?;
    refused(
        &s.server,
        postgres::USER,
        &file,
        "refer to public.twice as regproc, a name of several objects",
    )?;
    let out = s.pg_snap("source").arg("dump").output()?;
    let log = String::from_utf8_lossy(&out.stderr);
    assert!(log.contains("warning: rows of public.duty.what refer to public.by_what"), "{log}");

    // Also inside of other values.
    for (types, of, value) in [
        (
            "create type public.both as (n int, what regclass)",
            "public.both",
            "row(1, 'public.by_n')",
        ),
        (
            "create type public.both as (n int, \"wh%s at\" regclass[])",
            "public.both[]",
            "array[row(1, '{public.by_n}')::public.both]",
        ),
        ("create domain public.named as regclass", "public.named", "'public.by_n'"),
        (
            "create domain public.named as regclass",
            "public.named[]",
            "'{{public.by_n},{public.duty}}'",
        ),
        (
            "create type public.both as (what regclass); create domain public.d as public.both; create type public.outer as (d public.d)",
            "public.outer",
            "row(row('public.by_n'))",
        ),
    ] {
        dump_of(
            &s.server,
            &format!(
                "{types}; create table public.duty (n int, held {of}); create index by_n on public.duty (n);
                 insert into public.duty values (1, {value}), (2, null)"
            ),
            &file,
        )?;
        let words = "refer to public.by_n as regclass, which a load creates";
        refused(&s.server, postgres::USER, &file, words)?;
    }

    // What came with the old server, and not with this one.
    dump_of(&s.server, "create table duty as select 'int4'::regtype as what", &file)?;
    passes(&s.server, postgres::USER, &file)?;
    let gone = edited(&s, &file, |text| text.replace("\"integer\"", "\"abstime\""))?;
    refused(
        &s.server,
        postgres::USER,
        &gone,
        "refers to abstime as regtype in rows of public.duty.what",
    )
}

#[test]
fn roles_of_policies_default_privileges_and_user_mappings_are_needed() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("roles.sql.gz");
    s.server.psql(
        "postgres",
        "create role by_policy; create role by_default; create role by_mapping; create role by_setting;
         create role for_default",
    )?;
    dump_of(
        &s.server,
        "create table t (); create policy p on t to by_policy using (true);
         alter default privileges for role for_default grant select on tables to by_default;
         create foreign data wrapper w; create server far foreign data wrapper w;
         create user mapping for by_mapping server far; alter role by_setting in database source set jit = off",
        &file,
    )?;
    let elsewhere = Postgres::start()?;
    elsewhere.psql("postgres", "create role plain login password 'x' createdb")?;
    for role in ["by_policy", "by_default", "by_mapping", "by_setting", "for_default"] {
        refused(&elsewhere, "plain", &file, &format!("the dump needs role {role}, which"))?;
    }
    refused(
        &elsewhere,
        "plain",
        &file,
        "creates foreign-data wrapper w, which role plain may not",
    )?;
    passes(&elsewhere, postgres::USER, &file)?;
    as_role(&elsewhere, postgres::USER).arg("load").arg(&file).assert().success();
    Ok(())
}

#[test]
fn files_libraries_and_places_that_the_server_lacks_are_reported() -> Result<()> {
    let extended = Extended::of(&postgres::programs()?)?;
    let programs = Some(extended.programs.clone());
    let source = Postgres::with(postgres::Options { programs, ..Default::default() })?;
    let s = Setup::new()?;
    let file = s.path("files.sql.gz");
    let place = tempfile::Builder::new().prefix("pg-").tempdir()?;
    give_to_server_user(place.path())?;
    source.psql(
        "postgres",
        &format!("create tablespace fast location '{}'", place.path().display()),
    )?;
    let needs = |sql: &str, words: &str| -> Result<()> {
        dump_of(&source, sql, &file)?;
        passes(&source, postgres::USER, &file)?;
        refused(&s.server, postgres::USER, &file, words)
    };
    needs(
        "create text search dictionary odd (template = simple, stopwords = odd_words, accept = true)",
        "text search dictionary public.odd (odd_words.stop): the server lacks these files",
    )?;
    needs(
        "create table t (i int); create index i on t (i) tablespace fast",
        "CREATE TABLESPACE \"fast\" LOCATION",
    )?;
    // Those that come with a server are there.
    dump_of(
        &source,
        "create text search dictionary a (template = ispell, dictfile = ispell_sample, afffile = ispell_sample, stopwords = english);
         create text search dictionary b (template = thesaurus, dictfile = thesaurus_sample, dictionary = english_stem);
         create text search dictionary c (template = synonym, synonyms = synonym_sample);
         create collation plain (provider = libc, locale = 'C.UTF-8');
         create function lib(text) returns text language c as '$libdir/citext', 'citext_hash'",
        &file,
    )?;
    passes(&s.server, postgres::USER, &file)?;
    let lacks = |from: &str, to: &str, words: &str| -> Result<()> {
        let changed = edited(&s, &file, |text| text.replacen(from, to, 1))?;
        refused(&s.server, postgres::USER, &changed, words)
    };
    lacks("\"$libdir/citext\"", "\"$libdir/no_such\"", "need library $libdir/no_such, which")?;
    lacks(
        "\"locale\":\"C.UTF-8\",\"ctype\"",
        "\"locale\":\"xx_XX\",\"ctype\"",
        "collation public.plain (xx_XX)",
    )?;
    lacks("\"thesaurus_sample\"", "\"x\"", "public.b (x.ths)")?;
    s.server.psql("postgres", "create role app login password 'x' createdb")?;
    s.server.psql("postgres", "alter database piprio owner to app")?;
    refused(
        &s.server,
        "app",
        &file,
        "C functions of library $libdir/citext, which role app may not do",
    )
}

#[test]
fn an_icu_collation_is_tried() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("icu.sql.gz");
    // Where it has none, one of them is listed all the same.
    let icu = "select count(*) from pg_collation where collprovider = 'i' and pg_collation_actual_version(oid) is not null";
    if s.server.psql("postgres", icu)? == "0" {
        test_kit::skipped!("this PostgreSQL has no ICU");
        return Ok(());
    }
    dump_of(
        &s.server,
        "create collation book (provider = icu, locale = 'de-u-co-phonebk')",
        &file,
    )?;
    passes(&s.server, postgres::USER, &file)?;
    let (mut without, mut with_rules) = (false, false);
    for release in postgres::Release::all()?.iter().filter(|release| release.major >= 15) {
        let programs = Some(release.programs.clone());
        let clients = Some(release.clients.clone());
        let other = Postgres::with(postgres::Options { programs, clients, ..Default::default() })?;
        if other.psql("postgres", icu)? == "0" {
            without = true;
            let words = "collation public.book (de-u-co-phonebk) is an ICU collation";
            refused(&other, postgres::USER, &file, words)?;
        } else if release.major >= 16 {
            with_rules = true;
            let odd =
                edited(&s, &file, |text| text.replace("\"rules\":null", "\"rules\":\"&&&\""))?;
            refused(&other, postgres::USER, &odd, "ICU does not know the locale or the rules")?;
        }
    }
    for (there, what) in [(without, "without ICU"), (with_rules, "16 or newer with ICU")] {
        if !there {
            test_kit::skipped!("no PostgreSQL {what} here");
        }
    }
    Ok(())
}

#[test]
fn an_extension_of_one_database_alone_or_of_the_servers_start_is_reported() -> Result<()> {
    let extended = Extended::of(&postgres::programs()?)?;
    let server = |settings: &[&str]| {
        let programs = Some(extended.programs.clone());
        let settings = settings.iter().map(|s| (*s).to_owned()).collect();
        Postgres::with(postgres::Options { programs, settings, ..Default::default() })
    };
    let source =
        server(&["cron.database_name=source", "shared_preload_libraries=pg_stat_statements"])?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    dump_of(&source, "create extension pg_cron; create extension pg_stat_statements", &file)?;

    let target = server(&["cron.database_name=piprio"])?;
    let preflight = |server: &Postgres, options: &[&str]| -> Result<(serde_json::Value, String)> {
        let mut command = as_role(server, postgres::USER);
        let out = command.args(["preflight", "--json"]).args(options).arg(&file).output()?;
        ensure!(out.status.code() == Some(5));
        Ok((
            serde_json::from_slice(&out.stdout)?,
            String::from_utf8_lossy(&out.stderr).into_owned(),
        ))
    };
    for options in [&[] as &[&str], &["--drop-first"]] {
        let (report, log) = preflight(&target, options)?;
        let remedy = "cron.database_name = 'piprio_pg_snap_incoming'";
        assert!(log.contains("only in database piprio, and") && log.contains(remedy), "{log}");
        assert!(log.contains("extension pg_cron, which the server must load"), "{log}");
        let notes = report["notes"].to_string();
        assert!(notes.contains("loaded extension pg_stat_statements when it started"), "{notes}");
    }
    // Let in, it is: what is left is that it was not loaded at the start.
    let letting = server(&["cron.database_name=piprio_pg_snap_incoming"])?;
    let (report, log) = preflight(&letting, &[])?;
    assert_eq!(report["problems"].as_array().map(Vec::len), Some(1), "{log}");

    // Of an older version than the dump's.
    let newer = dir.path().join("newer.sql");
    let text = String::from_utf8(gunzip(&file)?)?;
    std::fs::write(&newer, text.replace("\"pg_cron\":\"1.0\"", "\"pg_cron\":\"1.6\""))?;
    let out =
        as_role(&target, postgres::USER).args(["preflight", "--json"]).arg(&newer).output()?;
    let report: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    assert!(
        report["notes"].to_string().contains("pg_cron 1.6, and the server creates 1.0"),
        "{report}"
    );
    Ok(())
}

#[test]
fn standbys_that_the_server_waits_for_in_vain_are_a_note() -> Result<()> {
    let settings = vec!["synchronous_standby_names=far".to_owned()];
    let server = Postgres::with(postgres::Options { settings, ..Default::default() })?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    let elsewhere = Postgres::start()?;
    dump_of(&elsewhere, "create table t ()", &file)?;
    let report = passes(&server, postgres::USER, &file)?;
    assert!(report["notes"].to_string().contains("(far: synchronous_standby_names)"), "{report}");
    assert_eq!(passes(&elsewhere, postgres::USER, &file)?["notes"].to_string(), "[]");
    Ok(())
}
