//! Whatever options pg_dump had, what it wrote is loaded as psql loads it.

use crate::kit::*;
use anyhow::{Result, ensure};
use std::path::Path;
use test_kit::likeness::{content, ensure_alike};
use test_kit::{Postgres, oddities};

/// Options of pg_dump, as many at once as go together.
const OF_ODDITIES: [&[&str]; 3] = [
    &["--column-inserts", "--no-comments", "--quote-all-identifiers", "--verbose"],
    &[
        "--column-inserts",
        "--on-conflict-do-nothing",
        "--rows-per-insert=7",
        "--disable-dollar-quoting",
        "--no-publications",
    ],
    &["--load-via-partition-root", "--no-owner", "--no-acl", "--no-toast-compression", "--verbose"],
];
/// Those that want a simple database: psql itself fails with them on the other.
const OF_TENANTS: [&[&str]; 4] = [
    &["--clean", "--if-exists", "--rows-per-insert=100"],
    &["--use-set-session-authorization", "--enable-row-security", "--verbose"],
    &["--schema-only"],
    &["--exclude-schema=tenant_0002", "--exclude-table-data=tenant_0001.*"],
];

/// By psql and by us, from a file and from a pipe.
fn ensure_loads(server: &Postgres, file: &Path, what: &str) -> Result<()> {
    server.psql("postgres", "drop database if exists by_psql")?;
    by_psql(server, "by_psql", file)?;
    let wanted = content(server, None, "by_psql")?;
    for piped in [false, true] {
        let mut load = pg_snap(server, "copy");
        let load = load.args(["load", "--jobs", "4"]);
        let out = if piped { load.arg("-").pipe_stdin(file)? } else { load.arg(file) }.output()?;
        ensure!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
        ensure_alike(&wanted, &content(server, None, "copy")?, what)?;
    }
    Ok(())
}

fn ensure_all_load(server: &Postgres, all: &[&[&str]]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    let mut failed = Vec::new();
    for options in all {
        pg_dump_to(server, "piprio", options, &file)?;
        let loaded = ensure_loads(server, &file, &options.join(" "));
        failed.extend(loaded.err().map(|error| format!("{error:#}")));
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn a_dump_made_with_any_options_loads_as_psql_loads_it() -> Result<()> {
    let server = Postgres::start()?;
    oddities::create(&server, "piprio")?;
    ensure_all_load(&server, &OF_ODDITIES)?;
    server.psql("postgres", "drop database piprio")?;
    server.create_tenants("piprio", 3, 50)?;
    ensure_all_load(&server, &OF_TENANTS)
}

#[test]
fn what_pg_restore_writes_loads_as_psql_loads_it() -> Result<()> {
    let server = Postgres::start()?;
    server.create_tenants("piprio", 3, 50)?;
    let dir = tempfile::tempdir()?;
    let (archive, file) = (dir.path().join("d.dump"), dir.path().join("d.sql"));
    let mut pg_dump = server.client("pg_dump");
    ensure!(pg_dump.args(["-Fc", "-d", "piprio", "-f"]).arg(&archive).status()?.success());
    let mut pg_restore = server.client("pg_restore");
    ensure!(pg_restore.arg("-f").arg(&file).arg(&archive).status()?.success());
    ensure!(std::process::Command::new("gzip").arg(&file).status()?.success());
    ensure_loads(&server, &dir.path().join("d.sql.gz"), "pg_restore")
}

#[test]
fn a_dump_with_the_line_ends_of_windows_loads_as_psql_loads_it() -> Result<()> {
    let setup = Setup::new()?;
    let (unix, windows) = (setup.path("unix.sql.gz"), setup.path("windows.sql"));
    pg_dump_to(&setup.server, "piprio", &[], &unix)?;
    // Rows inside a transaction take another way.
    const END: &str = "--\n-- PostgreSQL database dump complete";
    let late = "BEGIN;\nCREATE TABLE public.late (a text);\nCOPY public.late FROM stdin;\n1\n\\.\nCOMMIT;\n\n";
    let text = String::from_utf8(gunzip(&unix)?)?.replace(END, &format!("{late}{END}"));
    std::fs::write(&windows, text.replace('\n', "\r\n"))?;
    std::process::Command::new("gzip").arg(&windows).status()?;
    ensure_loads(&setup.server, &setup.path("windows.sql.gz"), "CRLF")
}
