//! What would keep a dump from being loaded is told before harm: by `preflight`, and by `load` in
//! the same words. Nothing on the server changes by it.

use crate::kit::*;
use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use pipeline_tests::extension::Extended;
use pipeline_tests::user::{give_to_server_user, is_root};
use pipeline_tests::{Postgres, postgres};
use predicates::str::contains;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// All of a server that a load could change but should not.
fn whole_server(server: &Postgres) -> Result<String> {
    server.psql(
        "postgres",
        "select oid, datname, datdba from pg_database order by oid;
         select rolname, rolcanlogin, rolcreatedb from pg_roles order by rolname;
         select roleid, member from pg_auth_members order by 1, 2",
    )
}

fn as_role(server: &Postgres, role: &str) -> Command {
    let mut command = pg_snap(server, "piprio");
    if role != postgres::USER {
        command.env("PGUSER", role).env("PGPASSWORD", "x");
    }
    command
}

fn last_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().last().unwrap_or_default().to_owned()
}

/// Preflight and load both refuse, in the same words, of which `words` is a part.
fn refused(server: &Postgres, role: &str, file: &Path, words: &str) -> Result<()> {
    let before = whole_server(server)?;
    let preflight = as_role(server, role).args(["preflight", "--json"]).arg(file).output()?;
    let said = String::from_utf8_lossy(&preflight.stderr).into_owned();
    ensure!(preflight.status.code() == Some(5), "{words}: {:?} {said}", preflight.status);
    ensure!(said.lines().any(|line| line.contains(words)), "{words}: {said}");
    let report: serde_json::Value = serde_json::from_slice(&preflight.stdout)?;
    let problems = report["problems"].as_array().context("problems")?;
    ensure!(problems.len() == said.lines().count(), "{said}");
    ensure!(problems.iter().any(|p| p.as_str().is_some_and(|p| p.contains(words))), "{report}");

    let load = as_role(server, role).arg("load").arg(file).output()?;
    ensure!(load.status.code() == Some(5), "{words}: {}", last_line(&load.stderr));
    ensure!(last_line(&load.stderr) == last_line(&preflight.stderr), "{said}");
    ensure!(whole_server(server)? == before, "{words}: the server changed");
    Ok(())
}

