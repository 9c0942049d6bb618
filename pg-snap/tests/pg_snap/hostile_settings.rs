//! Databases and roles whose own settings would change what a session writes or reads, or end it.

use crate::kit::*;
use crate::running::{Held, Running};
use anyhow::{Context, Result, ensure};
use test_kit::likeness::{self, content, ensure_alike, state};
use test_kit::{Postgres, oddities, postgres};

/// Of the values that a dump writes.
const WRITTEN: &[&str] = &[
    "datestyle = 'SQL, DMY'",
    "intervalstyle = 'sql_standard'",
    "extra_float_digits = -10",
    "bytea_output = 'escape'",
    "timezone = 'Asia/Kathmandu'",
    "lc_monetary = 'C'",
    "xmlbinary = 'hex'",
    "xmloption = 'document'",
    "search_path = odd, other, nowhere",
    "standard_conforming_strings = off",
    "escape_string_warning = on",
    "backslash_quote = off",
];

/// Of what a session may do, for how long, and what it reports.
const ALLOWED: &[&str] = &[
    // No client on a busy machine is ended by these before its first word.
    "statement_timeout = '2s'",
    "lock_timeout = '2s'",
    "idle_in_transaction_session_timeout = '2s'",
    "idle_session_timeout = '2s'",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "session_replication_role = 'replica'",
    "row_security = on",
    "synchronize_seqscans = on",
    "enable_seqscan = off",
    "work_mem = '64kB'",
    "temp_file_limit = '1MB'",
    "client_min_messages = 'debug5'",
    "application_name = 'of the database'",
    "check_function_bodies = off",
    "plan_cache_mode = 'force_generic_plan'",
    "track_activities = off",
    "exit_on_error = on",
];

fn alter(server: &Postgres, whose: &str, settings: &[&str]) -> Result<()> {
    let sql: String = settings.iter().map(|s| format!("alter {whose} set {s};\n")).collect();
    // Whoever is to be hindered by them is not the one that sets them.
    server.psql("postgres", &sql).map(drop)
}

struct Scene {
    server: Postgres,
    dir: tempfile::TempDir,
}

impl Scene {
    /// The oddities, and what more there is to be written in more ways than one.
    fn new() -> Result<Self> {
        let server = Postgres::start()?;
        oddities::create(&server, "piprio")?;
        server.psql(
            "piprio",
            "set client_min_messages = error; alter event trigger odd_watch disable;
             create table odd.written (x xml, n numeric, f float8, i interval, m money, b bytea, at timestamptz);
             insert into odd.written select xmlelement(name a, xmlattributes(decode('00ff', 'hex') as b), n::text), n / 7.0, n / 7.0::float8,
               make_interval(years => n - 50, days => 3 - n, secs => n / 7.0), n::money, int8send(n), to_timestamp(n * 1e6 / 7)
             from generate_series(1, 100) as n;
             alter event trigger odd_watch enable",
        )?;
        Ok(Self { server, dir: tempfile::tempdir()? })
    }

    /// Our dump of the database has the same text as pg_dump's, and the same rows to the byte.
    fn ensure_same_text(&self, options: &[&str], jobs: &[&str]) -> Result<()> {
        let (ours, theirs) = (self.dir.path().join("ours"), self.dir.path().join("theirs"));
        pg_dump_to(&self.server, "piprio", options, &theirs)?;
        for jobs in jobs {
            dump_to(&self.server, "piprio", &["--jobs", jobs], &ours)?;
            let (ours, theirs) =
                (String::from_utf8(gunzip(&ours)?)?, String::from_utf8(gunzip(&theirs)?)?);
            let (our_text, our_rows) = likeness::parts(&ours);
            let (their_text, their_rows) = likeness::parts(&theirs);
            for (copy, rows) in &their_rows {
                let ours = our_rows.get(copy).map(|rows| rows.join("\n")).unwrap_or_default();
                ensure_alike(&rows.join("\n"), &ours, copy)?;
            }
            ensure_alike(&statements(&their_text)?, &statements(&our_text)?, "the definitions")?;
            let heads = |rows: &std::collections::BTreeMap<&str, Vec<&str>>| {
                rows.keys().map(|copy| format!("{copy}\n")).collect::<String>()
            };
            ensure_alike(&heads(&their_rows), &heads(&our_rows), "the tables")?;
        }
        Ok(())
    }

