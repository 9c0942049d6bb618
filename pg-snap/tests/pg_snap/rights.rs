//! Roles that are no superusers: what they may not see fails the dump, and what they have given away
//! does not fail a load.

use crate::kit::*;
use anyhow::{Result, ensure};
use assert_cmd::Command;
use predicates::str::contains;
use test_kit::Postgres;
use test_kit::likeness::{content, ensure_alike, state};
use test_kit::postgres;

const APP: &str = "
    create table kept (id integer primary key, t text);
    insert into kept select n, 'row ' || n from generate_series(1, 100) n;
    create table refers (id serial primary key, kept integer references kept);
    insert into refers (kept) select id from kept;
    create function upper_of(t text) returns text language sql immutable as $$ select upper(t) $$;
    create index on kept (upper_of(t));
    create materialized view seen as select upper_of(t) as t from kept;
    create index on seen (t);
    create schema own; create table own.part (id integer) partition by list (id);
    create table own.part_1 partition of own.part for values in (1);
    insert into own.part values (1);
    create sequence own.numbers;
    select nextval('own.numbers') \\g /dev/null
    select lo_from_bytea(4711, 'an object') \\g /dev/null
    create table secret (id integer, whose text);
    insert into secret values (1, 'app'), (2, 'other');
    alter table secret enable row level security;
    create policy own on secret using (whose = current_user);
    create view counted as select id, count(*) from kept group by id";

/// The owner's own rights; as a dump gives them, they are given last.
const GIVEN_AWAY: &str = "
    revoke all on kept, refers from app;
    grant select on kept to app;
    revoke all on refers_id_seq, own.numbers from app;
    revoke all on own.part, own.part_1 from app;
    grant select on own.part, own.part_1, refers, refers_id_seq, own.numbers, secret to app;
    revoke execute on function upper_of from public;
    revoke create on schema own from app;
    revoke all on large object 4711 from app;
    grant select on large object 4711 to app";

fn as_app(server: &Postgres, database: &str) -> Command {
    let mut command = pg_snap(server, database);
    command.env("PGUSER", "app").env("PGPASSWORD", "x");
    command
}

fn app_database() -> Result<Postgres> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role app login createdb password 'x'; create role other; create database piprio owner app",
    )?;
    let mut app = server.client("psql");
    app.env("PGUSER", "app").env("PGPASSWORD", "x");
    postgres::psql(app, "piprio", &[], APP)?;
    Ok(server)
}

#[test]
fn an_owner_that_has_given_its_rights_away_loads_its_dump_as_psql_does() -> Result<()> {
    let server = app_database()?;
    server.psql("piprio", GIVEN_AWAY)?;
    let dir = tempfile::tempdir()?;
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    pg_dump_to(&server, "piprio", &[], &theirs)?;
    let by_psql_as_app = |database: &str, file| -> Result<()> {
        let create = format!("create database {database} template template0 owner app");
        server.psql("postgres", &create)?;
        let mut psql = server.client("psql");
        psql.env("PGUSER", "app").env("PGPASSWORD", "x");
        psql.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", database]);
        Command::from_std(psql).write_stdin(gunzip(file)?).assert().success();
        Ok(())
    };
    by_psql_as_app("by_psql", &theirs)?;
    let wanted = content(&server, None, "by_psql")?;
    for jobs in ["1", "3"] {
        let out = as_app(&server, "piprio").args(["dump", "--jobs", jobs]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        std::fs::write(&ours, out.stdout)?;
        let unpacked = format!("unpacked_{jobs}");
        by_psql_as_app(&unpacked, &ours)?;
        ensure_alike(&wanted, &content(&server, None, &unpacked)?, "gunzip | psql")?;
        for (file, what) in [(&ours, "our dump"), (&theirs, "pg_dump's")] {
            let copy = format!("copy_{jobs}");
            for piped in [false, true] {
                let mut load = as_app(&server, &copy);
                let load = load.args(["load", "--jobs", jobs]);
                let load = if piped { load.arg("-").pipe_stdin(file)? } else { load.arg(file) };
                let out = load.output()?;
                let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
                ensure!(out.status.success(), "{what}, --jobs {jobs}, piped: {piped}: {stderr}");
                ensure_alike(&wanted, &content(&server, None, &copy)?, what)?;
                ensure_alike(&state(&server, "piprio")?, &state(&server, &copy)?, what)?;
            }
        }
    }
    Ok(())
}

#[test]
fn rows_that_a_role_may_not_see_fail_its_dump() -> Result<()> {
    let server = app_database()?;
    let dump = |words: &str| {
        let out = as_app(&server, "piprio").arg("dump").output().unwrap();
        let inspect = pg_snap(&server, "").arg("inspect").write_stdin(out.stdout.clone()).assert();
        inspect.code(4);
        out.assert().code(1).stderr(contains(words));
    };
    use assert_cmd::assert::OutputAssertExt;
    as_app(&server, "piprio").arg("dump").assert().success();
    server.psql("piprio", "alter table secret force row level security")?;
    dump("secret");
    server.psql(
        "piprio",
        "alter table secret no force row level security; alter table kept owner to other",
    )?;
    dump("kept");
    server.psql(
        "piprio",
        "alter table kept owner to app; alter sequence own.numbers owner to other",
    )?;
    dump("numbers");
    server.psql(
        "piprio",
        "alter sequence own.numbers owner to app; alter large object 4711 owner to other",
    )?;
    dump("4711");
    Ok(())
}

/// Privileges that not the owner has granted, but a role that may grant them on.
const GRANTED_ON: &str = "
    set role app; create schema s; create table s.t (i int, j int); insert into s.t values (1, 2);
    grant usage on schema s to grantor with grant option; grant select on s.t to grantor with grant option;
    grant update (j) on s.t to grantor with grant option;
    reset role; set role grantor;
    grant usage on schema s to other; grant select on s.t to other; grant update (j) on s.t to public";

#[test]
fn a_privilege_that_another_role_than_the_owner_has_granted_is_granted_by_it_again() -> Result<()> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role app login createdb password 'x'; create role grantor; create role other;
         create database piprio owner app",
    )?;
    server.psql("piprio", GRANTED_ON)?;
    let acls = |database: &str| {
        let ask = "select relacl, (select nspacl from pg_namespace where oid = relnamespace),
             (select attacl from pg_attribute where attrelid = c.oid and attname = 'j')
             from pg_class c where oid = 's.t'::regclass";
        server.psql(database, ask)
    };
    let wanted = acls("piprio")?;
    ensure!(wanted.contains("other=r/grantor"), "{wanted}");
    let dir = tempfile::tempdir()?;
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    dump_to(&server, "piprio", &[], &ours)?;
    pg_dump_to(&server, "piprio", &[], &theirs)?;
    crate::preflight::refused(&server, "app", &ours, "GRANT \"grantor\" TO \"app\"")?;
    server.psql("postgres", "grant grantor to app")?;
    for jobs in ["1", "3"] {
        for file in [&ours, &theirs] {
            for piped in [false, true] {
                let mut load = as_app(&server, "copy");
                let load = load.args(["load", "--jobs", jobs]);
                let load = if piped { load.arg("-").pipe_stdin(file)? } else { load.arg(file) };
                let out = load.output()?;
                ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                ensure_alike(&wanted, &acls("copy")?, "the privileges")?;
            }
        }
    }
    as_app(&server, "copy").args(["load", "--schema", "s"]).arg(&ours).assert().success();
    ensure_alike(&wanted, &acls("copy")?, "the privileges of one schema")
}

