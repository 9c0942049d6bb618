//! A dump of which something is killed: it fails, what it wrote is no dump, and no session stays.

use crate::kit::*;
use crate::running::*;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use tempfile::TempDir;
use test_kit::Postgres;
use test_kit::extension::Extended;
use test_kit::likeness::{content, ensure_alike};
use test_kit::postgres::{self, Options};
use test_kit::process::wait_until;

/// Where a dump can be made to stand, and what holds it up there.
struct Stage {
    name: &'static str,
    hold: &'static str,
}

const STAGES: [Stage; 4] = [
    // The session with the snapshot, which asks for every table's size.
    Stage { name: "listing", hold: "begin; lock table gate" },
    // pg_dump, which alone locks partitioned tables themselves.
    Stage { name: "definitions", hold: "begin; lock table only parted" },
    // Both workers, each within a COPY, whose condition they have to wait for.
    Stage { name: "rows", hold: "select pg_advisory_lock(4711)" },
    Stage { name: "sequences", hold: "begin; alter sequence numbers rename to renamed" },
];

const TABLES: &str = "
    create extension odd_lookup;
    create table gate ();
    create table parted (id integer) partition by list (id);
    create table part partition of parted for values in (1);
    create sequence numbers;
    create table large as select n, repeat(md5(n::text), 8) as t from generate_series(1, 3000) n;
    select lo_from_bytea(0, 'an object') \\g /dev/null
    insert into lookup values ('mine', 'x');
    insert into odd_lookup_own.inner_table values (1), (11);
    update pg_extension set extcondition = array['where own', '', '', 'where id > 10'] where extname = 'odd_lookup';
    update pg_extension set extcondition[1] = extcondition[1] || ' and pg_advisory_xact_lock_shared(4711) is not null',
      extcondition[4] = extcondition[4] || ' and pg_advisory_xact_lock_shared(4711) is not null' where extname = 'odd_lookup'";

const WAITS: &str = "wait_event_type = 'Lock'";

struct Scene {
    server: Postgres,
    dir: TempDir,
    _extended: Extended,
}

impl Scene {
    fn new() -> Result<Self> {
        let extended = Extended::of(&postgres::programs()?)?;
        let programs = Some(extended.programs.clone());
        let server = Postgres::with(Options { programs, ..Options::default() })?;
        server.psql("postgres", "create database piprio")?;
        server.psql("piprio", TABLES)?;
        Ok(Self { server, dir: tempfile::tempdir()?, _extended: extended })
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("d.sql.gz")
    }

    fn start(&self) -> Result<Running> {
        Running::start(&self.server, &["dump", "--jobs", "2"], self.path())
    }

    /// A dump that stands where that stage is.
    fn at(&self, stage: &Stage) -> Result<(Running, Held)> {
        let held = Held::by(&self.server, "piprio", stage.hold)?;
        let dump = self.start()?;
        settled(&self.server, DUMPS).context(stage.name)?;
        surveyed(&self.server)?;
        settled(&self.server, DUMPS).context(stage.name)?;
        Ok((dump, held))
    }

    fn ensure_failed(&self, dump: &mut Running, what: &str) -> Result<()> {
        let code = dump.code().with_context(|| what.to_owned())?;
        ensure!(code == Some(1), "{what}: {code:?} {}", dump.stderr());
        ensure_not_whole(&self.server, &dump.out, what)?;
        wait_for_sessions(&self.server, DUMPS, 0).context(what.to_owned())
    }
}

#[test]
fn any_session_that_is_ended_at_any_stage_fails_the_dump() -> Result<()> {
    let scene = Scene::new()?;
    for stage in &STAGES {
        let mut nth = 0;
        loop {
            let (mut dump, held) = scene.at(stage)?;
            let sessions = sessions(&scene.server, DUMPS)?;
            let Some(session) = sessions.get(nth) else {
                held.release()?;
                ensure!(dump.code()? == Some(0), "{}: {}", stage.name, dump.stderr());
                break;
            };
            let query = format!("select query from pg_stat_activity where pid = {session}");
            let query = scene.server.psql("postgres", &query)?;
            let ended = terminate(&scene.server, *session)?;
            held.release()?;
            if !ended {
                dump.end()?;
                continue;
            }
            let what = format!("{}, session {nth}, {query}", stage.name);
            scene.ensure_failed(&mut dump, &what)?;
            nth += 1;
        }
        println!("{}: each of {nth} sessions ended", stage.name);
        ensure!(nth > 0);
    }
    Ok(())
}

#[test]
fn any_client_that_is_killed_at_any_stage_fails_the_dump() -> Result<()> {
    let scene = Scene::new()?;
    for stage in &STAGES {
        let mut nth = 0;
        loop {
            let (mut dump, held) = scene.at(stage)?;
            let clients = dump.clients()?;
            let Some(client) = clients.get(nth) else {
                held.release()?;
                ensure!(dump.code()? == Some(0), "{}: {}", stage.name, dump.stderr());
                break;
            };
            signal(*client, "KILL")?;
            wait_until("the client's end", || Ok(!dump.clients()?.contains(client)))?;
            held.release()?;
            scene.ensure_failed(&mut dump, &format!("{}, client {nth}", stage.name))?;
            nth += 1;
        }
        println!("{}: each of {nth} clients killed", stage.name);
        ensure!(nth > 0);
    }
    Ok(())
}

