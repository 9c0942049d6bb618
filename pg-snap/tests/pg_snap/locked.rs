//! What becomes of a table in the middle of a dump: a right dump or none, and never a hang.

use crate::kit::*;
use crate::running::{DUMPS, Held, Running, SURVEY, ensure_not_whole, surveyed, wait_for_sessions};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_kit::Postgres;
use test_kit::likeness::{content, ensure_alike};
use test_kit::postgres::Options;
use test_kit::process::wait_until;

/// pg_dump locks the gate first, and so holds no other table while it waits for it.
const TABLES: &str = "
    create table gate ();
    create table victim (id integer primary key, t text);
    insert into victim select n, 'row ' || n from generate_series(1, 1000) n;
    create table shadow (id integer, t text);
    insert into shadow values (1, 'another');
    create table parted (id integer) partition by list (id);
    create table part partition of parted for values in (1);
    insert into parted values (1);
    create sequence numbers;
    create view seen as select * from victim";
const GATE: &str = "begin; lock table gate";
const WAITING: &str = "wait_event_type = 'Lock'";

struct Scene {
    server: Postgres,
    dir: TempDir,
}

impl Scene {
    fn new() -> Result<Self> {
        let scene = Self { server: Postgres::start()?, dir: tempfile::tempdir()? };
        scene.set()?;
        Ok(scene)
    }

    /// As if nothing had happened.
    fn set(&self) -> Result<()> {
        self.server.psql("postgres", "drop database if exists piprio; create database piprio")?;
        self.server.psql("piprio", TABLES).map(drop)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("d.sql.gz")
    }

    /// A dump that has its snapshot, and waits.
    fn dump(&self, jobs: &str, lock_wait: &str) -> Result<(Running, Held)> {
        let gate = Held::by(&self.server, "piprio", GATE)?;
        let options = ["dump", "--jobs", jobs, "--lock-wait", lock_wait];
        let dump = Running::start(&self.server, &options, self.path())?;
        // pg_dump, and the session that lists the tables.
        let wait = format!("{DUMPS} and {WAITING} and not ({SURVEY})");
        wait_for_sessions(&self.server, &wait, 2)?;
        surveyed(&self.server)?;
        Ok((dump, gate))
    }

    /// Whether it was made; then it holds what was there at one moment or another.
    fn right_or_none(&self, mut dump: Running, right: &[&str], what: &str) -> Result<bool> {
        let code = dump.code()?;
        wait_for_sessions(&self.server, DUMPS, 0)?;
        if code == Some(0) {
            pg_snap(&self.server, "copy").arg("load").arg(&dump.out).assert().success();
            let copy = content(&self.server, None, "copy")?;
            if !right.contains(&copy.as_str()) {
                ensure_alike(right.first().unwrap_or(&""), &copy, what)?;
            }
            return Ok(true);
        }
        ensure!(code == Some(1), "{what}: {code:?} {}", dump.stderr());
        ensure!(dump.stderr().lines().count() == 1, "{what}: {}", dump.stderr());
        ensure_not_whole(&self.server, &dump.out, what)?;
        Ok(false)
    }
}

#[test]
fn a_table_that_changes_in_mid_dump_is_in_it_as_it_was_or_there_is_no_dump() -> Result<()> {
    let scene = Scene::new()?;
    // What is done, and whether a dump must be made all the same.
    let acts = [
        ("truncate victim", None),
        ("truncate victim; insert into victim values (1, 'new')", None),
        ("begin; truncate victim; rollback", Some(true)),
        ("alter table victim rename to old; alter table shadow rename to victim", None),
        (
            "begin; create table new (like victim); insert into new select * from victim; drop table victim cascade; alter table new rename to victim; commit",
            Some(false),
        ),
        ("drop table victim cascade", Some(false)),
        ("drop view seen; alter table victim alter column id type bigint", None),
        ("vacuum full victim", None),
        ("delete from victim; vacuum victim", Some(true)),
        ("alter table victim add column later text default 'x'", None),
        // These rewrite nothing.
        (
            "drop view seen; alter table victim drop column t; alter table victim add column t text",
            Some(false),
        ),
        ("alter table shadow rename t to u; alter table shadow add t text", Some(false)),
        (
            "alter table victim alter t set statistics 9; alter table victim alter t set not null",
            None,
        ),
        ("alter table parted detach partition part", None),
        ("drop sequence numbers", None),
        ("alter schema public rename to moved", None),
    ];
    for (act, must) in acts {
        let before = content(&scene.server, None, "piprio")?;
        let (dump, gate) = scene.dump("2", "5")?;
        scene.server.psql("piprio", act)?;
        gate.release()?;
        let made = scene.right_or_none(dump, &[&before], act)?;
        println!("{act}: {}", if made { "a right dump" } else { "no dump" });
        ensure!(must.is_none_or(|must| must == made), "{act}: made: {made}");
        scene.set()?;
    }
    Ok(())
}

/// Once a table's lock is released, a TRUNCATE that restarts its sequence would show in the sequence alone.
#[test]
fn sequences_are_read_before_the_rows_of_any_table() -> Result<()> {
    let settings = vec!["log_statement=all".into()];
    let server = Postgres::with(Options { settings, ..Options::default() })?;
    server.create_tenants("piprio", 3, 20)?;
    let dir = tempfile::tempdir()?;
    for jobs in ["1", "3"] {
        let before = server.log().len();
        dump_to(&server, "piprio", &["--jobs", jobs], &dir.path().join("d.sql.gz"))?;
        let log = server.log();
        let of_dump = log.get(before..).context("the server's log")?;
        let last_sequence = of_dump.rfind("SELECT last_value").context("no sequence")?;
        let first_table = of_dump.find("COPY ").context("no table")?;
        ensure!(last_sequence < first_table, "--jobs {jobs}: {of_dump}");
    }
    Ok(())
}