    fn loads(&self) -> Result<()> {
        let (ours, theirs) = (self.dir.path().join("ours"), self.dir.path().join("theirs"));
        self.server.psql("postgres", "drop database if exists by_psql")?;
        by_psql(&self.server, "by_psql", &theirs)?;
        pg_snap(&self.server, "copy").arg("load").arg(&ours).assert().success();
        ensure_alike(&state(&self.server, "piprio")?, &state(&self.server, "copy")?, "the state")?;
        // Looked at without the settings, which the copy has and the other has not.
        self.server.psql("postgres", "alter database copy reset all")?;
        let wanted = content(&self.server, None, "by_psql")?;
        ensure_alike(&wanted, &content(&self.server, None, "copy")?, "the copy")
    }
}

/// Its lines, in an order that is always the same, without those that only one of the two writes.
fn statements(text: &str) -> Result<String> {
    // A slice's bound in quotes is kept apart from what psql takes for a variable.
    let text = postgres::canonical(text)?.replace(": \"", ":\"");
    let ours = [
        "-- Dumped by pg-snap",
        "-- pg-snap-",
        "-- {",
        "SET default_ta",
        "SET lc_monetary = 'C';",
        "SET array_nulls = on;",
        "RESET lc_monetary;",
        "RESET array_nulls;",
        "SET row_security = on;",
    ];
    let own =
        |line: &str| line.trim_matches('-').is_empty() || ours.iter().any(|o| line.starts_with(o));
    let mut lines: Vec<&str> = text.lines().filter(|line| !own(line)).collect();
    lines.sort_unstable();
    Ok(lines.join("\n"))
}

#[test]
fn a_databases_settings_change_no_byte_of_its_dump_and_keep_nothing_from_being_dumped() -> Result<()>
{
    let scene = Scene::new()?;
    scene.ensure_same_text(&[], &["1"])?;
    alter(&scene.server, "database piprio", WRITTEN)?;
    scene.ensure_same_text(&[], &["4"])?;
    scene.loads()?;
    // pg_dump itself would be ended by some of these.
    alter(&scene.server, "database piprio", ALLOWED)?;
    // One session waits for longer than any of them may, and another has nothing to do meanwhile.
    let gate = Held::by(
        &scene.server,
        "piprio",
        "set idle_in_transaction_session_timeout = 0; begin read write; lock table only odd.ranges",
    )?;
    let mut dump = Running::start(&scene.server, &["dump"], scene.dir.path().join("ours"))?;
    let waits =
        "select count(*) > 0 from pg_locks where clock_timestamp() - waitstart > '4 seconds'";
    wait_for(&scene.server, waits, "t")?;
    gate.release()?;
    ensure!(dump.code()? == Some(0), "{}", dump.stderr());
    scene.loads()
}

#[test]
fn identifiers_that_are_all_to_be_quoted_are_written_as_pg_dump_writes_them() -> Result<()> {
    let scene = Scene::new()?;
    alter(&scene.server, "database piprio", &["quote_all_identifiers = on"])?;
    scene.ensure_same_text(&[], &["4"])?;
    scene.loads()
}

#[test]
fn an_encoding_that_lacks_letters_of_the_database_loses_none_of_them() -> Result<()> {
    let scene = Scene::new()?;
    alter(&scene.server, "database piprio", &["client_encoding = 'LATIN1'"])?;
    scene.ensure_same_text(&["--encoding", "UTF8"], &["4"])?;
    scene.loads()
}

#[test]
fn a_roles_settings_change_nothing_of_what_it_dumps_and_loads() -> Result<()> {
    let scene = Scene::new()?;
    let original = content(&scene.server, None, "piprio")?;
    let plain = scene.dir.path().join("theirs");
    pg_dump_to(&scene.server, "piprio", &[], &plain)?;
    by_psql(&scene.server, "by_psql", &plain)?;
    let wanted = content(&scene.server, None, "by_psql")?;
    ensure!(wanted.len() > 1_000_000 && original.len() > 1_000_000);
    let role = format!("role {}", postgres::USER);
    for settings in
        [WRITTEN, ALLOWED, &["quote_all_identifiers = on"], &["client_encoding = 'LATIN1'"]]
    {
        alter(&scene.server, &role, settings)?;
        let ours = scene.dir.path().join("ours");
        dump_to(&scene.server, "piprio", &[], &ours)?;
        for (file, jobs) in [(&ours, "4"), (&plain, "2")] {
            let load =
                pg_snap(&scene.server, "copy").args(["load", "--jobs", jobs]).arg(file).output()?;
            ensure!(
                load.status.success(),
                "{settings:?} {}",
                String::from_utf8_lossy(&load.stderr)
            );
            let reset = format!("set default_transaction_read_only = off; alter {role} reset all");
            scene.server.psql("postgres", &reset)?;
            let what = format!("{settings:?}, --jobs {jobs}");
            ensure_alike(&wanted, &content(&scene.server, None, "copy")?, &what)?;
            alter(&scene.server, &role, settings)?;
        }
        scene.server.psql(
            "postgres",
            &format!("set default_transaction_read_only = off; alter {role} reset all"),
        )?;
    }
    Ok(())
}

