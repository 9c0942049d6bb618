//! Whatever pg_dump was told, what it wrote is loaded as psql loads it.

use crate::kit::*;
use anyhow::{Result, ensure};
use pipeline_tests::likeness::{content, ensure_alike};
use pipeline_tests::{Postgres, oddities};
use std::path::Path;
use std::process::Stdio;

/// Options of pg_dump, as many at once as go together.
const OPTIONS: [&[&str]; 4] = [
    &["--inserts", "--clean", "--if-exists", "--no-comments", "--quote-all-identifiers"],
    &[
        "--column-inserts",
        "--rows-per-insert=7",
        "--use-set-session-authorization",
        "--disable-dollar-quoting",
        "--verbose",
    ],
    &["--load-via-partition-root", "--no-owner", "--no-acl", "--no-toast-compression"],
    &["--use-set-session-authorization", "--verbose", "--enable-row-security", "--no-publications"],
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

#[test]
fn a_dump_made_with_any_options_loads_as_psql_loads_it() -> Result<()> {
    let server = Postgres::start()?;
    oddities::create(&server, "piprio")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("d.sql.gz");
    let mut failed = Vec::new();
    for options in OPTIONS {
        pg_dump_to(&server, "piprio", options, &file)?;
        let loaded = ensure_loads(&server, &file, &options.join(" "));
        failed.extend(loaded.err().map(|error| format!("{error:#}")));
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn what_pg_restore_writes_and_a_part_of_a_database_load_as_psql_loads_them() -> Result<()> {
    let server = Postgres::start()?;
    server.create_tenants("piprio", 3, 50)?;
    let dir = tempfile::tempdir()?;
    let (archive, file) = (dir.path().join("d.dump"), dir.path().join("d.sql.gz"));
    let mut pg_dump = server.client("pg_dump");
    ensure!(pg_dump.args(["-Fc", "-d", "piprio", "-f"]).arg(&archive).status()?.success());
    let mut pg_restore = server.client("pg_restore");
    let mut text = pg_restore.args(["-f", "-"]).arg(&archive).stdout(Stdio::piped()).spawn()?;
    let mut gzip = std::process::Command::new("gzip");
    gzip.stdin(text.stdout.take().map_or(Stdio::null(), Stdio::from));
    ensure!(gzip.stdout(std::fs::File::create(&file)?).status()?.success());
    ensure!(text.wait()?.success());
    ensure_loads(&server, &file, "pg_restore")?;
    for part in [
        &["--schema-only"][..],
        &["--exclude-schema=tenant_0002", "--exclude-table-data=tenant_0001.*"],
        &["--schema=public", "--no-blobs"],
    ] {
        pg_dump_to(&server, "piprio", part, &file)?;
        ensure_loads(&server, &file, &part.join(" "))?;
    }
    Ok(())
}
