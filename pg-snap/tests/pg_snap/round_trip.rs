//! A dump loaded is what was dumped, its database's own state included.

use crate::kit::*;
use anyhow::{Result, ensure};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use test_kit::{Postgres, postgres};

#[test]
fn a_dump_loaded_elsewhere_dumps_the_same() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let original = content(&s.server, "piprio")?;

    s.pg_snap("from_file").args(["load"]).arg(&file).assert().success().stdout("");
    assert!(content(&s.server, "from_file")? == original);

    s.pg_snap("from_stdin").args(["load", "-"]).pipe_stdin(&file)?.assert().success();
    assert!(content(&s.server, "from_stdin")? == original);

    // Onto a database that is there, with other things in it.
    s.server
        .psql(
            "from_file",
            "create schema extra; create table extra.t (); drop schema tenant_0001 cascade",
        )
        .or_else(|_| s.server.psql("from_file", "create schema extra; create table extra.t ()"))?;
    s.pg_snap("from_file").args(["load"]).arg(&file).assert().success();
    assert!(content(&s.server, "from_file")? == original);
    assert_eq!(s.databases()?, "from_file from_stdin piprio postgres");
    Ok(())
}

#[test]
fn a_dump_needs_no_tool_of_ours_to_be_restored() -> Result<()> {
    let s = Setup::new()?;
    let text = gunzip(&s.dump("d.sql.gz")?)?;
    s.server.psql("postgres", "create database plain template template0")?;
    let mut psql = s.server.client("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "plain"]);
    Command::from_std(psql).write_stdin(text).assert().success();
    assert!(content(&s.server, "plain")? == content(&s.server, "piprio")?);
    Ok(())
}

#[test]
fn any_plain_dump_of_pg_dump_loads_and_the_replaced_databases_own_state_stays() -> Result<()> {
    let s = Setup::new()?;
    let out = s.server.client("pg_dump").arg("piprio").output()?;
    ensure!(out.status.success());
    s.server.psql("postgres", "create database other; alter database other set work_mem = '7MB'; comment on database other is 'kept'")?;
    s.pg_snap("other").args(["load"]).write_stdin(out.stdout).assert().success();
    assert!(content(&s.server, "other")? == content(&s.server, "piprio")?);
    assert_eq!(s.server.psql("other", "show work_mem")?, "7MB");
    let comment =
        "select shobj_description(oid, 'pg_database') from pg_database where datname = 'other'";
    assert_eq!(s.server.psql("other", comment)?, "kept");
    Ok(())
}

/// By the oids of an enum's values or of tables, alone or in something; and by an operator class of the database's own.
const HASHED: [(&str, &str); 6] = [
    ("public.mood[]", "array[format('m%s', n)::public.mood]"),
    ("public.pair", "row(format('m%s', n)::public.mood, n)::public.pair"),
    ("public.moods", "public.moods(format('m%s', n)::public.mood, null)"),
    ("public.some", "format('m%s', n)::public.mood"),
    ("regclass", "format('public.n%s', n)::regclass"),
    ("int", "n"),
];

#[test]
fn rows_of_hash_partitions_come_back_where_their_hashes_differ() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql(
        "piprio",
        "do $$ begin
           execute (select format('create type public.mood as enum (%s)', string_agg(quote_literal('m' || n), ',' order by n))
             from generate_series(1, 40) n);
           for n in 1..40 loop execute format('create table public.n%s ()', n); end loop;
         end $$;
         create type public.pair as (a public.mood, b int); create type public.moods as range (subtype = public.mood);
         create domain public.some as public.mood;
         create function public.own_hash(int, bigint) returns bigint language sql immutable
           as $$ select hashint4extended($1, 'public.n1'::regclass::oid::bigint) $$;
         create operator class public.own for type int using hash as operator 1 =, function 2 public.own_hash(int, bigint)",
    )?;
    for (number, (of, value)) in HASHED.iter().enumerate() {
        let class = if *of == "int" { "public.own" } else { "" };
        s.server.psql(
            "piprio",
            &format!(
                "create table public.h{number} (a {of}) partition by hash (a {class});
                 do $$ begin for r in 0..3 loop execute format(
                   'create table public.h{number}_%s partition of public.h{number} for values with (modulus 4, remainder %s)', r, r);
                 end loop; end $$;
                 insert into public.h{number} select {value} from generate_series(1, 40) n"
            ),
        )?;
    }
    let file = s.dump("d.sql.gz")?;
    for options in [&[][..], &["--jobs", "1"]] {
        s.pg_snap("copy").arg("load").args(options).arg(&file).assert().success();
        for (number, (of, _)) in HASHED.iter().enumerate() {
            let rows =
                format!("select string_agg(a::text, ' ' order by a::text) from public.h{number}");
            assert_eq!(s.server.psql("copy", &rows)?, s.server.psql("piprio", &rows)?, "{of}");
        }
    }
    Ok(())
}