/// What lies outside a database and only its catalog entry shows: who may use it, by whom.
fn rights_on(server: &Postgres, database: &str) -> Result<String> {
    let ask = format!(
        "select coalesce(datacl::text, 'default') from pg_database where datname = '{database}'"
    );
    server.psql("postgres", &ask)
}

#[test]
fn rights_on_a_database_are_those_of_the_source_down_to_none_at_all_and_to_who_granted_them()
-> Result<()> {
    let server = Postgres::start()?;
    server.psql(
        "postgres",
        "create role app login createdb password 'x'; create role a; create role b; create role c;
         create role gone; create role grpx; grant a, b to app;
         create database closed owner app; create database granted owner app; create database odd owner app",
    )?;
    server.psql(
        "postgres",
        "revoke all on database closed from public; revoke all on database closed from app;
         set role app; grant connect on database granted to a with grant option;
         grant create on database granted to b;
         set role a; grant connect on database granted to b with grant option;
         set role b; grant connect on database granted to c; reset role;
         alter role a in database odd set role = 'grpx';
         revoke all on database odd from public; grant create, connect on database odd to gone, a;
         delete from pg_shdepend where refobjid = 'gone'::regrole; drop role gone",
    )?;
    assert_eq!(rights_on(&server, "closed")?, "{}");
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    for database in ["closed", "granted"] {
        dump_to(&server, database, &[], &file)?;
        let load = format!("{database}_copy");
        as_app(&server, &load).arg("load").arg(&file).assert().success();
        ensure_alike(&rights_on(&server, database)?, &rights_on(&server, &load)?, database)?;
    }
    let head = String::from_utf8(gunzip(&file)?)?;
    for role in ["a", "b"] {
        let named = format!(r#"{{"name":"{role}","login":false,"owns":true}}"#);
        ensure!(head.contains(&named), "who grants");
    }
    server.psql("postgres", "revoke b from app")?;
    crate::preflight::refused(&server, "app", &file, "GRANT \"b\" TO \"app\"")?;
    dump_to(&server, "odd", &[], &file)?;
    let head = String::from_utf8(gunzip(&file)?)?;
    ensure!(head.contains(r#"{"name":"grpx","login":false,"owns":false}"#), "a role in a setting");
    ensure!(head.contains("which are not in the dump"), "no warning of a role that was dropped");
    pg_snap(&server, "odd_copy").arg("load").arg(&file).assert().success();
    assert_eq!(rights_on(&server, "odd_copy")?, "{app=CTc/app,a=Cc/app}");
    Ok(())
}
