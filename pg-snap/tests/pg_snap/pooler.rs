//! A connection pooler before the server: refused before anything is set in a session that is shared.

use crate::kit::*;
use anyhow::{Context, Result};
use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::net::TcpStream;
use std::path::Path;
use tempfile::TempDir;
use test_kit::process::{Server, free_port, wait_until};
use test_kit::user::{as_server_user, give_to_server_user};
use test_kit::{Postgres, postgres};

const PROGRAMS: [&str; 2] = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];

struct Pooler {
    port: u16,
    _server: Server,
    _dir: TempDir,
}

impl Pooler {
    /// None where there is no such program.
    fn start(server: &Postgres, databases: &[&str], settings: &str) -> Result<Option<Self>> {
        let Some(program) = PROGRAMS.iter().find(|program| Path::new(program).exists()) else {
            return Ok(None);
        };
        let dir = tempfile::Builder::new().prefix("pool-").tempdir()?;
        give_to_server_user(dir.path())?;
        let port = free_port()?;
        let to = format!(
            "host=127.0.0.1 port={} user={} password='{}'",
            server.port(),
            postgres::USER,
            postgres::PASSWORD.replace('\'', "''")
        );
        let lines: String = databases.iter().map(|name| format!("{name} = {to}\n")).collect();
        let ini = dir.path().join("pool.ini");
        std::fs::write(
            &ini,
            format!(
                "[databases]\n{lines}[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = any\ndefault_pool_size = 4\n{settings}"
            ),
        )?;
        give_to_server_user(&ini)?;
        let mut command = as_server_user(program);
        command.arg("-q").arg(&ini).current_dir("/");
        let running = Server::spawn(&mut command, &dir.path().join("log"))?;
        wait_until("pgbouncer to listen", || Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
        Ok(Some(Self { port, _server: running, _dir: dir }))
    }

    fn pg_snap(&self, server: &Postgres) -> Command {
        let mut command = pg_snap(server, "piprio");
        command.env("PGPORT", self.port.to_string());
        command
    }

    /// What the application finds set in the sessions that it shares.
    fn settings(&self, server: &Postgres) -> Result<String> {
        let mut psql = server.client("psql");
        psql.env("PGPORT", self.port.to_string());
        let ask = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings
             where name in ('search_path', 'statement_timeout', 'lock_timeout', 'row_security', 'datestyle',
               'synchronous_commit', 'default_transaction_read_only')";
        postgres::psql(psql, "piprio", &[], ask).context("through the pooler")
    }
}

#[test]
fn a_dump_or_load_through_a_pooler_is_refused_before_a_session_is_changed() -> Result<()> {
    let s = Setup::new()?;
    let file = s.dump("d.sql.gz")?;
    let ignoring = "ignore_startup_parameters = extra_float_digits,options\n";
    for (databases, settings) in [
        (&["piprio", "postgres"][..], format!("pool_mode = transaction\n{ignoring}")),
        (&["piprio"], format!("pool_mode = transaction\n{ignoring}")),
        (&["piprio", "postgres"], "pool_mode = transaction\n".to_owned()),
        (&["piprio", "postgres"], format!("pool_mode = session\n{ignoring}")),
        (&["piprio", "postgres"], format!("pool_mode = statement\n{ignoring}")),
    ] {
        let Some(pooler) = Pooler::start(&s.server, databases, &settings)? else {
            test_kit::skipped!("pgbouncer is not installed");
            return Ok(());
        };
        let before = pooler.settings(&s.server)?;
        let named = || {
            contains("pooler")
                .and(contains("POSTGRES_HOST"))
                .and(contains("POSTGRES_PORT"))
                .and(contains("nothing was changed"))
        };
        pooler.pg_snap(&s.server).arg("dump").assert().code(5).stdout("").stderr(named());
        for load in [
            &["load", "--keep-previous"][..],
            &["load", "--drop-first"],
            &["load", "--schema", "tenant_0001"],
        ] {
            pooler.pg_snap(&s.server).args(load).arg(&file).assert().code(5).stderr(named());
        }
        for what in [&["previous", "swap"][..], &["previous", "drop"]] {
            pooler.pg_snap(&s.server).args(what).assert().code(5).stderr(named());
        }
        assert_eq!(s.databases()?, "piprio postgres", "{settings}");
        assert_eq!(pooler.settings(&s.server)?, before, "{settings}");
    }
    Ok(())
}

#[test]
fn options_of_the_operators_own_are_no_pooler() -> Result<()> {
    let s = Setup::new()?;
    let options = "-c work_mem=8MB -c DateStyle=SQL,\\ MDY";
    s.pg_snap("piprio").env("PGOPTIONS", options).arg("dump").assert().success();
    Ok(())
}
