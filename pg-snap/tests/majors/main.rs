//! Dumps across PostgreSQL's majors: this machine's, and those that `scripts/postgres-majors.sh` has
//! fetched. What is missing is skipped, and reported.

use anyhow::{Context, Result, ensure};
use pipe_kit::child;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use std::collections::BTreeSet;
use std::path::Path;
use test_kit::postgres::Release;

mod cases;
mod cluster;
mod extensions;
mod oddities;
mod older_server;
mod public_schema;
mod sections;

use cluster::{Cluster, ONLY_HERE, WHOLE, assert_same, at_once, clusters, releases, upgrades};

#[test]
fn a_dump_loads_into_its_own_major_and_every_newer_one_and_is_the_same_there() -> Result<()> {
    let clusters = clusters()?;
    at_once(&clusters, |cluster| {
        cluster.fill()?;
        kept_and_swapped_back(cluster, &cluster.dump("piprio")?)
    })?;
    at_once(clusters.iter().enumerate(), |(at, to)| {
        clusters[..at].iter().try_for_each(|from| upgraded(from, to))
    })?;
    for (from, to) in upgrades(&clusters) {
        refused(from, &to.file("piprio"), "cannot be loaded into an older major")?;
    }
    inspects_alike(&clusters)?;
    clusters.iter().enumerate().try_for_each(|(at, from)| report(&clusters, at, from))
}

/// A line of the matrix: what has just been shown of a release's dump.
fn report(clusters: &[Cluster], at: usize, from: &Cluster) -> Result<()> {
    let mut pg_dump = std::process::Command::new(from.release.clients.join("pg_dump"));
    let clients = child::capture(pg_dump.arg("--version"), "pg_dump")?;
    let clients = clients.split_whitespace().nth(2).unwrap_or_default();
    let server = from.server.psql("postgres", "show server_version")?;
    let server = server.split_whitespace().next().unwrap_or_default();
    let majors = |clusters: &[Cluster]| match clusters {
        [] => "none".to_owned(),
        some => some.iter().map(|c| c.release.major.to_string()).collect::<Vec<_>>().join(" "),
    };
    let (older, newer) = (majors(&clusters[..at]), majors(&clusters[at..]));
    test_kit::reported!(
        "majors: {server} by pg_dump {clients}: same in {newer}; refused by {older}"
    );
    Ok(())
}

