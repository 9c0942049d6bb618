//! Tables are copied while pg_dump reads the catalog, and what becomes of a dump if one of its programs fails.

use crate::kit::*;
use crate::running::{DUMPS, Held, Running, ensure_not_whole, wait_for_sessions};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use test_kit::likeness::{content as all_of, ensure_alike};
use test_kit::postgres::Options;
use test_kit::process::wait_until;
use test_kit::{Postgres, postgres};

/// A table that only pg_dump locks, because it has no rows of its own.
const GATE: &str = "create table gate (id integer) partition by list (id)";
/// More than a quarter of the locks that all sessions together may hold.
const TABLES: &str = "do $$ begin
    for n in 1..150 loop
      execute format('create table t%s (id serial primary key, x text)', n);
      execute format('insert into t%s (x) select md5(k::text) from generate_series(1, %s) k', n, n % 7);
      commit;
    end loop; end $$";
const FEW_LOCKS: [&str; 2] = ["max_locks_per_transaction=10", "max_connections=30"];
/// pg_dump waits for the gate.
const WAITS: &str = "wait_event_type = 'Lock' and query ilike '%lock table%gate%'";
/// What is copied last waits: a worker has copied all tables.
const COPIED: &str = "wait_event_type = 'Lock' and query ilike '%last_value%'";
const SEQUENCE: &str = "begin; alter sequence t1_id_seq rename to t1_other";

fn server(settings: &[&str], first: &str, then: &str) -> Result<Postgres> {
    let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
    let server = Postgres::with(Options { settings, ..Options::default() })?;
    server.psql("postgres", "create database piprio")?;
    server.psql("piprio", first)?;
    server.psql("piprio", then)?;
    Ok(server)
}

fn ensure_whole(server: &Postgres, dump: &mut Running) -> Result<()> {
    ensure!(dump.code()? == Some(0), "{}", dump.stderr());
    pg_snap(server, "copy").arg("load").arg(&dump.out).assert().success();
    let (before, after) = (all_of(server, None, "piprio")?, all_of(server, None, "copy")?);
    ensure_alike(&before, &after, "the copy")
}

/// Whether the server has room for their locks or not: pg_dump has all of its own by then.
#[test]
fn tables_are_copied_while_pg_dump_waits_for_its_last_lock() -> Result<()> {
    for settings in [&[][..], &FEW_LOCKS] {
        let server = server(settings, TABLES, GATE)?;
        let dir = tempfile::tempdir()?;
        let gate = Held::by(&server, "piprio", "begin; lock table gate")?;
        let sequence = Held::by(&server, "piprio", SEQUENCE)?;
        let mut dump = Running::start(&server, &["dump", "--jobs", "2"], dir.path().join("d.gz"))?;
        wait_for_sessions(&server, &format!("{DUMPS} and {WAITS}"), 1)?;
        let copied = wait_for_sessions(&server, &format!("{DUMPS} and {COPIED}"), 1);
        copied.with_context(|| dump.stderr())?;
        sequence.release()?;
        gate.release()?;
        ensure_whole(&server, &mut dump)?;
    }
    Ok(())
}

#[test]
fn where_locks_are_few_no_table_is_copied_before_pg_dump_has_its_own() -> Result<()> {
    let server = server(&FEW_LOCKS, GATE, TABLES)?;
    let dir = tempfile::tempdir()?;
    let gate = Held::by(&server, "piprio", "begin; lock table gate")?;
    let mut dump = Running::start(&server, &["dump", "--jobs", "2"], dir.path().join("d.gz"))?;
    wait_for_sessions(&server, &format!("{DUMPS} and {WAITS}"), 1)?;
    // The holder of the snapshot looks whether pg_dump has them.
    let looks = format!("{DUMPS} and query like '%pg_locks%'");
    wait_for_sessions(&server, &looks, 1)?;
    // That one and pg_dump.
    wait_for_sessions(&server, DUMPS, 2)?;
    gate.release()?;
    ensure_whole(&server, &mut dump)
}

