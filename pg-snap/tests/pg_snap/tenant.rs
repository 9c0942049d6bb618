//! One schema of a dump: written out, and brought back into the database in use.

use crate::kit::*;
use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use test_kit::{Postgres, postgres};

/// A schema with what a dump can hold, beside others; `hostile` stands for names that look like
/// pg_dump's comments.
const RICH: &str = r#"
    create role tenant_owner; create role tenant_reader;
    create schema rich authorization tenant_owner;
    grant usage on schema rich to tenant_reader;
    comment on schema rich is E'it''s rich\n-- Name: t; Type: TABLE; Schema: other; Owner: o';
    alter default privileges for role tenant_owner in schema rich grant select on tables to tenant_reader;
    create schema other; create table other.shared (id integer primary key); insert into other.shared values (1), (2);
    create type rich.mood as enum ('sad', 'glad'); create domain rich.small as integer check (value < 1000);
    create type rich.pair as (a integer, b text); create type rich.span as range (subtype = float8);
    create function rich.twice(i integer) returns integer language sql immutable as 'select 2 * i';
    create function rich.noted() returns trigger language plpgsql as $$
    begin
    --
    -- Name: t; Type: TABLE; Schema: other; Owner: o
    --
      insert into rich.log values (new.id); return new;
    end $$;
    create aggregate rich.total(integer) (sfunc = pg_catalog.int4pl, stype = integer, initcond = '0');
    create operator rich.#+ (function = pg_catalog.int4pl, leftarg = integer, rightarg = integer);
    create table rich.log (id integer);
    create table rich.t (
      id integer generated always as identity primary key, mood rich.mood default 'glad', n rich.small,
      twice integer generated always as (rich.twice(id)) stored, shared integer references other.shared,
      what text, unique (n));
    alter table rich.t owner to tenant_owner;
    create trigger noted after insert on rich.t for each row execute function rich.noted();
    insert into rich.t (n, shared, what) select i, 1 + i % 2, E'--\n-- Name: t; Type: TABLE; Schema: other; Owner: o\n\\.' || i
      from generate_series(1, 50) i;
    create index on rich.t (rich.twice(id)); create statistics rich.st on mood, n from rich.t;
    alter table rich.t enable row level security; create policy p on rich.t to tenant_reader using (id > 3);
    grant select (id, what) on rich.t to tenant_reader with grant option;
    create table rich.parted (at integer) partition by range (at);
    create table rich.parted_1 partition of rich.parted for values from (1) to (10);
    create table rich.parted_rest partition of rich.parted default; insert into rich.parted values (5), (50);
    create table rich.parent (a integer); create table rich.child () inherits (rich.parent); insert into rich.child values (7);
    create view rich.v as select id, mood from rich.t where n > 3;
    create rule r as on insert to rich.v do instead nothing;
    create materialized view rich.m as select mood, count(*) from rich.t group by mood;
    create sequence rich.q start 7; select nextval('rich.q'), nextval('rich.q');
    create unlogged table rich.u (a integer);
    create text search configuration rich.ts (copy = simple);
    create table rich."x; Type: TABLE; Schema: other; Owner: y" (a integer); insert into rich."x; Type: TABLE; Schema: other; Owner: y" values (1);
    create table other."x; Type: TABLE; Schema: rich; Owner: y" (a integer); insert into other."x; Type: TABLE; Schema: rich; Owner: y" values (2);
    create schema "rich; Owner: z"; create table "rich; Owner: z".t (a integer);
    create schema "Type: TABLE; Schema: rich"; create table "Type: TABLE; Schema: rich".t (a integer);
    create function other.about() returns text language sql as $$ select $x$
--
-- Name: evil; Type: TABLE; Schema: rich; Owner: o
--

create table rich.evil ();
$x$ $$;
"#;

impl Setup {
    pub fn rich() -> Result<Self> {
        let setup = Self::new()?;
        setup.server.psql("piprio", RICH)?;
        Ok(setup)
    }

    pub fn sql(&self, sql: &str) -> Result<String> {
        self.server.psql("piprio", sql)
    }