/// From the one's dump to a copy on the other, newer one.
fn upgraded(from: &Cluster, to: &Cluster) -> Result<()> {
    let (copy, file) = (format!("from_{}", from.release.major), from.file("piprio"));
    let report = to.pg_snap(&copy).arg("preflight").arg(&file).assert().success();
    report.stdout(contains("Problems: 0"));
    to.pg_snap(&copy).arg("load").arg(&file).assert().success();
    assert_same(from, "piprio", to, &copy)?;
    let compare = to.pg_snap(&copy).arg("compare").arg(&file).assert().success();
    compare.stdout(starts_with("Same; "));
    let status = to.json(&copy, &["status"])?;
    let version = status["server_version"].as_str().unwrap_or_default();
    ensure!(version.starts_with(&format!("{}.", to.release.major)), "{status}");
    let schemas = status["schemas"].to_string();
    ensure!(schemas == r#"["public","t","tenant_0001","tenant_0002"]"#, "{schemas}");
    Ok(())
}

/// Neither preflight nor load has changed anything when they refuse.
fn refused(to: &Cluster, file: &Path, words: &str) -> Result<()> {
    let before = to.server.psql("postgres", WHOLE)?;
    for verb in ["preflight", "load"] {
        let message = to.pg_snap("piprio").arg(verb).arg(file).assert().code(5);
        message.stderr(contains(words));
    }
    ensure!(to.server.psql("postgres", WHOLE)? == before, "the server changed");
    Ok(())
}

/// Onto the database that was dumped.
fn kept_and_swapped_back(cluster: &Cluster, file: &Path) -> Result<()> {
    let server = &cluster.server;
    let whole = server.dump("piprio")?;
    let changed = "set default_transaction_read_only to off; drop schema tenant_0001 cascade";
    server.psql("piprio", changed)?;
    let changed = server.dump("piprio")?;
    cluster.pg_snap("piprio").args(["load", "--keep-previous"]).arg(file).assert().success();
    ensure!(server.dump("piprio")? == whole, "the load of {}", cluster.release.major);
    cluster.pg_snap("piprio").arg("compare").arg(file).assert().success();
    cluster.pg_snap("piprio").args(["previous", "swap"]).assert().success();
    let differs = cluster.pg_snap("piprio").arg("compare").arg(file).assert().code(1);
    differs.stdout(contains("schema tenant_0001: missing\n"));
    ensure!(server.dump("piprio")? == changed, "the swap of {}", cluster.release.major);
    cluster.pg_snap("piprio").args(["previous", "swap"]).assert().success();
    cluster.pg_snap("piprio").args(["previous", "drop"]).assert().success();
    ensure!(server.dump("piprio")? == whole, "the drop of {}", cluster.release.major);
    let beside = cluster.json("piprio", &["status"])?["beside"].to_string();
    ensure!(beside == "[]", "{beside}");
    Ok(())
}

/// Whatever major has written a dump, `inspect` finds in it the fixture's tables and rows.
fn inspects_alike(clusters: &[Cluster]) -> Result<()> {
    let mut outcome = BTreeSet::new();
    for cluster in clusters {
        let file = cluster.file("piprio");
        let report = cluster.json("piprio", &["inspect", file.to_str().context("a path")?])?;
        ensure!(report["complete"] == true, "{report}");
        let tables = report["tables"].as_array().context("tables")?.iter();
        let fixture = tables.filter(|table| table["schema"] != "t");
        outcome.insert(fixture.map(|t| format!("{t}\n")).collect::<String>());
    }
    ensure!(outcome.len() == 1, "{outcome:?}");
    Ok(())
}

/// A client and a server of different minor releases: what the server sets for itself may reach the dump.
#[test]
fn options_that_a_server_sets_for_itself_reach_no_other_server() -> Result<()> {
    let clusters = clusters()?;
    let newest = clusters.last().context("no cluster")?;
    let option = "ALTER TABLE ONLY public.t ALTER COLUMN a SET (";
    at_once(&clusters, |cluster| {
        cluster.server.psql("postgres", "create database piprio")?;
        cluster.server.psql("piprio", "create table t as select 7 as a; alter table t alter a set (n_distinct=1)")?;
        let file = cluster.dump_by(newest, "piprio")?;
        let text = child::capture(std::process::Command::new("gunzip").arg("-c").arg(&file), "gunzip")?;
        ensure!(text.contains(&format!("{option}n_distinct=1);\n")), "{text}");
        ensure!(!text.contains("pg_attver"), "{text}");
        // As a pg_dump of a release before the server's writes it.
        let both = text.replace(option, &format!("{option}pg_attver=4711, "));
        let alone = format!("{option}pg_attver=4711);\n{option}n_distinct=1);\n");
        let alone = text.replace(&format!("{option}n_distinct=1);\n"), &alone);
        for (name, dump) in [("both", both), ("alone", alone)] {
            cluster.pg_snap(name).arg("load").write_stdin(dump).assert().success();
            let options = cluster.server.psql(name, "select attoptions from pg_attribute where attrelid = 't'::regclass and attname = 'a'")?;
            ensure!(options.contains("n_distinct=1") && !options.contains("4711"), "{options}");
        }
        Ok(())
    })
    .map(drop)
}

#[test]
fn an_ordinary_role_that_may_create_databases_and_roles_loads_on_every_major() -> Result<()> {
    let (clusters, bare) = (clusters()?, clusters()?);
    let dumps = at_once(clusters.iter().zip(&bare), |(cluster, bare)| {
        cluster.fill()?;
        // The owner itself may dump all of it.
        let dumped = cluster.as_app("piprio").arg("dump").assert().success();
        dumped.stderr(contains("is incomplete").not());
        bare.server.psql("postgres", "create role app login createdb createrole password 'x'")?;
        cluster.dump("piprio")
    })?;
    // Before 15, a database's owner may not give its schema public away.
    at_once(bare.iter().filter(|to| to.release.major >= 15), |to| {
        let older = |from: &&Cluster| from.release.major <= to.release.major;
        for from in clusters.iter().filter(older) {
            // With the roles missing on the first, and there, made by a load, from then on.
            let (copy, file) = (format!("from_{}", from.release.major), from.file("piprio"));
            to.as_app(&copy).arg("preflight").arg(&file).assert().success();
            to.as_app(&copy).arg("load").arg(&file).assert().success();
            assert_same(from, "piprio", to, &copy)?;
        }
        Ok(())
    })?;
    let own = clusters.iter().zip(&dumps).filter(|(cluster, _)| cluster.release.major >= 15);
    at_once(own, |(cluster, file)| needs_admin(cluster, file)).map(drop)
}

/// Roles that another has made are not ours to change since 16, and the printed remedy works.
fn needs_admin(cluster: &Cluster, file: &Path) -> Result<()> {
    let before = cluster.server.psql("postgres", WHOLE)?;
    let load = || cluster.as_app("piprio").arg("load").arg(file).assert();
    if cluster.release.major >= 16 {
        let remedy = "GRANT \"reader\" TO \"app\" WITH ADMIN OPTION;";
        load().code(5).stderr(contains(remedy));
        ensure!(cluster.server.psql("postgres", WHOLE)? == before, "the server changed");
        cluster.server.psql("postgres", remedy)?;
    }
    load().success();
    Ok(())
}

#[test]
fn only_older_clients_are_refused_and_only_newer_ones_serve() -> Result<()> {
    let mut clusters = clusters()?;
    clusters.retain(|cluster| cluster.release.has_own_clients());
    for cluster in &clusters {
        cluster.server.create_tenants("piprio", 1, 30)?;
    }
    for (older, newer) in upgrades(&clusters) {
        let dump = newer.only(older, "piprio").arg("dump").assert().code(1).stdout("");
        let (server, client) = (newer.release.major, older.release.major);
        let versions = format!("the server is PostgreSQL {server}.");
        let pg_dump = format!("every pg_dump found is older: {client}.");
        dump.stderr(contains(versions).and(contains(pg_dump)));

        let out = older.only(newer, "piprio").arg("dump").output()?;
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success() && message.contains("no pg_dump"), "{message}");
        // Its own clients alone read what the newer has written.
        let copy = format!("by_{server}");
        older.only(older, &copy).arg("load").write_stdin(out.stdout).assert().success();
        assert_same(older, "piprio", older, &copy)?;
    }
    Ok(())
}

