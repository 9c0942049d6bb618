//! Databases that are not in UTF-8.

use crate::kit::*;
use anyhow::{Context, Result, ensure};
use predicates::prelude::*;
use predicates::str::contains;
use test_kit::Postgres;
use test_kit::likeness::{ensure_alike, sorted, state};
use test_kit::postgres::{Options, canonical};

/// Each encoding with letters that it has, as SQL.
const ENCODINGS: [(&str, &str); 4] = [
    ("LATIN1", "'Ünïcödé ß'"),
    ("EUC_JP", "'漢字 かな'"),
    ("WIN1251", "'Кириллица'"),
    // Bytes that are no characters in any encoding.
    ("SQL_ASCII", r"E'\xff\xfe \xc3\x28'"),
];

const CONTENTS: &str = r#"
    set client_encoding = 'UTF8';
    do $make$
    declare
      letters text := LETTERS;
    begin
      execute format('create schema %I', letters);
      execute format('create table %I.%I (id serial, %1$I text default %3$L)', letters, 't ' || letters, letters || E'\n\\.');
      execute format('insert into %I.%I (%1$I) select repeat(%3$L, n) from generate_series(1, 300) n', letters, 't ' || letters, letters || E'\t\\');
      execute format('comment on table %I.%I is %L', letters, 't ' || letters, letters);
      execute format('create function %I.f() returns text language sql as %L', letters, 'select ' || quote_literal(letters));
      execute format('create index on %I.%I (left(%1$I, 20))', letters, 't ' || letters);
      -- Larger than what its rows refer to, so that it is first in a dump of ours.
      execute format('alter table %I.%I add primary key (id)', letters, 't ' || letters);
      execute format('create table %I.%I as select 1 + n %% 300 as id, repeat(''x'', 100) as fill from generate_series(1, 3000) n', letters, 'u ' || letters);
      execute format('alter table %I.%I add foreign key (id) references %1$I.%3$I', letters, 'u ' || letters, 't ' || letters);
      execute format('create sequence %I.%I', letters, 's ' || letters);
      perform nextval(format('%I.%I', letters, 's ' || letters));
      perform lo_from_bytea(4711, convert_to(letters, 'ENCODING'));
      execute format('comment on large object 4711 is %L', letters);
    end
    $make$"#;

/// A byte a character, so that any bytes are text.
fn text_of(server: &Postgres, database: &str) -> Result<String> {
    let mut pg_dump = server.client("pg_dump");
    let out = pg_dump.args(["-d", database]).output().context("pg_dump")?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(sorted(&canonical(&out.stdout.iter().map(|b| char::from(*b)).collect::<String>())?))
}

#[test]
fn a_database_in_any_encoding_is_the_same_whatever_way_it_goes() -> Result<()> {
    let server = Postgres::start()?;
    let dir = tempfile::tempdir()?;
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for (encoding, letters) in ENCODINGS {
        let name = encoding.to_lowercase();
        let options = format!("template template0 encoding '{encoding}' locale 'C'");
        server.psql("postgres", &format!("create database {name} {options}"))?;
        let contents = CONTENTS.replace("LETTERS", letters).replace("ENCODING", encoding);
        server.psql(&name, &contents).context(encoding)?;
        let wanted = text_of(&server, &name)?;
        dump_to(&server, &name, &["--jobs", "2"], &ours)?;
        pg_dump_to(&server, &name, &[], &theirs)?;
        for (file, whose) in [(&ours, "ours"), (&theirs, "pg_dump's")] {
            let what = format!("{encoding}, {whose}");
            // Into one of the same encoding: pg_dump's dump does not record it.
            server.psql("postgres", &format!("create database copy {options}"))?;
            pg_snap(&server, "copy").arg("load").arg(file).assert().success();
            ensure_alike(&wanted, &text_of(&server, "copy")?, &what)?;
            ensure_alike(&state(&server, &name)?, &state(&server, "copy")?, &what)?;
            pg_snap(&server, "copy").args(["load", "-"]).pipe_stdin(file)?.assert().success();
            ensure_alike(&wanted, &text_of(&server, "copy")?, &what)?;
            server.psql("postgres", "drop database copy")?;
        }
        server.psql("postgres", &format!("create database unpacked {options}"))?;
        let mut psql = server.client("psql");
        psql.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", "unpacked"]);
        assert_cmd::Command::from_std(psql).write_stdin(gunzip(&ours)?).assert().success();
        ensure_alike(&wanted, &text_of(&server, "unpacked")?, encoding)?;
        server.psql("postgres", "drop database unpacked")?;
    }
    Ok(())
}

