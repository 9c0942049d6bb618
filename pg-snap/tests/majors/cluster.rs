//! A cluster of each PostgreSQL major at hand, and what its database holds.

use anyhow::{Result, ensure};
use assert_cmd::Command;
use pipe_kit::child;
use std::path::PathBuf;
use tempfile::TempDir;
use test_kit::postgres::{self, Options, Release};
use test_kit::{Postgres, likeness, tool};

/// What the tests want beside this machine's own.
const WANTED: [u32; 6] = [13, 14, 15, 16, 17, 18];

pub struct Cluster {
    pub server: Postgres,
    pub release: Release,
    pub dir: TempDir,
}

/// Each major at hand, oldest first.
#[allow(clippy::print_stdout, reason = "a test reports what it skips")]
pub fn releases() -> Result<Vec<Release>> {
    let releases = Release::all()?;
    for major in WANTED.iter().filter(|major| !releases.iter().any(|r| r.major == **major)) {
        test_kit::skipped!("PostgreSQL {major}: not here (scripts/postgres-majors.sh)");
    }
    Ok(releases)
}

/// A running cluster of each.
pub fn clusters() -> Result<Vec<Cluster>> {
    started(releases()?)
}

/// A running cluster of each of these.
pub fn started(releases: Vec<Release>) -> Result<Vec<Cluster>> {
    let start = |release: Release| {
        let (programs, clients) = (Some(release.programs.clone()), Some(release.clients.clone()));
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        Ok(Cluster { server, release, dir: tempfile::tempdir()? })
    };
    at_once(releases, start)
}

/// Does it with all at the same time; gives what came of each, in their order.
pub fn at_once<T: Send, R: Send>(
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
pub fn upgrades(clusters: &[Cluster]) -> impl Iterator<Item = (&Cluster, &Cluster)> {
    let newer = |(at, from)| clusters[at + 1..].iter().map(move |to| (from, to));
    clusters.iter().enumerate().flat_map(newer)
}

pub const ROLES: &str = r#"
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
pub const ONLY_HERE: &str =
    "do $$ begin if not exists (select from pg_roles where rolname = 'only_here')
    then create role only_here; end if; end $$";

/// All of a server that a load could change but should not.
pub const WHOLE: &str = "select oid, datname, datdba from pg_database order by oid;
    select rolname, rolcanlogin from pg_roles order by rolname;
    select roleid, member from pg_auth_members order by 1, 2";

impl Cluster {
    /// Fills `piprio`, a database of `app`'s.
    pub fn fill(&self) -> Result<()> {
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
    pub fn pg_snap(&self, database: &str) -> Command {
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

    pub fn as_app(&self, database: &str) -> Command {
        let mut command = self.pg_snap(database);
        command.env("PGUSER", "app").env("PGPASSWORD", "x");
        command
    }

    /// Dumps with the clients of another release.
    pub fn dump_by(&self, clients: &Cluster, database: &str) -> Result<PathBuf> {
        let out = self.only(clients, database).arg("dump").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let file = format!("{database}_by_{}.sql.gz", clients.release.major);
        let file = self.dir.path().join(file);
        std::fs::write(&file, out.stdout)?;
        Ok(file)
    }

    /// With no clients but this major's.
    pub fn only(&self, clients: &Cluster, database: &str) -> Command {
        let mut command = self.pg_snap(database);
        let path = format!("{}:/usr/bin:/bin", clients.release.clients.display());
        command.arg("--exec").arg(format!("env 'PATH={path}'"));
        command
    }

    pub fn dump(&self, database: &str) -> Result<PathBuf> {
        let out = self.pg_snap(database).arg("dump").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        std::fs::write(self.file(database), out.stdout)?;
        Ok(self.file(database))
    }

    /// Where [`Cluster::dump`] puts it.
    pub fn file(&self, database: &str) -> PathBuf {
        self.dir.path().join(format!("{database}.sql.gz"))
    }

    pub fn json(&self, database: &str, what: &[&str]) -> Result<serde_json::Value> {
        let out = self.pg_snap(database).args(what).arg("--json").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Ok(serde_json::from_slice(&out.stdout)?)
    }

    pub fn state(&self, database: &str) -> Result<String> {
        likeness::state(&self.server, database)
    }
}

/// The copy is the original, by the later major's pg_dump and by what lies outside the database.
pub fn assert_same(from: &Cluster, original: &str, to: &Cluster, copy: &str) -> Result<()> {
    let pg_dump = to.release.clients.join("pg_dump").display().to_string();
    let content = |cluster: &Cluster, database: &str| -> Result<Vec<String>> {
        let mut command = cluster.server.client(&pg_dump);
        let dump = child::capture(command.args(["-d", database]), "pg_dump")?;
        let text = postgres::canonical(&dump)?;
        let lines = text.lines().filter(|line| !line.starts_with("-- Dumped from "));
        // A pg_dump from before the server's minor release writes what that server sets for itself.
        let lines = lines.filter(|line| !line.contains(" SET (pg_attver="));
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