const OWN_STATE: &str = "
    set client_encoding to 'UTF8';
    select datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit,
      (select string_agg(a::text, ' ' order by a::text) from unnest(datacl) a), shobj_description(oid, 'pg_database'),
      (select string_agg(coalesce(rolname, '-') || setconfig::text, ' ' order by rolname)
         from pg_db_role_setting left join pg_roles r on r.oid = setrole where setdatabase = d.oid)
    from pg_database d where datname = 'piprio'";

#[test]
fn a_databases_own_state_travels_to_a_server_with_another_default_locale() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql(
        "postgres",
        r#"create role owner_role; create role reader login password 'x'; create role "Odd ""Role"" é";
           alter database piprio owner to owner_role;
           revoke connect on database piprio from public;
           grant connect, temp on database piprio to reader; grant create on database piprio to "Odd ""Role"" é" with grant option;
           alter database piprio connection limit 17;
           comment on database piprio is E'it''s\n-- a comment; \\! id';
           alter database piprio set search_path to "$user", public, "Odd, Schema";
           alter database piprio set my.setting to E'a=b\'c';
           alter database piprio set default_transaction_read_only to on;
           alter role reader in database piprio set statement_timeout to '3s'"#,
    )?;
    let before = s.server.psql("piprio", OWN_STATE)?;
    let file = s.dump("d.sql.gz")?;

    let elsewhere = Postgres::with(postgres::Options {
        initdb: vec!["--locale=C".into(), "--encoding=LATIN1".into()],
        ..Default::default()
    })?;
    pg_snap(&elsewhere, "piprio")
        .args(["load"])
        .arg(&file)
        .assert()
        .success()
        .stderr(contains("role reader").and(contains("NOLOGIN")));
    assert_eq!(elsewhere.psql("piprio", OWN_STATE)?, before);
    assert!(content(&elsewhere, "piprio")? == content(&s.server, "piprio")?);
    let logins = "select string_agg(rolname, ' ') from pg_roles where rolcanlogin";
    assert_eq!(elsewhere.psql("postgres", logins)?, "piprio");

    // And onto the database that has it all already.
    s.pg_snap("piprio").args(["load"]).arg(&file).assert().success();
    assert_eq!(s.server.psql("piprio", OWN_STATE)?, before);
    Ok(())
}

#[test]
fn clients_run_behind_a_prefix_and_one_too_old_for_the_server_is_refused_by_both_versions()
-> Result<()> {
    let s = Setup::new()?;
    let programs = s.server.programs().display().to_string();
    let prefix = format!("env PATH={}:/usr/bin:/bin", shell_quote(&programs));
    let out = s.pg_snap("piprio").args(["--exec", &prefix, "dump"]).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    s.pg_snap("copy").args(["--exec", &prefix, "load"]).write_stdin(out.stdout).assert().success();
    assert!(content(&s.server, "copy")? == content(&s.server, "piprio")?);

    // A stand-in that only claims to be an old pg_dump: no older major can be installed here.
    let old = s.path("old");
    std::fs::create_dir(&old)?;
    let script = old.join("run");
    std::fs::write(
        &script,
        "[ \"$1\" = pg_dump ] && { echo 'pg_dump (PostgreSQL) 9.6.24'; exit; }\nexec \"$@\"\n",
    )?;
    let prefix = format!("sh {}", shell_quote(&script.display().to_string()));
    s.pg_snap("piprio")
        .env("PATH", format!("{programs}:/usr/bin:/bin"))
        .args(["--exec", &prefix, "dump"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("9.6").and(contains("the server is PostgreSQL")));
    Ok(())
}