/// A client's command line, after a session at the same address that prints the limits it begins with.
const LIMITS: &str = r#"#!/bin/sh
target=
previous=
for word in "$@"; do
  if [ "$previous" = -d ]; then target=$word; fi
  previous=$word
done
case "$1" in
  *psql | *pg_dump)
    if [ -n "$target" ]; then
      psql -X -A -t -q -w -d "$target" -c "select '${1##*/}', current_setting('statement_timeout'),
        current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')" \
        </dev/null >>"$LIMITS_LOG"
    fi ;;
esac
exec "$@"
"#;

#[test]
fn no_statement_of_a_session_runs_under_a_limit_of_its_database() -> Result<()> {
    let scene = Scene::new()?;
    let limits = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
    let settings: Vec<String> = limits.iter().map(|limit| format!("{limit} = '60s'")).collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    for database in ["piprio", "postgres"] {
        alter(&scene.server, &format!("database {database}"), &settings)?;
    }
    let (prefix, log) = (scene.dir.path().join("prefix"), scene.dir.path().join("limits"));
    std::fs::write(&prefix, LIMITS)?;
    std::fs::set_permissions(&prefix, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let dump = scene.dir.path().join("ours");
    dump_to(&scene.server, "piprio", &[], &dump)?;
    let file = dump.to_str().context("a name that is not UTF-8")?;
    for arguments in
        [&["dump"][..], &["compare", file], &["status"], &["load", "--jobs", "2", file]]
    {
        std::fs::write(&log, "")?;
        let mut command = pg_snap(&scene.server, "piprio");
        command.env("PG_SNAP_EXEC", prefix.display().to_string()).env("LIMITS_LOG", &log);
        command.args(arguments).assert().success();
        let sessions = std::fs::read_to_string(&log)?;
        ensure!(sessions.lines().count() > 2, "{arguments:?}: {sessions}");
        let limited = sessions.lines().find(|session| !session.ends_with("|0|0|0"));
        ensure!(limited.is_none(), "{arguments:?}: {limited:?} of {sessions}");
    }
    Ok(())
}

/// What lies outside the database is one line of the dump, which is longer than what is read at a time.
#[test]
fn the_settings_and_grants_of_hundreds_of_roles_come_back() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    server.psql(
        "piprio",
        "do $$ declare name text; begin for n in 1..1000 loop
           name := format('tenant_of_a_customer_with_a_rather_long_name_number_%s', n);
           execute format('create role %I', name);
           execute format('grant connect on database piprio to %I', name);
           execute format('alter role %I in database piprio set search_path = %I, public', name, name);
         end loop; end $$",
    )?;
    let dir = tempfile::tempdir()?;
    let dump = dir.path().join("dump");
    dump_to(&server, "piprio", &[], &dump)?;
    let text = gunzip(&dump)?;
    ensure!(
        text.split(|b| *b == b'\n').any(|line| line.starts_with(b"--") && line.len() > 300_000)
    );
    for options in [&["inspect"][..], &["inspect", "--full"], &["preflight"]] {
        pg_snap(&server, "copy").args(options).arg(&dump).assert().success();
    }
    pg_snap(&server, "copy").arg("load").arg(&dump).assert().success();
    let outside = |database: &str| {
        let settings =
            "(select string_agg(setrole || array_to_string(setconfig, ','), ' ' order by setrole)
                         from pg_db_role_setting where setdatabase = d.oid)";
        server.psql(
            "postgres",
            &format!(
                "select array_to_string(datacl, ' '), {settings} from pg_database d where datname = '{database}'"
            ),
        )
    };
    let before = outside("piprio")?;
    ensure!(before.len() > 100_000 && before.contains("_number_1000"), "{before}");
    ensure!(outside("copy")? == before);
    Ok(())
}
