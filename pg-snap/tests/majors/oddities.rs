//! Databases of oddities, and of an extension's tables, across majors: what a load makes of them is
//! what psql makes of pg_dump's dump.

use super::{Cluster, releases};
use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use pipe_kit::child;
use test_kit::extension::Extended;
use test_kit::likeness::{content, ensure_alike, state};
use test_kit::postgres::Options;
use test_kit::{Postgres, oddities};

const EXTENSION: &str = "
    create extension odd_lookup;
    insert into lookup values ('mine', E'\\\\.\\n'), ('null', null);
    insert into a_refers (key, note) select (array['mine', 'null', 'shipped'])[1 + n % 3], md5(n::text) from generate_series(1, 300) n;
    insert into odd_lookup_own.inner_table values (1), (11);
    create table own (key text references lookup, g grade default 'odd');
    insert into own values ('mine')";

/// The first major that has all of what the oddities are made of.
pub const SINCE: u32 = 15;

/// Its programs know an extension of our own.
fn extended() -> Result<Vec<(Cluster, Extended)>> {
    let start = |release: super::Release| {
        let extended = Extended::of(&release.programs)?;
        let (programs, clients) = (Some(extended.programs.clone()), Some(release.clients.clone()));
        let server = Postgres::with(Options { programs, clients, ..Options::default() })?;
        Ok((Cluster { server, release, dir: tempfile::tempdir()? }, extended))
    };
    releases()?.into_iter().map(start).collect()
}

/// By pg_dump of the one's major, and the newest psql.
fn by_psql(from: &Cluster, database: &str, to: &Cluster, newest: &Cluster) -> Result<String> {
    let program =
        |cluster: &Cluster, name: &str| cluster.release.clients.join(name).display().to_string();
    let mut pg_dump = from.server.client(&program(from, "pg_dump"));
    let text = child::capture(pg_dump.args(["-d", database]), "pg_dump")?;
    // What a newer pg_dump sets and an older server does not know.
    let text = text.replacen("SET transaction_timeout = 0;\n", "", 1);
    let name = format!("by_psql_{database}_{}", from.release.major);
    to.server.psql("postgres", &format!("create database {name} template template0"))?;
    let mut psql = to.server.client(&program(newest, "psql"));
    psql.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", &name]);
    let out = Command::from_std(psql).write_stdin(text).output()?;
    ensure!(out.status.success(), "psql to {name}: {}", String::from_utf8_lossy(&out.stderr));
    if from.release.major < SINCE {
        // What initdb has given there, and a pg_dump of that major does not write.
        to.server.psql(&name, "grant create on schema public to public")?;
    }
    content(&to.server, None, &name)
}

#[test]
#[allow(clippy::print_stdout, reason = "a test reports what it skips")]
fn oddities_go_to_their_own_and_the_next_major_as_pg_dump_and_psql_take_them() -> Result<()> {
    let clusters = extended()?;
    let (newest, _) = clusters.last().context("no cluster")?;
    let mut failed = Vec::new();
    for (at, (from, _)) in clusters.iter().enumerate() {
        from.server.psql("postgres", "create database extended")?;
        from.server.psql("extended", EXTENSION)?;
        let mut databases = vec!["extended"];
        if from.release.major < SINCE {
            test_kit::skipped!("oddities: PostgreSQL {} lacks some", from.release.major);
        } else if !from.release.has_own_clients() {
            // pg_dump 18 writes a child's own NOT NULL as no server before 18 reads it.
            test_kit::skipped!("oddities: no clients of PostgreSQL {}", from.release.major);
        } else {
            oddities::create(&from.server, "odd")?;
            databases.push("odd");
        }
        for database in databases {
            let file = from.dump(database)?;
            for (to, _) in clusters.iter().skip(at).take(2) {
                let what = format!("{database}, {} to {}", from.release.major, to.release.major);
                let copy = format!("{database}_{}", from.release.major);
                // A psql from before `\restrict` is given no strings that might lead it astray.
                let clients = format!("{}:/usr/bin:/bin", newest.release.clients.display());
                let mut load = to.pg_snap(&copy);
                let load = load.env("PATH", clients).arg("load").arg(&file).output()?;
                let message = String::from_utf8_lossy(&load.stderr).into_owned();
                let alike = || -> Result<()> {
                    ensure!(load.status.success(), "{what}: {message}");
                    // The roles are there now.
                    let wanted = by_psql(from, database, to, newest).context(what.clone())?;
                    ensure_alike(&wanted, &content(&to.server, None, &copy)?, &what)?;
                    let (original, copy) =
                        (state(&from.server, database)?, state(&to.server, &copy)?);
                    ensure_alike(&original, &copy, &what)
                };
                failed.extend(alike().err().map(|error| format!("{error:#}")));
            }
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