    /// What pg_dump makes of one schema.
    pub fn schema(&self, database: &str, schema: &str) -> Result<String> {
        schema_of(&self.server, database, schema)
    }

    pub fn load(&self, schema: &str, file: &Path) -> Command {
        let mut command = self.pg_snap("piprio");
        command.args(["load", "--schema", schema]).arg(file);
        command
    }

    /// Everything but one schema and those that it was kept as: by oid where that is a promise.
    pub fn others(&self, schema: &str) -> Result<String> {
        let but = format!("nspname !~ '^({schema}$|{schema}_before|pg_)'");
        let oids = self.sql(&format!(
            "select string_agg(c.oid || ' ' || c.oid::regclass || ' ' || pg_relation_filenode(c.oid), ',' order by c.oid)
             from pg_class c join pg_namespace n on n.oid = relnamespace where relkind in ('r', 'm', 'S') and {but}"
        ))?;
        let mut command = self.server.client("pg_dump");
        command.args(["-d", "piprio", "-N", schema, "-N", &format!("{schema}_before_*")]);
        let text = pipe_kit::child::capture(&mut command, "pg_dump")?;
        Ok(oids + &postgres::canonical(&text)?)
    }

    /// The name under which the present schema was kept.
    pub fn kept(&self, schema: &str) -> Result<String> {
        let like = format!(
            "select nspname from pg_namespace where nspname ~ '^{schema}_before_[0-9]{{8}}T[0-9]{{6}}Z$'"
        );
        self.sql(&like)
    }
}

pub fn schema_of(server: &Postgres, database: &str, schema: &str) -> Result<String> {
    let mut command = server.client("pg_dump");
    command.args(["-d", database, "-n", &format!("\"{schema}\"")]);
    postgres::canonical(&pipe_kit::child::capture(&mut command, "pg_dump")?)
}

/// What pg_dump makes of the database.
pub fn pg_dump(s: &Setup, arguments: &[&str]) -> Result<Vec<u8>> {
    let out = s.server.client("pg_dump").args(["-d", "piprio"]).args(arguments).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(out.stdout)
}

fn gzipped(s: &Setup, text: &[u8]) -> Result<PathBuf> {
    let path = s.path("zipped.sql.gz");
    let mut gzip = std::process::Command::new("gzip")
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&path)?)
        .spawn()?;
    gzip.stdin.take().context("no pipe")?.write_all(text)?;
    ensure!(gzip.wait()?.success());
    Ok(path)
}

