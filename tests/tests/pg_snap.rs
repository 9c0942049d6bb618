//! The database stage on real servers: what it promises of a dump, of a load, and of the database
//! that was there before.

use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use assert_cmd::assert::OutputAssertExt;
use pipeline_tests::{Postgres, postgres, tool};
use predicates::prelude::*;
use predicates::str::contains;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A cluster with the fixture in `piprio`, and a folder to work in.
struct Setup {
    server: Postgres,
    dir: TempDir,
}

impl Setup {
    fn new() -> Result<Self> {
        let setup = Self { server: Postgres::start()?, dir: tempfile::tempdir()? };
        setup.server.create_tenants("piprio", 3, 200)?;
        Ok(setup)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pg_snap(&self, database: &str) -> Command {
        pg_snap(&self.server, database)
    }

    /// Dumps `piprio` to a file of that name.
    fn dump(&self, name: &str) -> Result<PathBuf> {
        let out = self.pg_snap("piprio").arg("dump").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let path = self.path(name);
        std::fs::write(&path, out.stdout)?;
        Ok(path)
    }

    fn databases(&self) -> Result<String> {
        databases(&self.server)
    }
}

fn databases(server: &Postgres) -> Result<String> {
    let ask =
        "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";
    server.psql("postgres", ask)
}

/// What a database holds, whatever its name.
fn content(server: &Postgres, database: &str) -> Result<String> {
    let mut command = server.client("pg_dump");
    postgres::canonical(&pipe_kit::child::capture(command.args(["-d", database]), "pg_dump")?)
}

fn pg_snap(server: &Postgres, database: &str) -> Command {
    let mut command = std::process::Command::new(tool("pg-snap"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command.envs(server.env()).env("PGDATABASE", database).env("RUST_BACKTRACE", "0");
    Command::from_std(command)
}

fn gunzip(file: &Path) -> Result<Vec<u8>> {
    let out = std::process::Command::new("gunzip").arg("-c").arg(file).output()?;
    ensure!(out.status.success());
    Ok(out.stdout)
}

fn gzip_members(bytes: &[u8]) -> Vec<usize> {
    let start = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    bytes.windows(start.len()).enumerate().filter(|(_, w)| *w == start).map(|(at, _)| at).collect()
}

#[test]
fn a_dump_loaded_elsewhere_dumps_the_same() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let original = content(&s.server, "piprio")?;

    s.pg_snap("from_file").args(["load"]).arg(&file).assert().success().stdout("");
    assert!(content(&s.server, "from_file")? == original);

    s.pg_snap("from_stdin").args(["load", "-"]).pipe_stdin(&file)?.assert().success();
    assert!(content(&s.server, "from_stdin")? == original);

    // Onto a database that is there, with other things in it.
    s.server
        .psql(
            "from_file",
            "create schema extra; create table extra.t (); drop schema tenant_0001 cascade",
        )
        .or_else(|_| s.server.psql("from_file", "create schema extra; create table extra.t ()"))?;
    s.pg_snap("from_file").args(["load"]).arg(&file).assert().success();
    assert!(content(&s.server, "from_file")? == original);
    assert_eq!(s.databases()?, "from_file from_stdin piprio postgres");
    Ok(())
}

#[test]
fn a_dump_needs_no_tool_of_ours_to_be_restored() -> Result<()> {
    let s = Setup::new()?;
    let text = gunzip(&s.dump("d.sql.gz")?)?;
    s.server.psql("postgres", "create database plain template template0")?;
    let mut psql = s.server.client("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "plain"]);
    Command::from_std(psql).write_stdin(text).assert().success();
    assert!(content(&s.server, "plain")? == content(&s.server, "piprio")?);
    Ok(())
}

#[test]
fn any_plain_dump_of_pg_dump_loads_and_the_replaced_databases_own_state_stays() -> Result<()> {
    let s = Setup::new()?;
    let out = s.server.client("pg_dump").arg("piprio").output()?;
    ensure!(out.status.success());
    s.server.psql("postgres", "create database other; alter database other set work_mem = '7MB'; comment on database other is 'kept'")?;
    s.pg_snap("other").args(["load"]).write_stdin(out.stdout).assert().success();
    assert!(content(&s.server, "other")? == content(&s.server, "piprio")?);
    assert_eq!(s.server.psql("other", "show work_mem")?, "7MB");
    let comment =
        "select shobj_description(oid, 'pg_database') from pg_database where datname = 'other'";
    assert_eq!(s.server.psql("other", comment)?, "kept");
    Ok(())
}

const OWN_STATE: &str = "
    set client_encoding to 'UTF8';
    select datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit,
      (select string_agg(a::text, ' ' order by a::text) from unnest(datacl) a), shobj_description(oid, 'pg_database'),
      (select string_agg(coalesce(rolname, '-') || setconfig::text, ' ' order by rolname)
         from pg_db_role_setting left join pg_roles r on r.oid = setrole where setdatabase = d.oid)
    from pg_database d where datname = 'piprio'";

#[test]
fn a_databases_own_state_travels_to_a_server_with_another_default_locale() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql(
        "postgres",
        r#"create role owner_role; create role reader login password 'x'; create role "Odd ""Role"" é";
           alter database piprio owner to owner_role;
           revoke connect on database piprio from public;
           grant connect, temp on database piprio to reader; grant create on database piprio to "Odd ""Role"" é" with grant option;
           alter database piprio connection limit 17;
           comment on database piprio is E'it''s\n-- a comment; \\! id';
           alter database piprio set search_path to "$user", public, "Odd, Schema";
           alter database piprio set my.setting to E'a=b\'c';
           alter database piprio set default_transaction_read_only to on;
           alter role reader in database piprio set statement_timeout to '3s'"#,
    )?;
    let before = s.server.psql("postgres", OWN_STATE)?;
    let file = s.dump("d.sql.gz")?;

    let elsewhere = Postgres::with(postgres::Options {
        initdb: vec!["--locale=C".into(), "--encoding=LATIN1".into()],
        ..Default::default()
    })?;
    pg_snap(&elsewhere, "piprio")
        .args(["load"])
        .arg(&file)
        .assert()
        .success()
        .stderr(contains("role reader").and(contains("NOLOGIN")));
    assert_eq!(elsewhere.psql("postgres", OWN_STATE)?, before);
    assert!(content(&elsewhere, "piprio")? == content(&s.server, "piprio")?);
    let logins = "select string_agg(rolname, ' ') from pg_roles where rolcanlogin";
    assert_eq!(elsewhere.psql("postgres", logins)?, "piprio");

    // And onto the database that has it all already.
    s.pg_snap("piprio").args(["load"]).arg(&file).assert().success();
    assert_eq!(s.server.psql("postgres", OWN_STATE)?, before);
    Ok(())
}

#[test]
fn a_damaged_dump_is_refused_and_the_old_database_is_as_it_was() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let original = content(&s.server, "piprio")?;
    let zipped = std::fs::read(&file)?;
    let text = gunzip(&file)?;

    let refuse =
        |what: &str, dump: Vec<u8>, reason: &str| -> Result<()> {
            s.pg_snap("piprio").arg("load").write_stdin(dump).assert().code(4).stderr(
                contains(reason).and(predicate::function(|e: &str| e.lines().count() == 1)),
            );
            ensure!(content(&s.server, "piprio")? == original, "{what}: the old database changed");
            ensure!(s.databases()? == "piprio postgres", "{what}: {}", s.databases()?);
            Ok(())
        };
    refuse("empty", Vec::new(), "empty")?;
    let copy = memfind(&text, b"COPY tenant_").context("no COPY in the dump")? + 400;
    refuse("cut inside COPY data", text[..copy].to_vec(), "cut inside the data")?;
    for cut in [1000, zipped.len() / 2, zipped.len() - 4] {
        refuse("a cut gzip stream", zipped[..cut].to_vec(), "not whole")?;
    }
    let end = end_marker(&text)?;
    refuse("no end marker", text[..end].to_vec(), "end marker")?;
    let mut flipped = zipped.clone();
    flipped[zipped.len() * 2 / 3] ^= 0x10;
    refuse("a flipped bit", flipped, "the dump")?;

    let trace = s.path("trace");
    let with = |at: usize, line: &str| [&text[..at], line.as_bytes(), &text[at..]].concat();
    let shell = format!("\\! touch {}\n", trace.display());
    refuse("a shell escape first", with(0, &shell), "psql command '\\!'")?;
    refuse("a shell escape last", with(text.len(), &shell), "psql command '\\!'")?;
    refuse("a connect", with(0, "\\connect postgres\n"), "psql command '\\connect'")?;
    assert!(!trace.exists());
    Ok(())
}

#[test]
fn a_dump_cut_after_any_gzip_member_is_refused() -> Result<()> {
    let s = Setup::new()?;
    s.server.psql(
        "piprio",
        "create table big as select md5(i::text) from generate_series(1, 200000) i",
    )?;
    let zipped = std::fs::read(s.dump("d.sql.gz")?)?;
    let members = gzip_members(&zipped);
    assert!(members.len() > 4, "{} members", members.len());
    for cut in &members[1..] {
        let cut = zipped[..*cut].to_vec();
        s.pg_snap("x").arg("load").write_stdin(cut.clone()).assert().code(4);
        s.pg_snap("x").arg("inspect").write_stdin(cut).assert().code(4).stdout(contains("NO: "));
    }
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}

/// Where the end marker stands; the fixture holds its text in a function, too.
fn end_marker(text: &[u8]) -> Result<usize> {
    let marker = b"\n-- PostgreSQL database dump complete";
    Ok(text.windows(marker.len()).rposition(|w| w == marker).context("no end marker")? + 1)
}

fn memfind(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|w| w == needle)
}

