//! A run of `dump`: what its sessions have in common, and how they are all ended.

use super::reorder_buffer::{Abandoned, ReorderBuffer};
use super::session;
use crate::client::Client;
use crate::psql::{Server, Sessions};
use crate::sql::literal;
use anyhow::{Context, Result};
use pipe_kit::child::Words;
use pipe_kit::info;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The prefix of the names of all runs' sessions.
const NAME: &str = "pg-snap dump ";

pub struct DumpRun<'a> {
    pub server: &'a Server,
    pub database: &'a str,
    pub name: String,
    pub pg_dump: Client,
    /// The pg_restore of the same version, which finds a section in an archive of pg_dump. None: there is none.
    pub pg_restore: Option<Client>,
    /// Of the dump, which is that of the database.
    pub encoding: String,
    /// Whether pg_dump, under the settings of the database and the role, writes strings in which
    /// backslashes are doubled.
    pub backslashes_escape: bool,
    /// How long to wait for a table that another session holds locked.
    pub lock_wait: Duration,
    pub buffer: ReorderBuffer,
    /// What pg_dump and pg_restore have written to stderr without failing.
    pub words: Words,
    pub bar: pipe_kit::progress::Bar,
    /// Set when pg_dump no longer reads the catalog, nor holds locks.
    pub defined: AtomicBool,
}

impl DumpRun<'_> {
    pub fn fail_if_abandoned(&self) -> Result<()> {
        if self.buffer.is_abandoned() { Err(Abandoned.into()) } else { Ok(()) }
    }

    /// Whether the server cannot convert its text to UTF-8.
    pub fn is_bytewise(&self) -> bool {
        session::is_bytewise(&self.encoding)
    }

    /// Whether the definitions are complete.
    pub fn is_defined(&self) -> bool {
        self.defined.load(Ordering::SeqCst)
    }

    /// For an error: the tables with an exclusive lock, or one of them, who holds it, and what ends it.
    pub fn lock_holders(&self, table: Option<u32>) -> String {
        let table = table.map_or("NULL".to_owned(), |oid| oid.to_string());
        let who = include_str!("lock_holders.sql").replace(":table", &table);
        let who = self.server.query(self.database, &who).unwrap_or_default();
        match who.trim() {
            "" => String::new(),
            who => format!(" (locked: {})", who.replace(char::is_control, " ")),
        }
    }
}

/// The name of this run's sessions: the host, in its present boot and process namespace, our pid, and
/// when we began, so that a later run can see whether this one still lives.
pub fn session_name() -> String {
    let pid = std::process::id();
    format!("{NAME}{}.{pid}.{}", host_id(), start_time(pid).unwrap_or_default())
}

/// FNV-1a over what distinguishes the processes of this host from those of another.
fn host_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let pids = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = format!("{host}{boot}{}", pids.display());
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// When a process started, in clock ticks since boot; none if there is no such process.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// A query that lists the names of the sessions of all dumps of the database, for [`end_leftover_sessions`].
pub fn list_sessions() -> String {
    format!(
        "SELECT coalesce(pg_catalog.json_agg(DISTINCT application_name), '[]') \
         FROM pg_catalog.pg_stat_activity \
         WHERE datname = pg_catalog.current_database() AND application_name LIKE {};\n",
        literal(&format!("{NAME}%"))
    )
}

/// Ends the sessions left by killed runs on this host.
pub fn end_leftover_sessions(server: &Server, names: &[String]) -> Result<()> {
    for name in names.iter().filter(|name| is_leftover(name, &host_id(), start_time)) {
        let ended =
            server.end_sessions(Sessions::Named(name)).context("ending the dump's sessions")?;
        if ended > 0 {
            info!("ended the sessions that a killed dump had left ({ended})");
        }
    }
    Ok(())
}

fn is_leftover(name: &str, host: &str, start_time: impl Fn(u32) -> Option<u64>) -> bool {
    let Some(rest) = name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(host)) else {
        return false;
    };
    let mut parts = rest.split('.');
    let (Some(""), Some(pid), Some(start), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    match (pid.parse(), start.parse()) {
        (Ok(pid), Ok(start)) => start_time(pid) != Some(start),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_is_of_this_host_and_of_a_process_that_is_gone() {
        let start_time = |pid| (pid == 7).then_some(100);
        let left = |name: &str| is_leftover(name, "abc", start_time);
        assert!(left("pg-snap dump abc.8.100") && left("pg-snap dump abc.7.99"));
        for name in
            ["pg-snap dump abc.7.100", "pg-snap dump abd.8.100", "pg-snap dump abc.8", "psql"]
        {
            assert!(!left(name), "{name}");
        }
    }

    #[test]
    fn this_run_is_no_leftover_and_its_name_is_not_cut() {
        assert!(!is_leftover(&session_name(), &host_id(), start_time));
        assert!(session_name().len() <= 63, "{}", session_name());
        assert!(start_time(std::process::id()).is_some() && start_time(u32::MAX).is_none());
    }
}