#[test]
fn a_name_that_is_not_utf8_does_not_fail_the_statistics_and_with_them_the_load() -> Result<()> {
    let server = Postgres::start()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    let make = "create database source template template0 encoding 'EUC_JP' locale 'C'";
    server.psql("postgres", make)?;
    // The bytes that stand for an unknown character have an odd number, so the server cannot read on at the quote.
    let contents = r#"set client_encoding = 'UTF8'; create table "罠" (id int primary key);
        insert into "罠" values (1)"#;
    server.psql("source", contents)?;
    dump_to(&server, "source", &[], &file)?;
    for options in [&[][..], &[], &["--drop-first"]] {
        pg_snap(&server, "copy").arg("load").args(options).arg(&file).assert().success();
        ensure_alike(&text_of(&server, "source")?, &text_of(&server, "copy")?, "the copy")?;
    }
    Ok(())
}

#[test]
fn a_plain_dump_gets_a_database_in_the_encoding_of_its_text_whatever_the_clusters_is() -> Result<()>
{
    let initdb = vec!["--locale=C".into(), "--encoding=SQL_ASCII".into()];
    let ascii = Postgres::with(Options { initdb, ..Options::default() })?;
    let utf8 = Postgres::start()?;
    let dir = tempfile::tempdir()?;
    let encoding = "select getdatabaseencoding()";
    for name in ["UTF8", "LATIN1"] {
        let file = dir.path().join(name);
        let options = format!("template template0 encoding '{name}' locale 'C'");
        ascii.psql("postgres", &format!("create database \"{name}\" {options}"))?;
        let table =
            "set client_encoding = 'UTF8'; create table t (a text); insert into t values ('é')";
        ascii.psql(name, table)?;
        pg_dump_to(&ascii, name, &[], &file)?;
        let load = pg_snap(&ascii, "copy").arg("load").arg(&file).assert().success();
        load.stderr(contains("encoding").or(contains("locale")).not());
        ensure!(ascii.psql("copy", encoding)? == name, "{name}");
        ensure!(ascii.psql("copy", "select length(a) from t")? == "1", "{name}");
        // Of a locale in UTF-8, no database can be in another encoding.
        let load = pg_snap(&utf8, name).arg("load").arg(&file).assert().success();
        let warned =
            contains("which does not fit the locale C.UTF-8").count((name == "LATIN1").into());
        load.stderr(warned);
        ensure!(utf8.psql(name, encoding)? == "UTF8");
        ensure!(utf8.psql(name, "select length(a) from t")? == "1");
        ascii.psql("postgres", "drop database copy")?;
    }
    // The one that it replaces counts.
    let (latin1, text) = (dir.path().join("LATIN1"), contains("text is in LATIN1").count(1));
    pg_snap(&ascii, "UTF8").arg("preflight").arg(&latin1).assert().success().stdout(text.clone());
    pg_snap(&ascii, "UTF8").arg("load").arg(&latin1).assert().success().stderr(text);
    ensure!(ascii.psql("UTF8", encoding)? == "UTF8");
    Ok(())
}

#[test]
fn a_schema_is_found_by_its_name_whatever_the_encoding_of_the_dump() -> Result<()> {
    let server = Postgres::start()?;
    let dir = tempfile::tempdir()?;
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for (encoding, schema, other) in [
        ("LATIN1", "müller", "möller"),
        ("WIN1251", "мир", "мор"),
        ("EUC_JP", "漢字", "かな"),
        ("SQL_ASCII", "müller", "möller"),
        ("UTF8", "müller", "möller"),
    ] {
        let name = encoding.to_lowercase();
        let options = format!("template template0 encoding '{encoding}' locale 'C'");
        server.psql("postgres", &format!("create database {name} {options}"))?;
        for (schema, rows) in [(schema, 7), (other, 5)] {
            let make = format!(
                r#"set client_encoding = '{}'; create schema "{schema}"; create table "{schema}"."{schema}" (a int, b text);
                insert into "{schema}"."{schema}" select n, '{schema}' from generate_series(1, {rows}) n;
                create table "{schema}".kept (a int primary key, b int generated always as identity);
                create index on "{schema}"."{schema}" (lower(b))"#,
                if encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" }
            );
            server.psql(&name, &make)?;
        }
        dump_to(&server, &name, &[], &ours)?;
        pg_dump_to(&server, &name, &[], &theirs)?;
        let wanted = text_of(&server, &name)?;
        for (file, whose) in [(&ours, "ours"), (&theirs, "pg_dump's")] {
            let what = format!("{encoding}, {whose}");
            let extract =
                pg_snap(&server, "").args(["extract", "--schema", schema]).arg(file).output()?;
            let words = String::from_utf8_lossy(&extract.stderr).into_owned();
            if ["WIN1251", "EUC_JP"].contains(&encoding) {
                ensure!(extract.status.code() == Some(5), "{what}: {words}");
                ensure!(words.contains(&format!("the dump is in {encoding}")), "{what}: {words}");
            } else {
                ensure!(extract.status.success(), "{what}: {words}");
                let tables = extract.stdout.windows(5).filter(|bytes| *bytes == b"COPY ").count();
                ensure!(tables == 2, "{what}: {tables} tables");
                let rows = extract.stdout.split(|byte| *byte == b'\n');
                let rows = rows.filter(|line| line.first().is_some_and(u8::is_ascii_digit)).count();
                ensure!(rows == 7, "{what}: {rows} rows");
            }
            let mut load = pg_snap(&server, &name);
            load.args(["load", "--schema", schema]).arg(file).assert().success();
            let kept = "select quote_ident(nspname) from pg_namespace where nspname ~ '_before_'";
            let drop =
                format!("do $$ begin execute 'drop schema ' || ({kept}) || ' cascade'; end $$");
            server.psql(&name, &drop)?;
            ensure_alike(&wanted, &text_of(&server, &name)?, &what)?;
            let absent =
                pg_snap(&server, &name).args(["load", "--schema", "mller"]).arg(file).assert();
            absent.code(5).stderr(contains("contains no schema mller"));
        }
    }
    Ok(())
}

