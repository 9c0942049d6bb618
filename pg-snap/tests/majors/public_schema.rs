//! Who may create in schema public: what initdb gives PUBLIC there has changed with 15, and a pg_dump before 15
//! writes only what differs from it.

use super::cluster::started;
use super::{Cluster, at_once, releases};
use anyhow::{Context, Result, ensure};
use predicates::prelude::*;
use predicates::str::contains;
use std::process::Command;

/// The first major in which PUBLIC may not create in it.
const SINCE: u32 = 15;

/// Each makes a database with other rights.
const STATES: [(&str, &str); 5] = [
    ("untouched", "select"),
    ("dropped", "drop schema public cascade"),
    ("replaced", "drop schema public cascade; create schema public"),
    ("given", "alter schema public owner to migrator; revoke usage on schema public from public"),
    (
        "granted_on",
        "revoke all on schema public from public; grant usage on schema public to migrator with grant option;
         set role migrator; grant usage on schema public to public",
    ),
];

/// Whether it is there; by who has granted what to whom, except to the owner, whom initdb chooses by the major.
const RIGHTS: &str = "select (select count(*) from pg_namespace where nspname = 'public'),
    (select string_agg(format('%s=%s/%s', case grantee when 0 then 'PUBLIC' else grantee::regrole::text end,
      privilege_type, case grantor when nspowner then 'owner' else grantor::regrole::text end), ' ' order by grantee, privilege_type)
    from pg_namespace, aclexplode(nspacl) where nspname = 'public' and grantee <> nspowner)";

#[test]
fn rights_on_schema_public_are_those_of_the_source_in_its_own_major_and_newer_ones() -> Result<()> {
    let mut wanted = releases()?;
    let newest = wanted.last().context("no release")?.major;
    wanted.retain(|release| release.major < SINCE || release.major == newest);
    let clusters = started(wanted)?;
    let (older, newer): (Vec<_>, Vec<_>) =
        clusters.iter().partition(|cluster| cluster.release.major < SINCE);
    at_once(&clusters, |cluster| {
        cluster.server.psql("postgres", "create role migrator").map(drop)
    })?;
    at_once(&older, |cluster| {
        STATES.iter().try_for_each(|(database, make)| {
            cluster.server.psql("postgres", &format!("create database {database}"))?;
            cluster.server.psql(database, make)?;
            cluster.dump(database).map(drop)
        })
    })?;
    let targets = older.iter().map(|to| (to, vec![*to]));
    let targets: Vec<_> = targets.chain(newer.last().map(|to| (to, older.clone()))).collect();
    at_once(&targets, |(to, sources)| {
        sources.iter().try_for_each(|from| {
            STATES.iter().try_for_each(|(database, _)| same(from, database, to))
        })
    })
    .map(drop)
}

/// By our load, and by psql alone.
fn same(from: &Cluster, database: &str, to: &Cluster) -> Result<()> {
    let (copy, file) = (format!("{database}_of_{}", from.release.major), from.file(database));
    let what = format!("{copy} in {}", to.release.major);
    let wanted = from.server.psql(database, RIGHTS)?;
    to.pg_snap(&copy).arg("load").arg(&file).assert().success();
    let found = to.server.psql(&copy, RIGHTS)?;
    ensure!(found == wanted, "{what}: {found}, not {wanted}");
    if database != "untouched" {
        return Ok(());
    }
    to.server.psql(&copy, "set role migrator; create table public.made ()").context(what)?;
    let alone = format!("{copy}_alone");
    to.server.psql("postgres", &format!("create database {alone} template template0"))?;
    let text = Command::new("gunzip").arg("-c").arg(&file).output()?.stdout;
    // The machine's, which knows `\restrict`.
    let mut psql = Command::new("psql");
    psql.envs(to.server.env()).args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1"]);
    let psql = assert_cmd::Command::from_std({
        psql.args(["-d", &alone]);
        psql
    })
    .write_stdin(text)
    .assert();
    psql.success().stderr(predicate::str::is_empty());
    let found = to.server.psql(&alone, RIGHTS)?;
    ensure!(found == wanted, "{copy} by psql in {}: {found}, not {wanted}", to.release.major);
    Ok(())
}

/// Before 15, it is the first superuser's in every database.
#[test]
fn an_ordinary_role_is_warned_of_a_schema_public_that_it_may_not_drop() -> Result<()> {
    let mut wanted = releases()?;
    let newest = wanted.last().context("no release")?.major;
    wanted.retain(|release| release.major == SINCE - 1 || release.major == newest);
    for cluster in started(wanted)? {
        let major = cluster.release.major;
        let app = "create role app login createdb password 'x'; create database piprio owner app";
        cluster.server.psql("postgres", app)?;
        cluster.server.psql("piprio", "drop schema public; create schema own authorization app")?;
        let file = cluster.dump("piprio")?;
        let load = cluster.as_app("piprio").arg("load").arg(&file).assert().success();
        let is_warned = contains("this one has: only a superuser may drop it")
            .eval(&String::from_utf8_lossy(&load.get_output().stderr));
        let is_there =
            cluster.server.psql("piprio", "select to_regnamespace('public') is not null")?;
        ensure!(is_warned == (major < SINCE) && (is_there == "t") == is_warned, "{major}: {load}");
    }
    Ok(())
}

/// Before 15, the server answers its REVOKE with a warning, and its ALTER SCHEMA with an error.
#[test]
fn rights_on_public_that_an_ordinary_role_cannot_give_back_are_left_out() -> Result<()> {
    let mut wanted = releases()?;
    let newest = wanted.last().context("no release")?.major;
    wanted.retain(|release| release.major == SINCE - 1 || release.major == newest);
    for cluster in started(wanted)? {
        let is_older = cluster.release.major < SINCE;
        let app = "create role app login createdb password 'x'; create database piprio owner app;
                   create database untouched owner app; create database own owner app";
        cluster.server.psql("postgres", app)?;
        cluster.server.psql("piprio", "revoke create on schema public from public")?;
        cluster
            .server
            .psql("own", "alter schema public owner to app; comment on schema public is 'ours'")?;
        for (database, statement) in [
            ("piprio", Some("REVOKE CREATE ON SCHEMA public FROM PUBLIC;")),
            ("own", Some("ALTER SCHEMA public OWNER TO \"app\";")),
            ("untouched", None),
        ] {
            let file = cluster.dump(database)?;
            let left_out = file.with_extension("left-out");
            let mut load = cluster.as_app(database);
            load.args(["load", "--left-out"]).arg(&left_out).arg(&file);
            let Some(statement) = statement.filter(|_| is_older) else {
                load.assert().code(0);
                continue;
            };
            load.assert().code(3).stderr(contains("only a superuser may").and(contains(statement)));
            cluster.server.psql(database, &std::fs::read_to_string(&left_out)?)?;
            if database == "own" {
                // Nothing but the error shows it where the dump has no record of it, as one of pg_dump.
                let text = Command::new("gunzip").arg("-c").arg(&file).output()?.stdout;
                let text = String::from_utf8(text)?.replace("\"public_schema\"", "\"of_another_\"");
                let mut load = cluster.as_app(database);
                let load = load.args(["load", "-"]).write_stdin(text).assert().code(1);
                load.stderr(contains("ALTER SCHEMA public OWNER TO"));
            }
            cluster.as_app(database).arg("dump").assert().code(0);
        }
    }
    Ok(())
}