#[test]
fn what_waits_for_a_lock_is_ended_with_the_session_that_failed() -> Result<()> {
    let scene = Scene::new()?;
    for stage in &STAGES {
        let (mut dump, held) = scene.at(stage)?;
        let waiting = sessions(&scene.server, &format!("{DUMPS} and {WAITS}"))?;
        // What it waits for is not let go.
        terminate(&scene.server, waiting[0])?;
        scene.ensure_failed(&mut dump, stage.name)?;
        held.release()?;
    }
    Ok(())
}

#[test]
fn a_server_that_is_killed_at_any_stage_fails_the_dump() -> Result<()> {
    let mut scene = Scene::new()?;
    for stage in &STAGES {
        let (mut dump, held) = scene.at(stage)?;
        scene.server.kill_hard()?;
        let code = dump.code()?;
        drop(held);
        ensure!(code == Some(1), "{}: {code:?} {}", stage.name, dump.stderr());
        ensure_not_whole(&scene.server, &dump.out, stage.name)?;
        scene.server.start_again()?;
    }
    Ok(())
}

#[test]
fn a_dump_ended_by_a_signal_leaves_no_session_though_it_waits_for_a_lock() -> Result<()> {
    let scene = Scene::new()?;
    for (stage, (name, status)) in STAGES.iter().zip([("TERM", 143), ("INT", 130)].iter().cycle()) {
        let (mut dump, held) = scene.at(stage)?;
        dump.signal(name)?;
        let code = dump.code()?;
        ensure!(code == Some(*status), "{} {name}: {code:?} {}", stage.name, dump.stderr());
        wait_for_sessions(&scene.server, DUMPS, 0).context(stage.name)?;
        ensure_not_whole(&scene.server, &dump.out, stage.name)?;
        held.release()?;
    }
    Ok(())
}

#[test]
fn what_a_killed_dump_left_is_ended_by_the_next_and_that_one_is_right() -> Result<()> {
    let scene = Scene::new()?;
    let before = content(&scene.server, None, "piprio")?;
    for stage in &STAGES {
        let (mut dump, held) = scene.at(stage)?;
        dump.signal("KILL")?;
        ensure!(dump.code()?.is_none(), "{}", stage.name);
        ensure_not_whole(&scene.server, &dump.out, stage.name)?;
        // At least what waits for the lock does not see that its client is gone.
        let left = sessions(&scene.server, &format!("{DUMPS} and {WAITS}"))?;
        ensure!(!left.is_empty(), "{}: nothing was left", stage.name);
        let mut next = scene.start()?;
        let left: Vec<String> = left.iter().map(u32::to_string).collect();
        wait_for_sessions(&scene.server, &format!("pid in ({})", left.join(", ")), 0)?;
        held.release()?;
        ensure!(next.code()? == Some(0), "{}: {}", stage.name, next.stderr());
        wait_for_sessions(&scene.server, DUMPS, 0)?;
        pg_snap(&scene.server, "copy").arg("load").arg(&next.out).assert().success();
        ensure_alike(&before, &content(&scene.server, None, "copy")?, stage.name)?;
    }
    Ok(())
}

#[test]
fn a_dump_beside_another_leaves_it_alone() -> Result<()> {
    let scene = Scene::new()?;
    let (mut first, held) = scene.at(&STAGES[2])?;
    let other = scene.dir.path().join("other.sql.gz");
    scene.server.psql("postgres", "create database other template template0")?;
    dump_to(&scene.server, "other", &[], &other)?;
    held.release()?;
    ensure!(first.code()? == Some(0), "{}", first.stderr());
    Ok(())
}

#[test]
fn a_session_that_is_ended_at_any_moment_fails_the_dump_or_comes_too_late() -> Result<()> {
    const MOMENTS: u32 = 8;
    let server = Postgres::start()?;
    server.create_tenants("piprio", 6, 1500)?;
    let dir = tempfile::tempdir()?;
    let start = || Running::start(&server, &["dump", "--jobs", "2"], dir.path().join("d.sql.gz"));
    let time = std::time::Instant::now();
    ensure!(start()?.code()? == Some(0));
    let time = time.elapsed();
    let before = content(&server, None, "piprio")?;
    let mut failed = 0;
    for moment in 0..MOMENTS {
        let mut dump = start()?;
        std::thread::sleep(time * moment / MOMENTS);
        let any = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where {DUMPS} order by md5(pid::text || {moment}) limit 1"
        );
        let ended = server.psql("postgres", &any)?;
        match dump.code()? {
            Some(0) => {
                pg_snap(&server, "copy").arg("load").arg(&dump.out).assert().success();
                ensure_alike(&before, &content(&server, None, "copy")?, "a session was ended")?;
            }
            code => {
                ensure!(code == Some(1) && ended == "t", "{code:?} {ended} {}", dump.stderr());
                ensure_not_whole(&server, &dump.out, &dump.stderr())?;
                failed += 1;
            }
        }
        wait_for_sessions(&server, DUMPS, 0)?;
    }
    println!("a session ended at {MOMENTS} moments: no dump {failed} times");
    Ok(())
}
