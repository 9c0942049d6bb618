//! Definitions that only a superuser may create: refused for any other role before anything is changed.

use crate::kit::*;
use crate::preflight::{passes, refused};
use anyhow::Result;
use test_kit::{Postgres, postgres};

/// One of each kind, with the words that name it.
const OBJECTS: &[(&str, &str)] = &[
    ("create publication everything for all tables", "publication everything of all tables"),
    ("create publication of_schema for tables in schema odd", "publication of_schema of a whole schema"),
    (
        "create subscription sub connection 'dbname=x' publication p with (connect = false, slot_name = none)",
        "subscription sub",
    ),
    ("create operator family odd.\"Fam\" using btree", "operator family odd.\"Fam\""),
    (
        "create operator class odd.cls for type int4 using btree family odd.\"Fam\" as function 1 btint4cmp(int4, int4)",
        "operator class odd.cls",
    ),
    (
        "create type odd.span as range (subtype = int4); create cast (odd.span as int4range) without function",
        "cast odd.span AS int4range without a function",
    ),
    ("create cast (point as bool) with inout", "cast point AS boolean between types of the server"),
    (
        "create function odd.sure() returns int language sql leakproof as 'select 1'",
        "leakproof function odd.sure()",
    ),
    (
        "create function odd.inner_now() returns timestamptz language internal as 'now'",
        "function odd.inner_now() in language internal",
    ),
    (
        "create function odd.series(int4, int4) returns setof int4 language internal
           support generate_series_int4_support as 'generate_series_int4'",
        "function odd.series(integer,integer) with a support function",
    ),
    ("create type odd.shell", "base type odd.shell"),
    (
        "create aggregate odd.mean(numeric) (sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_avg)",
        "aggregate odd.mean(numeric) with an internal state",
    ),
    (
        "create text search template odd.template (lexize = dsimple_lexize)",
        "text search template odd.template",
    ),
    (
        "create text search parser odd.parser
           (start = prsd_start, gettoken = prsd_nexttoken, \"end\" = prsd_end, lextypes = prsd_lextype)",
        "text search parser odd.parser",
    ),
    ("create access method odd_tree type index handler bthandler", "access method odd_tree"),
    ("create function odd.call() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
         create language odd_words handler odd.call", "language odd_words"),
];

/// With what an ordinary role creates that is like them.
const ORDINARY: &str = "
    create table t (i int, r int4range); create publication of_t for table t;
    create type mood as enum ('sad'); create type pair as (a int, b int); create domain small as int;
    create type span as range (subtype = int4, multirange_type_name = spans);
    create function f(mood) returns int language sql as 'select 1'; create cast (mood as int) with function f(mood);
    create aggregate total(int) (sfunc = int4pl, stype = int); create extension citext;
    create text search dictionary words (template = simple)";

fn elsewhere() -> Result<Postgres> {
    let server = Postgres::start()?;
    server.psql("postgres", "create role plain login password 'x' createdb")?;
    Ok(server)
}

#[test]
fn definitions_that_require_a_superuser_are_refused_for_any_other_role() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("d.sql.gz");
    let release = postgres::programs()?;
    s.server.psql("postgres", "create database source")?;
    s.server.psql("source", "create schema odd")?;
    for (sql, _) in OBJECTS {
        s.server.psql("source", &format!("set client_min_messages = error; {sql}"))?;
    }
    dump_to(&s.server, "source", &[], &file)?;
    let target = elsewhere()?;
    for (_, words) in OBJECTS {
        let words = format!("creates {words}, which role plain may not");
        refused(&target, "plain", &file, &words)?;
    }
    let report = passes(&target, postgres::USER, &file)?;
    assert_eq!(report["notes"].to_string(), "[]");
    pg_snap(&target, "piprio").arg("load").arg(&file).assert().success();
    assert!(content(&target, "piprio")? == content(&s.server, "source")?);
    for other in postgres::Release::all()?.iter().filter(|other| other.major >= 15) {
        if other.programs == release {
            continue;
        }
        let (programs, clients) = (Some(other.programs.clone()), Some(other.clients.clone()));
        let other = Postgres::with(postgres::Options { programs, clients, ..Default::default() })?;
        other.psql("postgres", "create role plain login password 'x' createdb")?;
        for (_, words) in OBJECTS {
            refused(&other, "plain", &file, &format!("creates {words}, which role plain may not"))?;
        }
    }
    Ok(())
}

#[test]
fn what_an_ordinary_role_may_create_is_not_taken_for_it() -> Result<()> {
    let s = Setup::new()?;
    let file = s.path("d.sql.gz");
    s.server.psql(
        "postgres",
        "create role plain login password 'x' createdb; create database source owner plain",
    )?;
    let mut plain = s.server.client("psql");
    plain.env("PGUSER", "plain").env("PGPASSWORD", "x");
    postgres::psql(plain, "source", &[], ORDINARY)?;
    dump_to(&s.server, "source", &[], &file)?;
    let target = elsewhere()?;
    passes(&target, "plain", &file)?;
    let mut load = crate::preflight::as_role(&target, "plain");
    load.arg("load").arg(&file).assert().success();
    Ok(())
}
