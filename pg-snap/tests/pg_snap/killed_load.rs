//! A load of which something is killed: it fails, the old database is as it was, and nothing of it
//! stays.

use crate::kit::*;
use crate::running::*;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use tempfile::TempDir;
use test_kit::Postgres;
use test_kit::likeness::{content, ensure_alike};
use test_kit::process::wait_until;

/// What makes a load stand there, once the function that it calls has to wait.
const STAGES: [(&str, &str); 3] = [
    (
        "rows",
        "create table held (id integer check (gate(id) > 0)); insert into held values (1), (2)",
    ),
    ("indexes", "create table held as select 1 as id; create index on held (gate(id))"),
    ("views", "create materialized view held as select gate(id) from small"),
];

const TABLES: &str = "
    -- It waits for a file in the server's directory: no lock reaches a database that is not there yet.
    create function gate(n integer) returns integer language plpgsql immutable as $$
    begin
      while (pg_catalog.pg_stat_file('gate', true)).size is not null loop perform pg_catalog.pg_sleep(0.1); end loop;
      return n;
    end $$;
    create table small (id integer primary key, t text);
    insert into small select n, md5(n::text) from generate_series(1, 1000) n;
    create table refers (id integer references small);
    insert into refers select id from small;
    create index on small (t);
    create view seen as select id, t from small group by id";
const ASLEEP: &str = "application_name = 'piprio_pg_snap_incoming' and wait_event = 'PgSleep'";

struct Scene {
    server: Postgres,
    dir: TempDir,
    /// Of the old database.
    before: String,
}