#[test]
fn a_load_that_psql_refuses_leaves_nothing_behind() -> Result<()> {
    let s = Setup::new()?;
    let original = content(&s.server, "piprio")?;
    let mut text = gunzip(&s.dump("d.sql.gz")?)?;
    let end = end_marker(&text)?;
    text.splice(end..end, b"SELECT 1/0;\n".iter().copied());
    s.pg_snap("piprio")
        .arg("load")
        .write_stdin(text)
        .assert()
        .code(1)
        .stderr(contains("division by zero").and(contains("the old database is as it was")));
    assert!(content(&s.server, "piprio")? == original);
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}

#[test]
fn connected_sessions_are_ended_before_the_swap() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let mut session = s
        .server
        .client("psql")
        .args(["-X", "-d", "piprio", "-c", "select pg_sleep(600)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_for(
        &s.server,
        "select count(*) from pg_stat_activity where query like '%pg_sleep(600)'  and pid <> pg_backend_pid()",
        "1",
    )?;
    s.pg_snap("piprio").arg("load").arg(&file).assert().success();
    assert!(!session.wait()?.success());
    Ok(())
}

fn wait_for(server: &Postgres, ask: &str, answer: &str) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    while server.psql("postgres", ask)? != answer {
        ensure!(Instant::now() < until, "{ask} never became {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn the_previous_database_is_kept_when_asked_swapped_back_and_never_written_over() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("piprio", "create table public.newer ()")?;
    s.pg_snap("piprio")
        .args(["load", "--keep-previous"])
        .arg(&file)
        .assert()
        .success()
        .stderr(contains("piprio_previous"));
    assert_eq!(
        s.server.psql("piprio_previous", "select to_regclass('public.newer') is not null")?,
        "t"
    );
    assert_eq!(s.server.psql("piprio", "select to_regclass('public.newer') is null")?, "t");

    s.pg_snap("piprio").args(["previous", "swap"]).assert().success();
    assert_eq!(s.server.psql("piprio", "select to_regclass('public.newer') is not null")?, "t");
    s.pg_snap("piprio").args(["previous", "swap"]).assert().success();

    s.pg_snap("piprio")
        .args(["load", "--keep-previous"])
        .arg(&file)
        .assert()
        .success()
        .stderr(contains("warning"));
    let kept = s
        .server
        .psql("postgres", "select datname from pg_database where datname ~ '^piprio_previous_'")?;
    assert_eq!(s.server.psql(&kept, "select to_regclass('public.newer') is not null")?, "t");

    s.pg_snap("piprio").args(["previous", "drop"]).assert().success();
    assert_eq!(s.databases()?, format!("piprio {kept} postgres"));
    Ok(())
}

#[test]
fn drop_first_drops_nothing_for_a_dump_that_is_not_whole() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let original = content(&s.server, "piprio")?;
    let cut = s.path("cut.sql.gz");
    let zipped = std::fs::read(&file)?;
    std::fs::write(&cut, &zipped[..zipped.len() / 2])?;
    s.pg_snap("piprio")
        .args(["load", "--drop-first"])
        .arg(&cut)
        .assert()
        .code(4)
        .stderr(contains("nothing was dropped"));
    assert!(content(&s.server, "piprio")? == original);
    s.pg_snap("piprio").args(["load", "--drop-first"]).arg(&file).assert().success();
    assert!(content(&s.server, "piprio")? == original);
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}