#[test]
fn a_table_that_is_emptied_at_any_moment_is_in_the_dump_as_it_was_or_there_is_no_dump() -> Result<()>
{
    const MOMENTS: u32 = 6;
    let scene = Scene::new()?;
    let fill =
        "insert into victim select n, repeat(md5(n::text), 9) from generate_series(1001, 40000) n;
        create table other as select * from victim; create table other_2 as select * from victim";
    let dump = || Running::start(&scene.server, &["dump", "--jobs", "2"], scene.path());
    scene.server.psql("piprio", fill)?;
    let time = Instant::now();
    ensure!(dump()?.code()? == Some(0));
    let time = time.elapsed();
    let mut made = 0;
    for moment in 0..MOMENTS {
        let before = content(&scene.server, None, "piprio")?;
        let dump = dump()?;
        std::thread::sleep(time * moment / MOMENTS);
        scene.server.psql("piprio", "truncate victim")?;
        let after = content(&scene.server, None, "piprio")?;
        let right = [before.as_str(), after.as_str()];
        made += u32::from(scene.right_or_none(dump, &right, &format!("moment {moment}"))?);
        scene.server.psql("piprio", "insert into victim select * from other")?;
    }
    println!("emptied at {MOMENTS} moments: {made} right dumps, no dump {} times", MOMENTS - made);
    Ok(())
}

#[test]
fn an_alter_that_waits_for_another_does_not_make_a_dump_wait_for_ever() -> Result<()> {
    let scene = Scene::new()?;
    for jobs in ["1", "2"] {
        let (dump, gate) = scene.dump(jobs, "5")?;
        let reader = Held::by(&scene.server, "piprio", "begin; select count(*) from victim")?;
        let mut alter = Held::by(&scene.server, "piprio", "set application_name = 'alter'")?;
        alter.send("alter table victim add column later text")?;
        wait_for_sessions(&scene.server, &format!("application_name = 'alter' and {WAITING}"), 1)?;
        gate.release()?;
        let made = scene.right_or_none(dump, &[], "a queued ALTER")?;
        ensure!(!made, "--jobs {jobs}: a dump was made of a table that was locked all the time");
        reader.release()?;
        alter.release()?;
        scene.set()?;
    }
    Ok(())
}

#[test]
fn a_lock_that_outlasts_the_wait_is_reported_with_its_holder_and_one_that_does_not_is_waited_for()
-> Result<()> {
    let scene = Scene::new()?;
    for table in ["victim", "only parted", "part"] {
        let lock = Held::by(&scene.server, "piprio", &format!("begin; lock table {table}"))?;
        let start = Instant::now();
        let mut dump = Running::start(&scene.server, &["dump", "--lock-wait", "1"], scene.path())?;
        ensure!(dump.code()? == Some(1), "{table}: {}", dump.stderr());
        ensure!(start.elapsed() >= Duration::from_secs(1), "{table}: it did not wait");
        ensure_not_whole(&scene.server, &dump.out, table)?;
        ensure!(dump.stderr().lines().count() == 1, "{}", dump.stderr());
        let name = table.trim_start_matches("only ");
        ensure!(
            dump.stderr().contains("lock") && dump.stderr().contains(name),
            "{}",
            dump.stderr()
        );
        let end = "by piprio (pid ";
        ensure!(dump.stderr().contains(end), "{}", dump.stderr());
        ensure!(dump.stderr().contains("SELECT pg_terminate_backend("), "{}", dump.stderr());
        wait_for_sessions(&scene.server, DUMPS, 0)?;

        let before = content_without_lock(&scene, lock)?;
        let lock = Held::by(&scene.server, "piprio", &format!("begin; lock table {table}"))?;
        let dump = Running::start(&scene.server, &["dump"], scene.path())?;
        wait_until("a dump in front of the lock", || {
            let waits = format!("{DUMPS} and {WAITING}");
            Ok(!crate::running::sessions(&scene.server, &waits)?.is_empty())
        })?;
        lock.release()?;
        ensure!(scene.right_or_none(dump, &[&before], table)?, "{table}: no dump");
    }
    Ok(())
}

/// It has no session that could be ended.
#[test]
fn a_prepared_transaction_that_locks_a_table_is_named_with_what_ends_it() -> Result<()> {
    let settings = vec!["max_prepared_transactions=5".into()];
    let server = Postgres::with(Options { settings, ..Options::default() })?;
    server.psql("postgres", "create database piprio")?;
    server.psql("piprio", TABLES)?;
    server.psql(
        "piprio",
        "begin; lock table victim; prepare transaction 'it''s left'; begin; prepare transaction 'another'",
    )?;
    let out = pg_snap(&server, "piprio").args(["dump", "--lock-wait", "1"]).output()?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.code() == Some(1), "{log}");
    let named = "(locked: public.victim by piprio (prepared transaction it's left); to end it: ";
    ensure!(log.contains(named) && log.contains("ROLLBACK PREPARED 'it''s left';"), "{log}");
    ensure!(!log.contains("another"), "{log}");
    server.psql("piprio", "rollback prepared 'it''s left'")?;
    pg_snap(&server, "piprio").arg("dump").assert().success();
    Ok(())
}

fn content_without_lock(scene: &Scene, lock: Held) -> Result<String> {
    lock.release()?;
    content(&scene.server, None, "piprio").context("the original")
}