#[test]
fn a_client_that_fails_leaves_no_whole_dump() -> Result<()> {
    let s = Setup::new()?;
    let programs = s.server.programs().display().to_string();
    let spoilt = [
        (
            "pg_restore: section",
            "case \"$*\" in pg_restore*post-data*) echo 'error: spoilt' >&2; exit 1;; esac",
        ),
        (
            "pg_restore: section",
            "case \"$*\" in pg_restore*pre-data*) echo 'error: spoilt' >&2; cat > /dev/null; exit 1;; esac",
        ),
        (
            "pg_dump: archive",
            "case \"$*\" in pg_dump*custom*) \"$@\" | head -c 3000; echo 'error: spoilt' >&2; exit 1;; esac",
        ),
    ];
    for (what, line) in spoilt {
        let script = s.path("run");
        std::fs::write(&script, format!("{line}\nexec \"$@\"\n"))?;
        let exec = format!("sh {}", shell_quote(&script.display().to_string()));
        let mut command = s.pg_snap("piprio");
        command.env("PATH", format!("{programs}:/usr/bin:/bin"));
        let out = command.args(["--exec", &exec, "dump"]).output()?;
        let errors = String::from_utf8_lossy(&out.stderr);
        let program = what.split(':').next().unwrap_or_default();
        ensure!(out.status.code() == Some(1), "{what}: {:?} {errors}", out.status);
        ensure!(errors.lines().count() == 1, "{what}: {errors}");
        ensure!(errors.contains(program) && errors.contains("spoilt"), "{what}: {errors}");
        let file = s.path("d.gz");
        std::fs::write(&file, out.stdout)?;
        ensure_not_whole(&s.server, &file, what)?;
        wait_for_sessions(&s.server, DUMPS, 0)?;
    }
    Ok(())
}

/// The text of a dump, without what differs in each.
fn text(file: &Path) -> Result<String> {
    let text = postgres::canonical(&String::from_utf8(gunzip(file)?)?)?;
    let lines = text.lines().filter(|line| !line.starts_with("-- pg-snap-database: "));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn tables_that_cannot_be_locked_together_are_copied_one_by_one_and_are_the_same() -> Result<()> {
    const WIDE: &str = "create table wide (); do $$ begin
        for n in 1..300 loop execute format('alter table wide add %I text', repeat('w', 40) || n); end loop; end $$;
        insert into wide default values; create table nothing ()";
    // The last one by its oid: before pg_dump has that one, no worker starts.
    let server = server(&FEW_LOCKS, TABLES, &format!("{WIDE}; {GATE}; create table last ()"))?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.gz");
    dump_to(&server, "piprio", &["--jobs", "2"], &file)?;
    ensure!(!server.log().contains(" 55P03 "), "{}", server.log());
    let gate = Held::by(&server, "piprio", "begin; lock table gate")?;
    let mut dump = Running::start(&server, &["dump", "--jobs", "2"], dir.path().join("e.gz"))?;
    wait_for_sessions(&server, &format!("{DUMPS} and {WAITS}"), 1)?;
    wait_for_sessions(&server, &format!("{DUMPS} and query like '%pg_locks%'"), 1)?;
    // It waits for pg_dump, and whoever comes later cannot have that table at once.
    let mut other = Held::by(&server, "piprio", "begin")?;
    other.send("lock table t77; rollback")?;
    wait_for_sessions(&server, "query like 'lock table t77%' and wait_event_type = 'Lock'", 1)?;
    // pg_dump reads this catalog when it has its locks, and keeps them so long.
    let catalog = Held::by(&server, "piprio", "begin; lock table pg_transform")?;
    gate.release()?;
    wait_until("a worker to find it locked", || Ok(server.log().contains(" 55P03 ")))?;
    catalog.release()?;
    ensure!(dump.code()? == Some(0), "{}", dump.stderr());
    other.release()?;
    ensure_alike(&text(&file)?, &text(&dump.out)?, "with a lock")
}
