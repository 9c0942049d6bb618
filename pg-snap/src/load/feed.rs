//! Feeding a dump to psql, and believing it only when both ends say that it was whole.

use crate::dump::without_unknown_settings;
use crate::lines::Blocks;
use crate::psql::Server;
use crate::scanner::{Observer, Scanner};
use anyhow::{Context, Result};
use pipe_kit::Stop;
use pipe_kit::child;
use std::io::{self, Read, Write};
use std::process::{ChildStdin, Stdio};

/// Passes scanned text on to psql. A psql that has ended is remembered, not reported: its own
/// words, asked for at the end, are the cause.
struct ToPsql {
    stdin: ChildStdin,
    gone: bool,
    bar: pipe_kit::progress::Bar,
}

impl Observer for ToPsql {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stdin.write_all(bytes) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Err(e).context("psql stopped reading")
            }
            written => {
                self.bar.inc(bytes.len() as u64);
                written.context("feeding psql")
            }
        }
    }
}

/// Loads the dump, of which `head` was read already, into `database`.
///
/// # Errors
/// [`Stop::damaged`] if it is not whole or holds a psql command; psql's own error.
pub fn feed<R: Read>(
    server: &Server,
    database: &str,
    head: &[u8],
    blocks: &mut Blocks<R>,
) -> Result<()> {
    let mut command = server.psql_command(database);
    command.stdout(Stdio::null());
    let mut psql = child::spawn_captured(&mut command, "psql")?;
    let stdin = psql.take_stdin().context("psql has no input pipe")?;
    let bar = pipe_kit::progress::bytes(None, "load");
    let mut to_psql = ToPsql { stdin, gone: false, bar };

    // A second lock on the door: psql itself then takes no command but this token's \unrestrict.
    let token = if server.psql().version.knows_restrict() { Some(random_token()?) } else { None };
    if let Some(token) = &token {
        to_psql.text(format!("\\restrict {token}\n").as_bytes())?;
    }
    to_psql.text(server.session().as_bytes())?;

    let mut scanner = if token.is_some() { Scanner::default() } else { Scanner::for_open_psql() };
    let head = without_unknown_settings(head, server.version.major);
    let fed = scan_all(&mut scanner, &head, blocks, &mut to_psql)
        .and_then(|()| Ok(scanner.finish()?))
        .and_then(|()| match &token {
            Some(token) => to_psql.text(format!("\\unrestrict {token}\n").as_bytes()),
            None => Ok(()),
        });
    to_psql.bar.finish_and_clear();
    if let (Err(_), false) = (&fed, to_psql.gone) {
        // Dropping psql ends it; what it has done so far goes with the half-made database.
        return fed;
    }
    drop(to_psql);
    psql.wait()?;
    fed
}

fn scan_all<R: Read>(
    scanner: &mut Scanner,
    head: &[u8],
    blocks: &mut Blocks<R>,
    to: &mut ToPsql,
) -> Result<()> {
    scanner.scan(head, to)?;
    while let Some(block) = blocks.next().map_err(reading)? {
        scanner.scan(block.bytes, to)?;
    }
    Ok(())
}

/// An error of the gzip stream is damage; any other is a failure to read.
pub fn reading(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Stop::damaged(format!(
                "the dump is not whole: its gzip stream is cut or damaged: {error}"
            ))
            .into()
        }
        _ => anyhow::Error::new(error).context("reading the dump"),
    }
}

fn random_token() -> Result<String> {
    let mut bytes = [0; 24];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .context("reading /dev/urandom")?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