fn passes(server: &Postgres, role: &str, file: &Path) -> Result<serde_json::Value> {
    let before = whole_server(server)?;
    let out = as_role(server, role).args(["preflight", "--json"]).arg(file).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    ensure!(whole_server(server)? == before, "the server changed");
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// A dump of a database of `app`'s, with a schema of `tenant`'s.
fn dump_of_app(s: &Setup) -> Result<PathBuf> {
    s.server.psql(
        "piprio",
        "create role app login password 'x'; create role tenant login; create role reader;
         create role unconcerned",
    )?;
    s.server.psql("postgres", "create database app owner app")?;
    s.server.psql(
        "app",
        "create schema t authorization tenant; set role tenant; create table t.t as select 1 as i;
         grant select on t.t to reader",
    )?;
    let out = s.pg_snap("app").arg("dump").output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let path = s.path("app.sql.gz");
    std::fs::write(&path, out.stdout)?;
    Ok(path)
}

/// The dump with its text changed.
fn edited(s: &Setup, file: &Path, change: impl FnOnce(String) -> String) -> Result<PathBuf> {
    let text = String::from_utf8(gunzip(file)?)?;
    let changed = change(text.clone());
    ensure!(changed != text, "nothing was changed");
    let path = s.path("edited.sql");
    std::fs::write(&path, changed)?;
    Ok(path)
}

#[test]
fn a_dump_of_roles_that_the_server_lacks_loads_for_who_may_create_them_only() -> Result<()> {
    let s = Setup::new()?;
    let file = dump_of_app(&s)?;
    let elsewhere = Postgres::start()?;
    elsewhere.psql(
        "postgres",
        "create role poor login password 'x'; create role plain login password 'x' createdb;
         create role rich login password 'x' createdb createrole",
    )?;
    refused(&elsewhere, "poor", &file, "ALTER ROLE \"poor\" CREATEDB;")?;
    refused(
        &elsewhere,
        "plain",
        &file,
        "CREATE ROLE \"tenant\" NOLOGIN; GRANT \"tenant\" TO \"plain\"",
    )?;

    let report = passes(&elsewhere, "rich", &file)?;
    assert_eq!((&report["exists"], &report["owner"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(report["dump_version"].as_str().map(|v| v.starts_with("1")), Some(true));
    let missing = report["roles_missing"].to_string();
    assert!(missing.contains(r#"{"login":true,"name":"tenant"}"#), "{missing}");
    assert!(missing.contains(r#"{"login":false,"name":"reader"}"#), "{missing}");
    assert!(!missing.contains("unconcerned"), "{missing}");
    let out = as_role(&elsewhere, "rich").arg("load").arg(&file).output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(said.contains("ALTER ROLE \"tenant\" LOGIN; then \\password \"tenant\""), "{said}");
    assert!(content(&elsewhere, "piprio")? == content(&s.server, "app")?);

    // The same dump from pg_dump alone: its roles are seen in its text.
    let plain = s.path("plain.sql");
    let out = s.server.client("pg_dump").arg("app").output()?;
    std::fs::write(&plain, out.stdout)?;
    let fresh = Postgres::start()?;
    fresh.psql("postgres", "create role rich login password 'x' createdb createrole")?;
    let report = passes(&fresh, "rich", &plain)?;
    assert!(report["roles_missing"].to_string().contains("\"tenant\""), "{report}");
    Ok(())
}

#[test]
fn an_owner_whose_rights_are_not_ours_is_told_with_the_grant() -> Result<()> {
    let s = Setup::new()?;
    let file = dump_of_app(&s)?;
    s.server.psql("postgres", "alter role app createdb")?;
    refused(&s.server, "app", &file, "GRANT \"tenant\" TO \"app\"")?;
    refused(&s.server, "app", &file, "database piprio belongs to role piprio")?;
    s.server.psql("postgres", "grant tenant to app; alter database piprio owner to app")?;
    passes(&s.server, "app", &file)?;
    as_role(&s.server, "app").arg("load").arg(&file).assert().success();
    assert!(content(&s.server, "piprio")? == content(&s.server, "app")?);
    Ok(())
}

#[test]
fn an_extension_a_locale_or_a_version_that_the_server_lacks_is_told() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let dump = |change: fn(String) -> String| edited(&s, &file, change);
    let needs = dump(|t| t.replacen("\"extensions\":[]", "\"extensions\":[\"no_such\"]", 1))?;
    refused(&s.server, postgres::USER, &needs, "-no-such (or apt-cache search")?;
    let newer = dump(|t| t.replacen("from database version 1", "from database version 91", 1))?;
    refused(&s.server, postgres::USER, &newer, "does not go back to an older major")?;
    let locale = dump(|t| t.replacen("\"collate\":\"", "\"collate\":\"xx_XX.", 1))?;
    refused(&s.server, postgres::USER, &locale, "locale-gen")?;

    // Another tool's dump: its extensions are seen in its text.
    let plain = s.path("plain.sql");
    let text = "CREATE EXTENSION IF NOT EXISTS missing_one WITH SCHEMA a;\nCOPY a FROM stdin;\n";
    std::fs::write(&plain, text)?;
    refused(&s.server, postgres::USER, &plain, "needs extension missing_one")?;

    // An extension that the server has, but that only a superuser may create.
    s.server.psql(
        "postgres",
        "create role app login password 'x' createdb; alter database piprio owner to app",
    )?;
    std::fs::write(&plain, text.replace("missing_one", "dblink"))?;
    refused(&s.server, "app", &plain, "creates extension dblink, which takes a superuser")?;
    std::fs::write(&plain, text.replace("missing_one", "citext"))?;
    passes(&s.server, "app", &plain).map(drop)
}

#[test]
fn a_damaged_head_a_silent_server_and_a_whole_dump_have_their_statuses() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let run =
        |input: &[u8]| s.pg_snap("piprio").args(["preflight", "-"]).write_stdin(input).assert();
    run(&std::fs::read(&file)?).success().stdout(contains("Problems: 0"));
    run(b"").code(4).stdout("");
    run(&std::fs::read(&file)?[..200]).code(4).stdout("");
    run(b"SELECT 1;\n").code(4).stdout("");
    let silent = s.pg_snap("piprio").env("PGPORT", "1").arg("preflight").arg(&file).assert();
    silent.code(1).stdout("").stderr(contains("Connection refused"));
    Ok(())
}

#[test]
fn what_holds_the_database_is_told_with_the_words_to_type() -> Result<()> {
    let settings = ["wal_level=logical", "max_prepared_transactions=2"].map(str::to_owned);
    let options = postgres::Options { settings: settings.into(), ..Default::default() };
    let s = Setup::of(Postgres::with(options)?)?;
    let file = s.dump("d.sql.gz")?;
    let held = |by: &str, free: &str, words: &str| -> Result<()> {
        s.server.psql("piprio", by)?;
        refused(&s.server, postgres::USER, &file, words)?;
        s.server.psql("piprio", free)?;
        passes(&s.server, postgres::USER, &file).map(drop)
    };
    held(
        "begin; create table held (); prepare transaction 'it''s mine'",
        "rollback prepared 'it''s mine'",
        "ROLLBACK PREPARED 'it''s mine';",
    )?;
    held(
        "create subscription sub connection 'host=127.0.0.1 port=1' publication p with (connect = false)",
        "alter subscription sub set (slot_name = none); drop subscription sub",
        "DROP SUBSCRIPTION \"sub\";",
    )?;
    held(
        "select pg_create_logical_replication_slot('reader', 'pgoutput')",
        "select pg_drop_replication_slot('reader')",
        "SELECT pg_drop_replication_slot('reader');",
    )?;
    held(
        "alter database piprio is_template true",
        "alter database piprio is_template false",
        "IS_TEMPLATE false;",
    )?;

    // To a role that may not read all of pg_subscription, too.
    s.server.psql("piprio", "create subscription sub connection 'host=127.0.0.1 port=1' publication p with (connect = false)")?;
    s.server.psql(
        "piprio",
        "create role app login password 'x' createdb; alter database piprio owner to app",
    )?;
    refused(&s.server, "app", &file, "DROP SUBSCRIPTION \"sub\";")
}

#[test]
fn a_session_that_is_not_ours_to_end_is_told_by_role_and_application() -> Result<()> {
    let s = Setup::new()?;
    let file = dump_of_app(&s)?;
    s.server.psql(
        "postgres",
        "alter role app createdb; alter database piprio owner to app; grant tenant to app",
    )?;
    let report = passes(&s.server, "app", &file)?;
    assert!(report["notes"].to_string().contains("GRANT pg_signal_backend"), "{report}");
    let mut session = s.server.client("psql");
    session
        .args(["-X", "-d", "piprio", "-c", "select pg_sleep(600)"])
        .env("PGAPPNAME", "the intruder");
    let mut session = session.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let present = "select count(*) from pg_stat_activity where application_name = 'the intruder'";
    wait_for(&s.server, present, "1")?;
    let told = refused(&s.server, "app", &file, "session of role piprio (the intruder, pid");
    // One of our own role is ended, as always.
    s.server.psql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'the intruder'")?;
    session.wait()?;
    told
}

/// A small file system of its own, where we may make one.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Or why there is none.
    fn new(mib: u32) -> Result<Result<Self, String>> {
        if !is_root() {
            return Ok(Err("making a small file system takes root".into()));
        }
        let dir = tempfile::tempdir()?;
        let size = format!("size={mib}m,mode=755");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .output()?;
        let why = String::from_utf8_lossy(&mount.stderr).trim().to_owned();
        Ok(if mount.status.success() { Ok(Self(dir)) } else { Err(why) })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_without_room_for_two_is_told_with_the_way_out() -> Result<()> {
    let disk = match SmallDisk::new(120)? {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: {why}");
            return Ok(());
        }
    };
    let options = postgres::Options {
        place: Some(disk.0.path().to_owned()),
        settings: vec!["max_wal_size=32MB".into(), "min_wal_size=32MB".into()],
        initdb: vec!["--locale=C.UTF-8".into(), "--encoding=UTF8".into(), "--wal-segsize=1".into()],
        ..Default::default()
    };
    let s = Setup::of(Postgres::with(options)?)?;
    let file = s.dump("d.sql.gz")?;
    passes(&s.server, postgres::USER, &file)?;
    s.server.psql(
        "piprio",
        "create unlogged table big as select md5(i::text) from generate_series(1, 700000) i",
    )?;
    let file = s.dump("d.sql.gz")?;
    let before = whole_server(&s.server)?;
    let run =
        |options: &[&str]| s.pg_snap("piprio").arg("preflight").args(options).arg(&file).assert();
    run(&[]).code(5).stderr(contains("--drop-first drops the old database"));
    run(&["--drop-first"]).success();
    assert_eq!(whole_server(&s.server)?, before);
    refused(&s.server, postgres::USER, &file, "--drop-first drops the old database")
}

/// Two clusters, the second of which lacks what the first one's dump needs.
fn dump_of(server: &Postgres, sql: &str, file: &Path) -> Result<()> {
    server.psql("postgres", "drop database if exists source")?;
    server.psql("postgres", "create database source")?;
    server.psql("source", sql)?;
    dump_to(server, "source", &[], file)
}

#[test]
fn a_role_that_only_rows_name_is_needed_and_what_rows_cannot_name_is_told() -> Result<()> {
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
        "name public.by_what as regclass, which a load makes",
    )?;
    refused(
        &s.server,
        postgres::USER,
        &file,
        "name public.twice as regproc, a name that means several",
    )?;
    let out = s.pg_snap("source").arg("dump").output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("warning: rows of public.duty.what name public.by_what"), "{said}");

    // What came with the old server, and not with this one.
    dump_of(&s.server, "create table duty as select 'int4'::regtype as what", &file)?;
    passes(&s.server, postgres::USER, &file)?;
    let gone = edited(&s, &file, |text| text.replace("\"integer\"", "\"abstime\""))?;
    refused(
        &s.server,
        postgres::USER,
        &gone,
        "names abstime as regtype in rows of public.duty.what",
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
    refused(&elsewhere, "plain", &file, "makes foreign-data wrapper w, which role plain may not")?;
    passes(&elsewhere, postgres::USER, &file)?;
    as_role(&elsewhere, postgres::USER).arg("load").arg(&file).assert().success();
    Ok(())
}

#[test]
fn files_libraries_and_places_that_the_server_lacks_are_told() -> Result<()> {
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
        "text search dictionary public.odd (odd_words.stop): the server has not these files",
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
    lacks("\"$libdir/citext\"", "\"$libdir/no_such\"", "needs library $libdir/no_such, which")?;
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
        "functions in C of library $libdir/citext, which takes a superuser",
    )
}

#[test]
fn an_icu_collation_is_tried() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("icu.sql.gz");
    // Where it has none, one of them is listed all the same.
    let icu = "select count(*) from pg_collation where collprovider = 'i' and pg_collation_actual_version(oid) is not null";
    if s.server.psql("postgres", icu)? == "0" {
        println!("skipped: this PostgreSQL has no ICU");
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
        let other = Postgres::with(postgres::Options { programs, ..Default::default() })?;
        if other.psql("postgres", icu)? == "0" {
            without = true;
            let words = "collation public.book (de-u-co-phonebk) is ICU's";
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
            println!("skipped: no PostgreSQL {what} here");
        }
    }
    Ok(())
}

#[test]
fn an_extension_of_one_database_alone_or_of_the_servers_start_is_told() -> Result<()> {
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
        let (report, said) = preflight(&target, options)?;
        let remedy = "cron.database_name = 'piprio_pg_snap_incoming'";
        assert!(said.contains("in database piprio alone, and") && said.contains(remedy), "{said}");
        assert!(said.contains("extension pg_cron, which the server must load"), "{said}");
        let notes = report["notes"].to_string();
        assert!(notes.contains("loaded extension pg_stat_statements when it started"), "{notes}");
    }
    // Let in, it is: what is left is that it was not loaded at the start.
    let letting = server(&["cron.database_name=piprio_pg_snap_incoming"])?;
    let (report, said) = preflight(&letting, &[])?;
    assert_eq!(report["problems"].as_array().map(Vec::len), Some(1), "{said}");

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
