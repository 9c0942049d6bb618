//! Event triggers of an application: a load is none of the changes that they watch.

use crate::kit::{by_psql, dump_to, pg_dump_to, pg_snap};
use anyhow::{Result, ensure};
use std::path::Path;
use test_kit::Postgres;

const LOG: &str = "
    create table public.ddl_log (id serial primary key, tag text, object text);
    create function public.log_ddl() returns event_trigger language plpgsql as $$
      declare r record; begin
        for r in select * from pg_event_trigger_ddl_commands() loop
          insert into public.ddl_log (tag, object) values (r.command_tag, r.object_identity);
        end loop; end $$;
    create table public.t (a int); insert into public.t values (1);
    create materialized view public.m as select * from public.t;
    create event trigger log_ddl on ddl_command_end execute function public.log_ddl();
    comment on event trigger log_ddl is 'watches';
    create table public.u (a int)";

const REFUSE: &str = "
    create function public.refuse() returns event_trigger language plpgsql as $$
      begin raise exception 'no DDL outside of deployments'; end $$;
    create event trigger a_refuse on ddl_command_start execute function public.refuse();
    alter event trigger a_refuse enable always";

/// What was watched, the views, and the triggers.
const STATE: &str = "
    select (select string_agg(id || ' ' || tag || ' ' || object, ', ' order by id) from public.ddl_log)
      || (select last_value || ' ' || is_called from public.ddl_log_id_seq)
      || (select count(*) from public.m)
      || (select string_agg(evtname::text || evtenabled::text || coalesce(obj_description(oid, 'pg_event_trigger'), '-'), ' '
            order by evtname) from pg_event_trigger)";

fn loads(server: &Postgres, file: &Path, piped: bool) -> Result<String> {
    let mut load = pg_snap(server, "copy");
    if piped {
        load.args(["load", "-"]).pipe_stdin(file)?
    } else {
        load.arg("load").arg(file)
    };
    let out = load.output()?;
    let log = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success() && !log.contains("warning"), "{}: {log}", file.display());
    server.psql("copy", STATE)
}

#[test]
fn an_event_trigger_sees_nothing_of_a_load() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database source template template0; create database copy")?;
    let dir = tempfile::tempdir()?;
    let (ours, plain) = (dir.path().join("ours.sql.gz"), dir.path().join("plain.sql.gz"));
    for (again, content) in [LOG, REFUSE].into_iter().enumerate() {
        server.psql("source", content)?;
        let state = server.psql("source", STATE)?;
        ensure!(state.starts_with("1 CREATE TABLE public.u"), "{state}");
        dump_to(&server, "source", &[], &ours)?;
        // Here the triggers come first.
        pg_dump_to(&server, "source", &[], &plain)?;
        for (file, piped) in [(&ours, false), (&ours, true), (&plain, false), (&plain, true)] {
            ensure!(loads(&server, file, piped)? == state, "{} {piped}", file.display());
        }
        let by_psql_alone = format!("by_psql{again}");
        by_psql(&server, &by_psql_alone, &ours)?;
        ensure!(server.psql(&by_psql_alone, STATE)? == state);
        pg_snap(&server, "copy").arg("compare").arg(&ours).assert().success();
    }
    Ok(())
}