#[test]
fn an_extract_is_plain_sql_of_the_schema_and_of_nothing_else_whatever_the_names() -> Result<()> {
    let s = Setup::rich()?;
    s.sql("create publication pub for table rich.t, other.shared")?;
    let ours = s.dump("d.sql.gz")?;
    let plain = s.path("plain.sql");
    std::fs::write(&plain, pg_dump(&s, &[])?)?;
    let verbose = s.path("verbose.sql");
    std::fs::write(&verbose, pg_dump(&s, &["--verbose"])?)?;
    let inserts = s.path("inserts.sql");
    std::fs::write(&inserts, pg_dump(&s, &["--inserts", "--use-set-session-authorization"])?)?;
    let original = s.schema("piprio", "rich")?;
    let empty = "create schema other; create table other.shared (id integer primary key); insert into other.shared values (1), (2)";
    for (n, file) in [ours, plain.clone(), verbose, inserts, gzipped(&s, &std::fs::read(&plain)?)?]
        .iter()
        .enumerate()
    {
        let out = s.pg_snap("").args(["extract", "--schema", "rich"]).arg(file).assert().success();
        let text = out.get_output().stdout.clone();
        let left = contains("entry of a publication").and(contains("large objects"));
        assert!(left.eval(&String::from_utf8_lossy(&out.get_output().stderr)), "{out}");
        s.pg_snap("").arg("inspect").write_stdin(text.clone()).assert().success();
        let database = format!("look{n}");
        s.server.psql("postgres", &format!("create database {database}"))?;
        s.server.psql(&database, empty)?;
        // One of the dumps has each owner make what is its own.
        s.server.psql(&database, &format!("grant create on database {database} to public; grant usage on schema other to public; grant all on other.shared to public"))?;
        let mut psql = s.server.client("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &database]);
        Command::from_std(psql).write_stdin(text).assert().success();
        assert!(s.schema(&database, "rich")? == original, "{}", file.display());
        let tables = "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace
                      where nspname !~ '^(pg_|information_schema)' and nspname <> 'rich' and relkind = 'r'";
        assert_eq!(s.server.psql(&database, tables)?, "1");
    }
    Ok(())
}

#[test]
fn a_schema_comes_back_as_the_dump_has_it_and_everything_else_stays() -> Result<()> {
    let s = Setup::rich()?;
    let ours = s.dump("d.sql.gz")?;
    let zipped = gzipped(&s, &pg_dump(&s, &[])?)?;
    for schema in ["rich", "tenant_0002"] {
        let original = s.schema("piprio", schema)?;
        for way in ["file", "stdin", "pg_dump"] {
            let before = s.kept(schema)?;
            if !before.is_empty() {
                s.sql(&format!("drop schema \"{before}\" cascade"))?;
            }
            s.sql(&format!(
                "create table {schema}.newer as select 1 a; drop view if exists {schema}.v cascade"
            ))?;
            let present = s.schema("piprio", schema)?;
            let others = s.others(schema)?;
            let mut load = match way {
                "file" => s.load(schema, &ours),
                "stdin" => {
                    let mut load = s.load(schema, Path::new("-"));
                    load.pipe_stdin(&ours)?;
                    load
                }
                _ => s.load(schema, &zipped),
            };
            let done = load.assert().success().stdout("");
            let kept = s.kept(schema)?;
            done.stderr(contains(format!("DROP SCHEMA \"{kept}\" CASCADE")));
            assert!(s.schema("piprio", schema)? == original, "{schema} {way}");
            assert!(s.others(schema)? == others, "{schema} {way}");
            let kept_now = s.schema("piprio", &kept)?;
            let kept_now = kept_now.replace(&format!("\"{kept}\""), schema).replace(&kept, schema);
            assert!(kept_now == present, "{schema} {way}");
            let planner =
                format!("select count(*) > 0 from pg_stats where schemaname = '{schema}'");
            assert_eq!(s.sql(&planner)?, "t");
        }
    }
    Ok(())
}

#[test]
fn a_schema_comes_back_under_another_name_new_or_there_already() -> Result<()> {
    let s = Setup::rich()?;
    let file = s.dump("d.sql.gz")?;
    let original = s.schema("piprio", "rich")?;
    let as_rich = |name: &str| -> Result<String> {
        let text = s.schema("piprio", name)?;
        let forms = [
            ("{}.", "rich."),
            ("SCHEMA {}", "SCHEMA rich"),
            ("Schema: {};", "Schema: rich;"),
            ("Name: {};", "Name: rich;"),
        ];
        Ok(forms
            .iter()
            .fold(text, |text, (form, rich)| text.replace(&form.replace("{}", name), rich)))
    };
    let oid = s.sql("select oid from pg_namespace where nspname = 'rich'")?;
    // A body that names the schema by text still means the one it names.
    s.load("rich", &file).args(["--into", "look"]).assert().success().stderr(
        contains("look.noted()").and(contains("look.twice").not()).and(contains("kept").not()),
    );
    assert!(as_rich("look")? == original);
    assert_eq!(s.sql("select oid from pg_namespace where nspname = 'rich'")?, oid);
    assert!(s.schema("piprio", "rich")? == original);

    s.sql("drop table look.log; create table look.mine ()")?;
    s.load("rich", &file).args(["--into", "look"]).assert().success();
    assert!(as_rich("look")? == original);
    assert_eq!(
        s.sql(&format!("select to_regclass('\"{}\".mine') is not null", s.kept("look")?))?,
        "t"
    );

    // The schema of that name is gone, and another one's is kept.
    s.sql("drop schema rich cascade")?;
    s.load("rich", &file).args(["--into", "tenant_0001"]).assert().success();
    assert_eq!(s.sql("select to_regnamespace('rich') is null")?, "t");
    s.load("rich", &file).assert().success();
    assert!(s.schema("piprio", "rich")? == original);
    Ok(())
}