#[test]
fn a_locale_provider_that_a_server_lacks_is_reported_before_anything_is_changed() -> Result<()> {
    let clusters = clusters()?;
    for (at, from) in clusters.iter().enumerate().filter(|(_, from)| from.release.major >= 15) {
        from.server.psql("postgres", ONLY_HERE)?;
        let create = |name: &str, options: &str| {
            let of = "owner only_here template template0 locale_provider";
            from.server.psql("postgres", &format!("create database {name} {of} {options}"))
        };
        if from.release.major >= 17 {
            create("builtin", "builtin builtin_locale 'C.UTF-8'")?;
            let file = from.dump("builtin")?;
            from.pg_snap("copy").arg("load").arg(file).assert().success();
            assert_same(from, "builtin", from, "copy")?;
        }
        if !has_icu(from)? {
            test_kit::skipped!("ICU: PostgreSQL {} was built without it", from.release.major);
            continue;
        }
        create("icu", "icu icu_locale 'de-DE'")?;
        let file = from.dump("icu")?;
        for to in &clusters[at..] {
            if has_icu(to)? {
                to.pg_snap("icu_copy").arg("load").arg(&file).assert().success();
                assert_same(from, "icu", to, "icu_copy")?;
            } else {
                refused(to, &file, "the server has no ICU")?;
            }
        }
    }
    Ok(())
}