#[test]
fn inspect_tells_what_a_dump_holds() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let out = s.pg_snap("").args(["inspect", "--json"]).arg(&file).output()?;
    let report: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    assert_eq!(report["complete"], true);
    assert_eq!(report["database"]["name"], "piprio");
    let tables = report["tables"].as_array().context("tables")?;
    let rows = |schema: &str, name: &str| {
        tables
            .iter()
            .find(|t| t["schema"] == schema && t["name"] == name)
            .map(|t| t["rows"].as_u64())
    };
    for (schema, table) in
        [("tenant_0002", "documents"), ("public", "schema_migrations"), ("public", "awkward")]
    {
        let count = s.server.psql("piprio", &format!("select count(*) from {schema}.{table}"))?;
        assert_eq!(rows(schema, table), Some(count.parse().ok()), "{schema}.{table}");
    }
    s.pg_snap("").args(["inspect"]).arg(s.path("none")).assert().code(1).stdout("");
    Ok(())
}

#[test]
fn failures_are_one_line_and_never_tell_the_password() -> Result<()> {
    let s = Setup::new()?;
    let one_line = || predicate::function(|e: &str| e.lines().count() == 1);
    let silent = || contains(postgres::PASSWORD).not().and(contains("wrong-pw").not());
    s.pg_snap("piprio")
        .env("PGPASSWORD", "wrong-pw")
        .arg("dump")
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("password authentication failed").and(one_line()).and(silent()));
    s.pg_snap("piprio")
        .env("PGPORT", "1")
        .arg("dump")
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("Connection refused").and(one_line()).and(silent()));
    s.pg_snap("nowhere")
        .arg("dump")
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("no database nowhere").and(one_line()));
    s.pg_snap("").arg("dump").assert().code(2).stderr(contains("PGDATABASE"));
    s.pg_snap("piprio")
        .args(["status", "--json"])
        .assert()
        .success()
        .stdout(contains("\"exists\":true"));
    s.pg_snap("nowhere")
        .args(["status", "--json"])
        .assert()
        .success()
        .stdout(contains("\"exists\":false"));
    Ok(())
}

