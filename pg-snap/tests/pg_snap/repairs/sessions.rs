//! The sessions of a load: the settings, transactions and order in which the statements of a dump run.

use super::Scene;
use crate::kit::{dump_to, pg_snap};
use anyhow::{Context, Result, ensure};

#[test]
fn a_setting_that_fails_ends_a_load_and_is_never_left_out() -> Result<()> {
    let s = Scene::new()?;
    s.write("UTF8", b"CREATE SCHEMA s;\nSET default_table_access_method = gone;\nCREATE VIEW s.v AS SELECT 1 AS a;\n")?;
    let (out, log) = s.load("copy", &["--keep-going"], &s.file())?;
    ensure!(out.status.code() == Some(1), "{log}");
    ensure!(log.contains("SET default_table_access_method"), "{log}");
    s.ensure_old_is_there(&log)
}

#[test]
fn the_search_path_of_a_plain_dump_is_that_of_the_database_it_is_loaded_to() -> Result<()> {
    let s = Scene::new()?;
    s.write(
        "UTF8",
        b"CREATE FUNCTION public.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select lower($1)';
CREATE FUNCTION public.slug(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN plain(t); END $$;
CREATE SCHEMA s;
CREATE TABLE s.t (a text);
COPY s.t (a) FROM stdin;\nA\n\\.\n
CREATE INDEX t_slug ON s.t (public.slug(a));
",
    )?;
    let (out, log) = s.load("copy", &[], &s.file())?;
    ensure!(out.status.success(), "{log}");
    ensure!(
        s.server.psql("copy", "select count(*) from pg_indexes where indexname = 't_slug'")? == "1"
    );
    Ok(())
}

#[test]
fn a_large_statement_on_a_slow_line_is_no_statement_without_an_end() -> Result<()> {
    let s = Scene::new()?;
    let long = "x".repeat(24 << 20);
    s.write(
        "UTF8",
        format!("CREATE TABLE public.t (a text);\nINSERT INTO public.t VALUES ('{long}');\n")
            .as_bytes(),
    )?;
    // Stands in for a slow line: what psql is given comes at two megabytes a second.
    let exec = s.dir.path().join("exec");
    std::fs::write(
        &exec,
        "#!/bin/sh\ncase \"$1 $2\" in *psql*--version*) exec \"$@\" ;; *psql*) \
         python3 -c 'import os, time\nwhile True:\n    block = os.read(0, 1 << 17)\n    if not block: break\n    os.write(1, block)\n    time.sleep(len(block) / (1 << 21))' | \"$@\" ;; *) exec \"$@\" ;; esac\n",
    )?;
    std::fs::set_permissions(&exec, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut load = pg_snap(&s.server, "copy");
    let out =
        load.env("PG_SNAP_EXEC", &exec).args(["load", "--jobs", "1"]).arg(s.file()).output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let length = s.server.psql("copy", "select length(a) from public.t")?;
    ensure!(length.parse::<usize>().context("a length")? == 24 << 20, "{length}");
    Ok(())
}

/// Statements that wait until the end are sent after others that follow them in the dump.
#[test]
fn of_many_late_statements_none_is_lost_with_one_that_fails() -> Result<()> {
    let s = Scene::new()?;
    s.server.psql("postgres", "create database source template template0")?;
    s.server.psql(
        "source",
        "create function public.plain(int) returns int language sql immutable as 'select $1';
         create function public.looks_up(int) returns int language plpgsql immutable as $$ begin return plain($1); end $$;
         create function public.nothing() returns trigger language plpgsql as $$ begin return new; end $$;
         do $$ begin
           for n in 1..400 loop
             execute format('create table public.t%s (id serial primary key)', n);
             execute format('select nextval(%L)', format('public.t%s_id_seq', n));
           end loop;
           for n in 1..120 loop
             execute format('create materialized view public.m%s as select public.%I(1) as one', lpad(n::text, 3, '0'),
               case n when 2 then 'looks_up' else 'plain' end);
             execute format('create trigger g%s before update on public.t%s for each row execute function public.nothing()', n, n);
           end loop;
           for n in 1..700 loop
             execute format('create policy p%s on public.t1 using (true)', n);
           end loop;
         end $$",
    )?;
    let file = s.dir.path().join("d.sql.gz");
    dump_to(&s.server, "source", &[], &file)?;
    let there = "select (select count(*) from pg_matviews where ispopulated) || ' ' || (select count(*) from pg_policies) \
         || ' ' || (select count(*) from pg_trigger where not tgisinternal) || ' ' || (select sum(last_value) from pg_sequences)";
    let original = s.server.psql("source", there)?;
    for (database, piped) in [("copy", false), ("copy", true), ("fresh", false)] {
        let mut load = pg_snap(&s.server, database);
        load.args(["load", "--jobs", "2"]).timeout(std::time::Duration::from_secs(200));
        if piped {
            load.pipe_stdin(&file)?.arg("-")
        } else {
            load.arg(&file)
        };
        let out = load.output()?;
        let log = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(out.status.success(), "{database}: {log}");
        ensure!(
            log.contains("m002") && s.server.psql(database, there)? == original,
            "{database}: {log}"
        );
    }
    // One that cannot be made at all costs only itself.
    s.server.psql("source", "create view public.gone as select 1 as one; create materialized view public.m000 as select * from public.gone;
        create or replace function public.looks_up(int) returns int language plpgsql immutable as $$ begin
          if current_database() <> 'source' then raise exception 'not here'; end if; return $1; end $$")?;
    dump_to(&s.server, "source", &[], &file)?;
    let original = s.server.psql("source", there)?;
    let (out, log) = s.load("copy", &["--keep-going"], &file)?;
    ensure!(out.status.code() == Some(3), "{log}");
    let wanted = original.replacen("121 ", "120 ", 1);
    ensure!(wanted != original && s.server.psql("copy", there)? == wanted, "{log}");
    Ok(())
}

#[test]
fn a_transaction_of_the_dumps_own_continues_behind_its_savepoints() -> Result<()> {
    let s = Scene::new()?;
    s.write(
        "UTF8",
        b"CREATE TABLE public.t (a int);
BEGIN;
INSERT INTO public.t VALUES (1);
SAVEPOINT a;
INSERT INTO public.t VALUES (2);
ROLLBACK TO SAVEPOINT a;
INSERT INTO public.t VALUES (3);
COMMIT;
CREATE VIEW public.broken AS SELECT * FROM public.nowhere;
INSERT INTO public.t VALUES (4);
",
    )?;
    let (out, log) = s.load("copy", &["--keep-going"], &s.file())?;
    ensure!(out.status.code() == Some(3), "{log}");
    let rows = "select string_agg(a::text, ',' order by a) from public.t";
    ensure!(s.server.psql("copy", rows)? == "1,3,4", "{log}");
    Ok(())
}

#[test]
fn a_session_that_was_set_in_other_ways_is_not_replaced() -> Result<()> {
    let s = Scene::new()?;
    for set in [
        "DO $$ BEGIN PERFORM set_config('search_path', 'app', false); END $$;",
        "SELECT set_config('search_path', 'app', false);",
        "BEGIN;\nSET search_path = app;\nCOMMIT;",
    ] {
        let statements = format!(
            "CREATE SCHEMA app;\nCREATE TABLE app.t (a int);\nCREATE TABLE public.t (a int);\n{set}\n\
             CREATE VIEW public.broken AS SELECT * FROM public.nowhere;\nINSERT INTO t VALUES (1);\n"
        );
        s.write("UTF8", statements.as_bytes())?;
        let (out, log) = s.load("copy", &["--keep-going"], &s.file())?;
        ensure!(out.status.code() == Some(1) && log.contains("public.broken"), "{set}: {log}");
        s.ensure_old_is_there(&log)?;
    }
    Ok(())
}