/// What the sessions of a database read of itself outside it.
const OWN: &str = "set client_encoding = 'UTF8';
    select pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'), datacl,
      (select string_agg(coalesce(rolname, '-') || setconfig::text, ' ' order by rolname)
         from pg_db_role_setting left join pg_roles r on r.oid = setrole where setdatabase = d.oid),
      current_setting('search_path'), has_schema_privilege(datdba, 'schéma', 'create')
    from pg_database d where datname = current_database()";

/// Shared catalogs have no encoding: what a session of one database has written, another one may read otherwise.
#[test]
fn names_and_values_outside_a_database_are_those_that_its_sessions_read() -> Result<()> {
    let server = Postgres::start()?;
    let dir = tempfile::tempdir()?;
    let (file, plain) = (dir.path().join("d"), dir.path().join("plain"));
    // Its bytes are those of two letters of LATIN1.
    server.psql(
        "postgres",
        "set client_encoding = 'UTF8'; create role \"rôle\"; create role owner_role",
    )?;
    server
        .psql("postgres", "create database l1 encoding 'LATIN1' locale 'C' template template0")?;
    server.psql(
        "l1",
        "set client_encoding = 'UTF8';
         create role \"né ici\"; create role \"hôte\"; alter database l1 owner to \"né ici\";
         create schema \"schéma\" authorization \"né ici\"; create table \"schéma\".t as select 1 as a;
         alter database l1 set search_path = 'schéma'; comment on database l1 is 'données';
         grant connect on database l1 to \"rÃ´le\"; grant usage on schema \"schéma\" to \"hôte\", \"rÃ´le\";
         alter role \"rÃ´le\" in database l1 set app.name = 'à'; alter role \"hôte\" in database l1 set work_mem = '2MB'",
    )?;
    let wanted = server.psql("l1", OWN)?;
    ensure!(wanted.starts_with("né ici|données|"), "{wanted}");
    dump_to(&server, "l1", &[], &file)?;
    pg_dump_to(&server, "l1", &[], &plain)?;
    let roles = "set client_encoding = 'UTF8';
        select string_agg(rolname, ' ' order by rolname) from pg_roles where rolname !~ '^pg_'";
    let before = server.psql("l1", roles)?;
    let report = pg_snap(&server, "copy").arg("preflight").arg(&file).assert().success();
    report.stdout(contains("lacks").not());
    for options in [&[][..], &["--drop-first"]] {
        pg_snap(&server, "copy").arg("load").args(options).arg(&file).assert().success();
        ensure_alike(&wanted, &server.psql("copy", OWN)?, "in the same cluster")?;
        ensure_alike(&before, &server.psql("l1", roles)?, "the roles")?;
    }
    // A dump without them leaves those of the database that it replaces.
    pg_snap(&server, "copy").arg("load").arg(&plain).assert().success();
    ensure_alike(&wanted, &server.psql("copy", OWN)?, "from pg_dump's dump")?;
    ensure_alike(&before, &server.psql("l1", roles)?, "the roles")?;
    let mut part = pg_snap(&server, "copy");
    part.args(["load", "--schema", "schéma"]).arg(&file).assert().success();
    ensure_alike(&before, &server.psql("l1", roles)?, "the roles")?;

    let initdb = vec!["--locale=C".into(), "--encoding=LATIN1".into()];
    for options in [Options::default(), Options { initdb, ..Options::default() }] {
        let elsewhere = Postgres::with(options)?;
        pg_snap(&elsewhere, "copy").arg("load").arg(&file).assert().success();
        ensure_alike(&wanted, &elsewhere.psql("copy", OWN)?, "in another cluster")?;
        pg_snap(&elsewhere, "copy").arg("load").arg(&file).assert().success();
        ensure_alike(&wanted, &elsewhere.psql("copy", OWN)?, "over itself")?;
    }
    Ok(())
}
