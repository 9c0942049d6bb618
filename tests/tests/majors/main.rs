//! Dumps across PostgreSQL's majors: this machine's, and those that `scripts/postgres-majors.sh` has
//! fetched. What is missing is skipped, and said.

use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use pipe_kit::child;
use pipeline_tests::postgres::{self, Options, Release};
use pipeline_tests::{Postgres, likeness, tool};
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

mod oddities;

/// What the tests want beside this machine's own.
const WANTED: [u32; 6] = [13, 14, 15, 16, 17, 18];

struct Cluster {
    server: Postgres,
    release: Release,
    dir: TempDir,
}

/// Each major at hand, oldest first.
#[allow(clippy::print_stdout, reason = "a test tells what it skips")]
fn releases() -> Result<Vec<Release>> {
    let releases = Release::all()?;
    for major in WANTED.iter().filter(|major| !releases.iter().any(|r| r.major == **major)) {
        pipeline_tests::skipped!("PostgreSQL {major}: not here (scripts/postgres-majors.sh)");
    }
    Ok(releases)
}

/// A running cluster of each.
fn clusters() -> Result<Vec<Cluster>> {
    let start = |release: Release| {
        let (programs, clients) = (Some(release.programs.clone()), Some(release.clients.clone()));
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        Ok(Cluster { server, release, dir: tempfile::tempdir()? })
    };
    at_once(releases()?, start)
}

/// Does it with all at the same time; gives what came of each, in their order.
fn at_once<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    act: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let act = &act;
    std::thread::scope(|scope| {
        let all: Vec<_> = items.into_iter().map(|item| scope.spawn(move || act(item))).collect();
        let done = all
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.collect()
    })
}

/// Each of them with each of another, newer major.
fn upgrades(clusters: &[Cluster]) -> impl Iterator<Item = (&Cluster, &Cluster)> {
    let newer = |(at, from)| clusters[at + 1..].iter().map(move |to| (from, to));
    clusters.iter().enumerate().flat_map(newer)
}

const ROLES: &str = r#"
    create role app login createdb createrole password 'x'; create role tenant login;
    create role reader; create role "Odd ""R"" é" login;
    grant tenant to app; create database piprio owner app"#;

/// What an ordinary owner's database holds beside the fixture.
const CONTENTS: &str = r#"
    create schema t authorization tenant;
    set role tenant;
    create table t.t (id bigint generated always as identity primary key,
      twice bigint generated always as (id * 2) stored, note text not null default 'it''s');
    insert into t.t (note) select 'note ' || n from generate_series(1, 20) n;
    grant select on t.t to reader with grant option;
    alter default privileges in schema t grant select on tables to reader;
    select lo_from_bytea(4711, 'the tenant''s') \g /dev/null
    grant select on large object 4711 to reader;
    reset role;
    alter schema public owner to tenant;
    revoke connect on database piprio from public;
    grant connect, temp on database piprio to reader;
    grant create on database piprio to "Odd ""R"" é" with grant option;
    comment on database piprio is E'it''s\n-- a comment; \\! id';
    alter database piprio connection limit 17;
    alter role reader in database piprio set statement_timeout to '3s';
    alter database piprio set search_path to "$user", public, "Odd, Schema";
    alter database piprio set default_transaction_read_only to on"#;

/// What only later majors have.
const SINCE: [(u32, &str); 2] = [
    (17, "grant maintain on t.t to reader"),
    (
        18,
        "create table t.virtual (a integer, b integer generated always as (a * 2) virtual,
           constraint later check (a > 0) not enforced);
         insert into t.virtual values (3);
         alter table t.virtual add constraint there not null a not valid",
    ),
];

/// A load onto a server that is asked later may have made it there.
const ONLY_HERE: &str =
    "do $$ begin if not exists (select from pg_roles where rolname = 'only_here')
    then create role only_here; end if; end $$";

/// All of a server that a load could change but should not.
const WHOLE: &str = "select oid, datname, datdba from pg_database order by oid;
    select rolname, rolcanlogin from pg_roles order by rolname;
    select roleid, member from pg_auth_members order by 1, 2";