impl Scene {
    fn new() -> Result<Self> {
        let server = Postgres::start()?;
        let dir = tempfile::tempdir()?;
        for (stage, sql) in STAGES {
            server.psql("postgres", &format!("create database {stage}"))?;
            server.psql(stage, &format!("{TABLES};\n{sql}"))?;
            dump_to(&server, stage, &[], &dir.path().join(stage))?;
        }
        server.create_tenants("piprio", 1, 20)?;
        server.psql("postgres", "comment on database piprio is 'the old one'")?;
        // Killed, a server would otherwise set its sequences some values ahead.
        server.psql("postgres", "checkpoint")?;
        let before = content(&server, None, "piprio")?;
        Ok(Self { server, dir, before })
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn start(&self, stage: &str) -> Result<Running> {
        let file = self.dir.path().join(stage).display().to_string();
        Running::start(&self.server, &["load", "--jobs", "2", &file], self.out())
    }

    /// A load that stands where that stage is.
    fn at(&self, stage: &str) -> Result<Running> {
        self.server.psql("postgres", "copy (select 1) to program 'cat > gate'")?;
        let load = self.start(stage)?;
        settled(&self.server, LOADS).context(stage.to_owned())?;
        Ok(load)
    }

    /// Lets it continue.
    fn release(&self) -> Result<()> {
        self.server
            .psql("postgres", "copy (select 1) to program 'cat > /dev/null; rm -f gate'")
            .map(drop)
    }

    fn ensure_old(&self, what: &str) -> Result<()> {
        wait_for_sessions(&self.server, LOADS, 0).context(what.to_owned())?;
        let databases = databases(&self.server)?;
        ensure!(databases == "indexes piprio postgres rows views", "{what}: {databases}");
        ensure_alike(&self.before, &content(&self.server, None, "piprio")?, what)
    }

    fn ensure_failed(&self, load: &mut Running, what: &str) -> Result<()> {
        let code = load.code().with_context(|| what.to_owned())?;
        ensure!(code == Some(1), "{what}: {code:?} {}", load.stderr());
        let stderr = load.stderr();
        // What was loaded by then may be reported, too.
        let failures = stderr.lines().filter(|line| !line.contains(" under the search path "));
        ensure!(failures.count() == 1, "{what}: {stderr}");
        self.ensure_old(what)
    }

    /// Without interference, the same dump loads.
    fn ensure_loads(&self, stage: &str) -> Result<()> {
        let mut load = self.start(stage)?;
        ensure!(load.code()? == Some(0), "{stage}: {}", load.stderr());
        wait_for_sessions(&self.server, LOADS, 0)?;
        let wanted = content(&self.server, None, stage)?;
        ensure_alike(&wanted, &content(&self.server, None, "piprio")?, stage)
    }
}

#[test]
fn any_session_that_is_ended_at_any_stage_fails_the_load_and_the_old_database_stays() -> Result<()>
{
    let scene = Scene::new()?;
    for (stage, _) in STAGES {
        let mut nth = 0;
        loop {
            let mut load = scene.at(stage)?;
            let sessions = sessions(&scene.server, LOADS)?;
            let Some(session) = sessions.get(nth) else {
                load.signal("TERM")?;
                ensure!(load.code()? == Some(143), "{stage}: {}", load.stderr());
                scene.ensure_old(stage)?;
                scene.release()?;
                break;
            };
            let query = format!(
                "select datname || ': ' || query from pg_stat_activity where pid = {session}"
            );
            let query = scene.server.psql("postgres", &query)?;
            let ended = terminate(&scene.server, *session)?;
            scene.release()?;
            ensure!(ended, "{stage}, session {nth} had ended by itself");
            scene.ensure_failed(&mut load, &format!("{stage}, session {nth}, {query}"))?;
            nth += 1;
        }
        println!("{stage}: each of {nth} sessions ended");
        ensure!(nth > 1);
    }
    Ok(())
}

#[test]
fn any_client_that_is_killed_at_any_stage_fails_the_load_and_the_old_database_stays() -> Result<()>
{
    let scene = Scene::new()?;
    for (stage, _) in STAGES {
        let mut nth = 0;
        loop {
            let mut load = scene.at(stage)?;
            let clients = load.clients()?;
            let Some(client) = clients.get(nth) else {
                load.signal("INT")?;
                ensure!(load.code()? == Some(130), "{stage}: {}", load.stderr());
                scene.ensure_old(stage)?;
                scene.release()?;
                break;
            };
            signal(*client, "KILL")?;
            wait_until("the client's end", || Ok(!load.clients()?.contains(client)))?;
            scene.release()?;
            scene.ensure_failed(&mut load, &format!("{stage}, client {nth}"))?;
            nth += 1;
        }
        println!("{stage}: each of {nth} clients killed");
        ensure!(nth > 1);
    }
    Ok(())
}

#[test]
fn a_server_that_is_killed_at_any_stage_has_the_old_database_when_it_is_up_again() -> Result<()> {
    let mut scene = Scene::new()?;
    for (stage, _) in STAGES {
        let mut load = scene.at(stage)?;
        scene.server.kill_hard()?;
        let code = load.code()?;
        ensure!(code == Some(1), "{stage}: {code:?} {}", load.stderr());
        scene.server.start_again()?;
        scene.release()?;
        ensure_alike(&scene.before, &content(&scene.server, None, "piprio")?, stage)?;
        scene.ensure_loads(stage)?;
        scene.before = content(&scene.server, None, "piprio")?;
        scene.ensure_old(stage)?;
        scene.server.psql("postgres", "checkpoint")?;
    }
    Ok(())
}

#[test]
fn what_a_killed_load_left_is_ended_by_the_next_and_that_one_is_right() -> Result<()> {
    let mut scene = Scene::new()?;
    for (stage, _) in STAGES {
        let mut load = scene.at(stage)?;
        load.signal("KILL")?;
        ensure!(load.code()?.is_none(), "{stage}");
        let left = sessions(&scene.server, ASLEEP)?;
        ensure!(!left.is_empty(), "{stage}: nothing was left");
        ensure_alike(&scene.before, &content(&scene.server, None, "piprio")?, stage)?;
        let mut next = scene.start(stage)?;
        let left: Vec<String> = left.iter().map(u32::to_string).collect();
        wait_for_sessions(&scene.server, &format!("pid in ({})", left.join(", ")), 0)?;
        scene.release()?;
        ensure!(next.code()? == Some(0), "{stage}: {}", next.stderr());
        let wanted = content(&scene.server, None, stage)?;
        ensure_alike(&wanted, &content(&scene.server, None, "piprio")?, stage)?;
        scene.before = wanted;
        scene.ensure_old(stage)?;
    }
    Ok(())
}

#[test]
fn a_session_that_is_ended_at_any_moment_leaves_the_old_database_or_the_new() -> Result<()> {
    const MOMENTS: u32 = 8;
    let scene = Scene::new()?;
    scene.server.create_tenants("fresh", 5, 400)?;
    let file = scene.dir.path().join("fresh");
    dump_to(&scene.server, "fresh", &[], &file)?;
    let new = content(&scene.server, None, "fresh")?;
    scene.server.psql("postgres", "drop database fresh")?;
    let time = std::time::Instant::now();
    ensure!(scene.start("fresh")?.code()? == Some(0));
    let time = time.elapsed();
    let mut failed = 0;
    for moment in 0..MOMENTS {
        scene.server.psql("piprio", "create table if not exists public.old ()")?;
        let old = content(&scene.server, None, "piprio")?;
        let mut load = scene.start("fresh")?;
        std::thread::sleep(time * moment / MOMENTS);
        let any = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where {LOADS} order by md5(pid::text || {moment}) limit 1"
        );
        scene.server.psql("postgres", &any)?;
        let (code, what) = (load.code()?, format!("moment {moment}: {}", load.stderr()));
        let there = content(&scene.server, None, "piprio")?;
        match code {
            Some(0) => ensure_alike(&new, &there, &what)?,
            // After the swap, the news of it may be lost, or the old database's removal.
            _ if there == new => ensure!(load.stderr().contains("in place"), "{what}"),
            _ => ensure_alike(&old, &there, &what)?,
        }
        failed += u32::from(code != Some(0));
        wait_for_sessions(&scene.server, LOADS, 0)?;
        let outgoing = "piprio_pg_snap_outgoing";
        let databases = databases(&scene.server)?.replace(&format!("{outgoing} "), "");
        ensure!(databases == "indexes piprio postgres rows views", "{what}: {databases}");
        // A database that is still there is named.
        let there = format!("select count(*) from pg_database where datname = '{outgoing}'");
        let named = load.stderr().contains(outgoing);
        ensure!(named == (scene.server.psql("postgres", &there)? == "1"), "{what}");
    }
    println!("a session ended at {MOMENTS} moments: not loaded {failed} times");
    Ok(())
}
