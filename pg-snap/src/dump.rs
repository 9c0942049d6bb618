//! `pg-snap dump`: the database as one gzipped plain-SQL stream.

use crate::client::Clients;
use crate::database_state::DatabaseState;
use crate::gzip;
use crate::psql::{self, Server};
use anyhow::{Context, Result, bail};
use pipe_kit::child::{self, OutputReader};
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Stdio;

/// How long to wait for a table that somebody holds locked, in milliseconds: a dump that hangs for
/// ever is a backup that silently stopped happening.
const LOCK_WAIT: &str = "300000";
const END_MARKER: &[u8] = b"-- PostgreSQL database dump complete";

/// What `dump` is told.
pub struct Options {
    /// Gzip level, 1 to 9.
    pub level: u32,
    /// Threads that compress.
    pub jobs: NonZero<usize>,
}

/// Dumps `PGDATABASE` to standard output.
///
/// # Errors
/// If there is no fitting client, the server does not answer or goes away, or the output cannot be
/// written. What was written by then is visibly cut: the gzip stream is not ended.
pub fn run(clients: &Clients, options: &Options) -> Result<()> {
    let out = pipe_kit::output::binary()?;
    let database = psql::wanted_database()?;
    let server = Server::connect(clients, &database)?;
    let state = DatabaseState::read(&server, &database)?
        .with_context(|| format!("the server has no database {database}"))?
        .with_contents(&server)?;
    let pg_dump = clients.pg_dump(server.version)?;

    let mut command = pg_dump.command();
    command
        .args(["--format=plain", "--no-password", "--lock-wait-timeout", LOCK_WAIT])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut source = child::spawn_captured(&mut command, "pg_dump")?.into_reader()?;

    let bar = pipe_kit::progress::bytes(None, "dump");
    let mut out = gzip::Writer::new(out, options.level, options.jobs);
    write!(
        out,
        "--\n-- Dumped by pg-snap {}\n{}--\n\n",
        env!("CARGO_PKG_VERSION"),
        state.to_comment()?
    )
    .context("writing the dump")?;
    let mut tail = copy_head(&mut source, &mut out, server.version.major)?;
    copy_rest(&mut source, &mut out, &mut tail, &bar)?;
    if memchr::memmem::find(&tail, END_MARKER).is_none() {
        bail!(
            "pg_dump ended well, but without its end marker: the dump of {database} is not whole"
        );
    }
    bar.finish_and_clear();
    out.finish().context("writing the dump")?.finish()
}

const HEAD: u64 = 16 * 1024;

/// Copies the first lines, without the settings that a server older than the client lacks.
fn copy_head(
    source: &mut OutputReader,
    out: &mut impl Write,
    server_major: u32,
) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(HEAD).read_to_end(&mut head).context("dumping")?;
    let head = without_unknown_settings(&head, server_major);
    out.write_all(&head).context("writing the dump")?;
    Ok(head)
}

/// A pg_dump newer than the server sets what the server has never heard of.
pub fn without_unknown_settings(head: &[u8], server_major: u32) -> Vec<u8> {
    if server_major >= 17 {
        return head.to_vec();
    }
    let preamble = |line: &&[u8]| {
        line.len() <= 1
            || [&b"--"[..], b"SET ", b"\\restrict ", b"SELECT pg_catalog.set_config("]
                .iter()
                .any(|start| line.starts_with(start))
    };
    // Beyond its preamble, the same text may be a row of a table.
    let lines = || head.split_inclusive(|b| *b == b'\n');
    let end: usize = lines().take_while(preamble).map(<[u8]>::len).sum();
    let mut kept: Vec<u8> = head[..end]
        .split_inclusive(|b| *b == b'\n')
        .filter(|line| *line != b"SET transaction_timeout = 0;\n")
        .collect::<Vec<_>>()
        .concat();
    kept.extend_from_slice(&head[end..]);
    kept
}

/// Copies the rest; `tail` is left holding at least the last few hundred bytes.
fn copy_rest(
    source: &mut OutputReader,
    out: &mut impl Write,
    tail: &mut Vec<u8>,
    bar: &pipe_kit::progress::Bar,
) -> Result<()> {
    const TAIL: usize = 4096;
    let mut block = vec![0; 256 * 1024];
    loop {
        let n = source.read(&mut block).context("dumping")?;
        if n == 0 {
            return Ok(());
        }
        out.write_all(&block[..n]).context("writing the dump")?;
        tail.extend_from_slice(&block[n.saturating_sub(TAIL)..n]);
        tail.drain(..tail.len().saturating_sub(2 * TAIL));
        bar.inc(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::without_unknown_settings;

    #[test]
    fn a_newer_clients_setting_is_left_out_for_an_older_server_only() {
        let head = b"--\n\nSET transaction_timeout = 0;\nSET b = 1;\nCOPY t FROM stdin;\nSET transaction_timeout = 0;\n";
        let kept = b"--\n\nSET b = 1;\nCOPY t FROM stdin;\nSET transaction_timeout = 0;\n";
        assert_eq!(without_unknown_settings(head, 16), kept);
        assert_eq!(without_unknown_settings(head, 17), head);
    }
}