/// By trying.
fn has_icu(cluster: &Cluster) -> Result<bool> {
    let make = "create collation if not exists tried (provider = icu, locale = 'de')";
    match cluster.server.psql("postgres", make) {
        Err(error) if format!("{error:#}").contains("not supported in this build") => Ok(false),
        answer => answer.map(|_| true),
    }
}

/// Since 17, indexes are built and materialized views are filled under a search path of their own.
#[test]
fn names_that_need_the_sources_search_path_are_found_by_both_loads() -> Result<()> {
    let clusters = clusters()?;
    at_once(&clusters, |cluster| {
        let server = &cluster.server;
        server.psql("postgres", "create database piprio")?;
        server.psql("piprio", "alter database piprio set search_path = public, lib")?;
        server.psql(
            "piprio",
            "create schema lib; create schema app;
             create function lib.plain(t text) returns text language plpgsql immutable as 'begin return t; end';
             create function public.slug(t text) returns text language plpgsql immutable as 'begin return plain(t); end';
             create table app.t (id int generated always as identity, a text,
               b text generated always as (public.slug(a)) stored); insert into app.t (a) values ('x'), ('y')",
        )?;
        if cluster.release.major < 17 {
            server.psql("piprio", "create index by_slug on app.t (public.slug(a));
                create materialized view app.m as select public.slug(a) as slug from app.t")?;
        } else {
            server.psql("piprio", "alter function public.slug set search_path = public, lib;
                create index by_slug on app.t (public.slug(a));
                create materialized view app.m as select public.slug(a) as slug from app.t;
                alter function public.slug reset search_path")?;
        }
        let file = cluster.dump("piprio")?;
        let whole = server.dump("piprio")?;
        let path = contains("by_slug is created under the search path 'public', 'lib'");
        let load = cluster.pg_snap("piprio").arg("load").arg(&file).assert().success();
        load.stderr(path.clone());
        ensure!(server.dump("piprio")? == whole, "the load of {}", cluster.release.major);
        let mut load = cluster.pg_snap("piprio");
        load.args(["load", "--schema", "app"]).arg(&file).assert().success().stderr(path);
        let kept = "select quote_ident(nspname) from pg_namespace where nspname ~ '^app_before'";
        let kept = server.psql("piprio", kept)?;
        server.psql("piprio", &format!("drop schema {kept} cascade"))?;
        ensure!(server.dump("piprio")? == whole, "the schema of {}", cluster.release.major);
        Ok(())
    })
    .map(drop)
}

#[test]
fn settings_that_only_one_of_two_majors_knows_do_not_keep_a_dump_from_loading() -> Result<()> {
    let clusters = clusters()?;
    for (from, to) in upgrades(&clusters) {
        let copy = format!("from_{}", from.release.major);
        from.server.psql("postgres", &format!("create database {copy}"))?;
        if from.release.major < 16 {
            let alter = format!(
                "alter database {copy} set force_parallel_mode to on; alter database {copy} set work_mem to '7MB'"
            );
            from.server.psql("postgres", &alter)?;
        }
        // Slower than the limit that is set below.
        let slow = "create materialized view slow as select 1 as i from (select pg_sleep(1)) s";
        from.server.psql(&copy, slow)?;
        let file = from.dump(&copy)?;
        if to.release.major >= 17 {
            to.server.psql("postgres", "alter role piprio set transaction_timeout to '500ms'")?;
        }
        let preflight = to.pg_snap(&copy).arg("preflight").arg(&file).assert().success();
        let load = to.pg_snap(&copy).arg("load").arg(&file).assert().success();
        to.server.psql("postgres", "alter role piprio reset all")?;
        if from.release.major < 16 && to.release.major >= 16 {
            let words = "force_parallel_mode, which PostgreSQL";
            preflight.stdout(contains(words));
            load.stderr(contains(words));
            ensure!(to.server.psql(&copy, "show work_mem")? == "7MB");
        }
        from.server.psql("postgres", &format!("drop database {copy}"))?;
    }
    Ok(())
}