#[test]
fn clients_run_behind_a_prefix_and_one_too_old_for_the_server_is_refused_by_both_versions()
-> Result<()> {
    let s = Setup::new()?;
    let programs = s.server.programs().display().to_string();
    let prefix = format!("env PATH={}:/usr/bin:/bin", shell_quote(&programs));
    let out = s.pg_snap("piprio").args(["--exec", &prefix, "dump"]).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    s.pg_snap("copy").args(["--exec", &prefix, "load"]).write_stdin(out.stdout).assert().success();
    assert!(content(&s.server, "copy")? == content(&s.server, "piprio")?);

    // A stand-in that only claims to be an old pg_dump: no older major can be installed here.
    let old = s.path("old");
    std::fs::create_dir(&old)?;
    let script = old.join("run");
    std::fs::write(
        &script,
        "[ \"$1\" = pg_dump ] && { echo 'pg_dump (PostgreSQL) 9.6.24'; exit; }\nexec \"$@\"\n",
    )?;
    let prefix = format!("sh {}", shell_quote(&script.display().to_string()));
    s.pg_snap("piprio")
        .env("PATH", format!("{programs}:/usr/bin:/bin"))
        .args(["--exec", &prefix, "dump"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("9.6").and(contains("the server is PostgreSQL")));
    Ok(())
}

fn shell_quote(word: &str) -> String {
    format!("'{word}'")
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_dump_leaves_no_whole_dump() -> Result<()> {
    let mut s = Setup::new()?;
    s.server.psql("piprio", "create table zz_big as select md5(i::text) a, md5(i::text || 'x') b from generate_series(1, 800000) i")?;
    let mut child = std::process::Command::new(tool("pg-snap"))
        .arg("dump")
        .envs(s.server.env())
        .env("PGDATABASE", "piprio")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut dump = vec![0; 64 * 1024];
    let mut pipe = child.stdout.take().context("no pipe")?;
    pipe.read_exact(&mut dump)?;
    s.server.kill_hard()?;
    pipe.read_to_end(&mut dump)?;
    assert_eq!(child.wait_with_output()?.status.code(), Some(1));
    s.pg_snap("").arg("inspect").write_stdin(dump).assert().code(4);
    Ok(())
}

#[test]
fn a_load_ended_by_a_signal_drops_what_it_had_loaded() -> Result<()> {
    for (signal, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let s = Setup::new()?;
        // Larger than what is read ahead, so that the load is under way when the signal comes.
        let fill = "create table big as select md5(i::text) from generate_series(1, 200000) i";
        s.server.psql("piprio", fill)?;
        let original = content(&s.server, "piprio")?;
        let text = gunzip(&s.dump("d.sql.gz")?)?;
        let mut child = std::process::Command::new(tool("pg-snap"))
            .arg("load")
            .envs(s.server.env())
            .env("PGDATABASE", "piprio")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no pipe")?;
        std::io::Write::write_all(&mut stdin, &text[..text.len() / 2])?;
        wait_for(
            &s.server,
            "select count(*) from pg_database where datname = 'piprio_pg_snap_incoming'",
            "1",
        )?;
        std::process::Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .assert()
            .success();
        let out = child.wait_with_output()?;
        drop(stdin);
        assert_eq!(out.status.code(), Some(status), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(s.databases()?, "piprio postgres", "{signal}");
        assert!(content(&s.server, "piprio")? == original);
    }
    Ok(())
}

#[test]
fn a_killed_loads_leftover_is_dropped_by_the_next() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    s.server.psql("postgres", "create database piprio_pg_snap_incoming")?;
    s.pg_snap("piprio").arg("load").arg(&file).assert().success();
    assert_eq!(s.databases()?, "piprio postgres");
    Ok(())
}
