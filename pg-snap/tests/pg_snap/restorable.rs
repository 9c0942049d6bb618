//! On every major of PostgreSQL: what a dump with an empty search path, other settings and rows that do
//! not fit loads to, and a dump of an older major on a newer one.

use crate::kit::pg_snap;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use test_kit::Postgres;
use test_kit::postgres::{Options, Release};

/// On every major.
const CONTENTS: &str = "
    create schema lib;
    create function lib.plain(t text) returns text language plpgsql immutable
      as $$ begin return lower(t); end $$;
    create function public.slug(t text) returns text language plpgsql immutable
      as $$ begin return plain(t); end $$;
    create function lib.same(json, json) returns boolean language sql immutable
      as $$ select $1::text = $2::text $$;
    create operator lib.= (function = lib.same, leftarg = json, rightarg = json);
    create table public.generated (id int primary key, title text,
      slug text generated always as (public.slug(title)) stored);
    insert into generated (id, title) values (1, 'A'), (2, 'B');
    create table public.pairs (id int primary key, p json, check (p is distinct from '[9]'::json));
    insert into pairs values (1, '[1]');
    create table public.fee (id int primary key, amount money, words text[]);
    insert into fee values (1, 1234.56::numeric::money, array['a', null]), (2, (-0.99)::numeric::money, array['NULL']);
    create table public.a_rates (code text primary key, rate numeric);
    insert into a_rates values ('a', 1), ('b', 2);
    create function public.rate_of(code text) returns numeric language sql immutable
      as $$ select rate from public.a_rates r where r.code = $1 $$;
    create table public.computed (code text, rate numeric generated always as (public.rate_of(code)) stored);
    insert into computed select case n % 2 when 0 then 'a' else 'b' end from generate_series(1, 5000) n;
    create table public.customer (id int primary key);
    create table public.invoice (id int primary key, customer int constraint has_customer references customer);
    alter table invoice disable trigger all;
    insert into invoice values (1, 424242);
    alter table invoice enable trigger all;";
/// Up to 16: later majors build indexes and fill views under a path of their own.
const UNDER_THE_SESSIONS_PATH: &str = "
    create index by_slug on generated (public.slug(title));
    create materialized view public.slugs as select id, public.slug(title) as slug from generated;";
/// From 14 on.
const ATOMIC: &str = "
    create table public.booking (id int primary key, \"begin\" timestamptz);
    create function public.starts(int) returns timestamptz language sql stable
      begin atomic select \"begin\" from public.booking where id = $1; end;
    create table public.after_it (id int primary key);";

const SEEN: &str = "set datestyle = iso; set lc_monetary = 'C';
    select (select string_agg(slug, ',' order by id) from public.generated), (select count(*) from public.pairs),
      (select string_agg(amount::text || words::text, ' ' order by id) from public.fee),
      (select count(*) from public.invoice), (select sum(rate) from public.computed)";

struct Scene {
    server: Postgres,
    dir: tempfile::TempDir,
    path: String,
    major: u32,
}

impl Scene {
    fn new(release: &Release, newest: &Path) -> Result<Self> {
        let (programs, clients) = (Some(release.programs.clone()), Some(release.clients.clone()));
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        let path = format!("{}:{}", newest.display(), std::env::var("PATH")?);
        Ok(Self { server, dir: tempfile::tempdir()?, path, major: release.major })
    }

    fn fill(&self) -> Result<PathBuf> {
        self.server.psql("postgres", "create database piprio template template0")?;
        let set = "alter database piprio set search_path = public, lib; alter database piprio set array_nulls = off";
        self.server.psql("postgres", set)?;
        let more = if self.major <= 16 { UNDER_THE_SESSIONS_PATH } else { "" };
        let atomic = if self.major >= 14 { ATOMIC } else { "" };
        let sql = format!("set search_path = public, lib; {CONTENTS} {more} {atomic}");
        self.server.psql("piprio", &sql)?;
        let file = self.dir.path().join("d.sql.gz");
        let out = pg_snap(&self.server, "piprio").env("PATH", &self.path).arg("dump").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        std::fs::write(&file, out.stdout)?;
        Ok(file)
    }

    /// Loads where no database is to fall back on; all but the orphan's key comes back.
    fn loads(&self, file: &Path, database: &str, wanted: &str) -> Result<String> {
        let mut load = pg_snap(&self.server, database);
        let out = load.env("PATH", &self.path).arg("load").arg(file).output()?;
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.code() == Some(3), "PostgreSQL {}: {log}", self.major);
        ensure!(log.contains("has_customer") && log.contains("424242"), "{log}");
        let left_out =
            log.lines().filter(|l| l.contains("left out: ") || l.contains("not validated: "));
        ensure!(left_out.count() == 1, "PostgreSQL {}: {log}", self.major);
        let seen = self.server.psql(database, SEEN)?;
        ensure!(seen == wanted, "PostgreSQL {}: {seen} instead of {wanted}", self.major);
        Ok(log)
    }
}

#[test]
fn on_every_major_and_onto_newer_ones_a_dump_loads_to_what_was_there() -> Result<()> {
    let releases = Release::all()?;
    let newest = releases.iter().rev().find(|release| release.has_own_clients());
    let newest = newest.context("no clients")?.clients.clone();
    for wanted in 13..=18 {
        if !releases.iter().any(|release| release.major == wanted) {
            test_kit::skipped!("PostgreSQL {wanted} is not on this machine");
        }
    }
    let first = releases.iter().find(|release| release.major <= 16).context("no older major")?;
    let older = Scene::new(first, &newest)?;
    let older_dump = older.fill()?;
    let older_seen = older.server.psql("piprio", SEEN)?;
    let try_on = |release: &Release| -> Result<()> {
        let scene = Scene::new(release, &newest)?;
        let file = scene.fill()?;
        let seen = scene.server.psql("piprio", SEEN)?;
        ensure!(seen.starts_with("a,b|1|"), "{seen}");
        scene.loads(&file, "copy", &seen)?;
        if release.major >= 14 {
            ensure!(scene.server.psql("copy", "select count(*) from public.after_it")? == "0");
        }
        let log = scene.loads(&older_dump, "of_older", &older_seen)?;
        for object in ["by_slug", "slugs", "generated", "pairs"] {
            let line = log.lines().find(|l| l.contains(object) && l.contains("search path"));
            ensure!(
                line.is_some(),
                "PostgreSQL {}: {object} is not reported: {log}",
                release.major
            );
        }
        let there = "select (select count(*) from pg_indexes where indexname = 'by_slug') || ' ' || (select count(*) from public.slugs) \
             || ' ' || (select count(*) from pg_proc where proconfig::text like '%search_path%' and pronamespace = 'public'::regnamespace)";
        ensure!(scene.server.psql("of_older", there)? == "1 2 0", "PostgreSQL {}", release.major);
        Ok(())
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = releases
            .iter()
            .map(|release| {
                scope.spawn(|| try_on(release).with_context(|| format!("{}", release.major)))
            })
            .collect();
        all.into_iter()
            .try_for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