impl Cluster {
    /// Fills `piprio`, a database of `app`'s.
    fn fill(&self) -> Result<()> {
        self.server.psql("postgres", ROLES)?;
        let mut app = self.server.client("psql");
        app.env("PGUSER", "app").env("PGPASSWORD", "x");
        let variables = ["tenants=2", "docs=60"].map(str::to_owned);
        postgres::psql(app, "piprio", &variables, postgres::TENANTS)?;
        self.server.psql("piprio", CONTENTS)?;
        for (_, sql) in SINCE.iter().filter(|(major, _)| *major <= self.release.major) {
            let sql = format!("set default_transaction_read_only to off; set role tenant; {sql}");
            self.server.psql("piprio", &sql)?;
        }
        Ok(())
    }

    /// With this release's clients first on PATH.
    fn pg_snap(&self, database: &str) -> Command {
        let mut command = std::process::Command::new(tool("pg-snap"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.release.clients.display()));
        command.envs(self.server.env()).env("PGDATABASE", database).env("RUST_BACKTRACE", "0");
        Command::from_std(command)
    }

    fn as_app(&self, database: &str) -> Command {
        let mut command = self.pg_snap(database);
        command.env("PGUSER", "app").env("PGPASSWORD", "x");
        command
    }

    /// With no clients but this major's.
    fn only(&self, clients: &Cluster, database: &str) -> Command {
        let mut command = self.pg_snap(database);
        let path = format!("{}:/usr/bin:/bin", clients.release.clients.display());
        command.arg("--exec").arg(format!("env 'PATH={path}'"));
        command
    }

    fn dump(&self, database: &str) -> Result<PathBuf> {
        let out = self.pg_snap(database).arg("dump").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        std::fs::write(self.file(database), out.stdout)?;
        Ok(self.file(database))
    }

    /// Where [`Cluster::dump`] puts it.
    fn file(&self, database: &str) -> PathBuf {
        self.dir.path().join(format!("{database}.sql.gz"))
    }

    fn json(&self, database: &str, what: &[&str]) -> Result<serde_json::Value> {
        let out = self.pg_snap(database).args(what).arg("--json").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Ok(serde_json::from_slice(&out.stdout)?)
    }

    fn state(&self, database: &str) -> Result<String> {
        likeness::state(&self.server, database)
    }
}

/// The copy is the original, by the later major's pg_dump and by what lies outside the database.
fn assert_same(from: &Cluster, original: &str, to: &Cluster, copy: &str) -> Result<()> {
    let pg_dump = to.release.clients.join("pg_dump").display().to_string();
    let content = |cluster: &Cluster, database: &str| -> Result<Vec<String>> {
        let mut command = cluster.server.client(&pg_dump);
        let dump = child::capture(command.args(["-d", database]), "pg_dump")?;
        let text = postgres::canonical(&dump)?;
        let lines = text.lines().filter(|line| !line.starts_with("-- Dumped from "));
        // Since 16, a view of one table does not name it before each column.
        Ok(lines.map(|line| line.replace("documents.", "")).collect())
    };
    let (before, after) = (content(from, original)?, content(to, copy)?);
    let pair = format!("{} to {}", from.release.major, to.release.major);
    let differs = before.iter().zip(&after).find(|(before, after)| before != after);
    ensure!(differs.is_none() && before.len() == after.len(), "{pair}: {differs:?}");
    let (before, after) = (from.state(original)?, to.state(copy)?);
    ensure!(before == after, "{pair}: {before}\n{after}");
    Ok(())
}

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
    tells_the_same(&clusters)
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

/// Neither preflight nor load has changed anything when they say no.
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
fn tells_the_same(clusters: &[Cluster]) -> Result<()> {
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

#[test]
fn an_ordinary_role_that_may_create_databases_and_roles_loads_on_every_major() -> Result<()> {
    let (clusters, bare) = (clusters()?, clusters()?);
    let dumps = at_once(clusters.iter().zip(&bare), |(cluster, bare)| {
        cluster.fill()?;
        // The owner itself may dump all of it.
        cluster.as_app("piprio").arg("dump").assert().success();
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

/// Roles that another has made are not ours to change since 16, and the remedy told is one.
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
fn a_locale_provider_that_a_server_lacks_is_told_before_anything_is_changed() -> Result<()> {
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
            pipeline_tests::skipped!("ICU: PostgreSQL {} was built without it", from.release.major);
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
