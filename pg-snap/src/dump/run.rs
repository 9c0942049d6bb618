//! A run of `dump`: what all its sessions have in common, and that none of them stays.

use super::assembly::Assembly;
use crate::client::Client;
use crate::psql::{Server, Sessions};
use crate::sql::literal;
use anyhow::{Context, Result};
use pipe_kit::say;
use std::time::Duration;

/// What the sessions of every run are called, followed by which run it is.
const NAME: &str = "pg-snap dump ";

/// See the module.
pub struct Run<'a> {
    pub server: &'a Server,
    pub database: &'a str,
    /// Of its sessions.
    pub name: String,
    pub pg_dump: Client,
    /// Of the dump: the database's own.
    pub encoding: String,
    /// Whether pg_dump, under the settings of the database and the role, writes strings in which
    /// backslashes are doubled.
    pub backslashes_escape: bool,
    /// How long to wait for a table that somebody holds locked.
    pub lock_wait: Duration,
    pub assembly: Assembly,
    pub bar: pipe_kit::progress::Bar,
}

impl Run<'_> {
    /// # Errors
    /// If another part of the run has failed.
    pub fn check(&self) -> Result<()> {
        if self.assembly.is_abandoned() { Err(super::abandoned()) } else { Ok(()) }
    }

    /// Whether the server cannot tell what its text is in UTF-8.
    pub fn is_bytewise(&self) -> bool {
        ["SQL_ASCII", "MULE_INTERNAL"].contains(&self.encoding.as_str())
    }

    /// For an error: which tables somebody holds locked against everybody, or one of them, and who.
    pub fn locked(&self, table: Option<u32>) -> String {
        let which = table.map(|oid| format!("AND l.relation = {oid}"));
        let who = self.server.query(
            self.database,
            &format!(
                "SELECT pg_catalog.string_agg(DISTINCT l.relation::pg_catalog.regclass || ' by ' \
                   || a.usename || ' (pid ' || a.pid || ')', ', ') \
                 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) \
                 WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' {} \
                   AND l.database = (SELECT oid FROM pg_catalog.pg_database \
                     WHERE datname = pg_catalog.current_database())",
                which.unwrap_or_default()
            ),
        );
        match who.as_deref().unwrap_or_default().trim() {
            "" => String::new(),
            who => format!(" (locked: {who})"),
        }
    }
}

/// The name of this run's sessions: the host, in its present boot and process namespace, our pid, and
/// when we began, so that a later run can tell that we are gone.
pub fn name() -> String {
    let pid = std::process::id();
    format!("{NAME}{}.{pid}.{}", place(), begun(pid).unwrap_or_default())
}

/// FNV-1a over what tells this host's processes from another's.
fn place() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let pids = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = format!("{host}{boot}{}", pids.display());
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// When a process began, in the kernel's ticks since the boot; none where there is none.
fn begun(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Ends the sessions that runs of ours on this host have left when they were killed.
///
/// # Errors
/// If the server does not answer.
pub fn end_leftovers(server: &Server, database: &str) -> Result<()> {
    let names = server.query(
        &server.maintenance,
        &format!(
            "SELECT DISTINCT application_name FROM pg_catalog.pg_stat_activity WHERE datname = {} \
             AND application_name LIKE {}",
            literal(database),
            literal(&format!("{NAME}%"))
        ),
    )?;
    for name in names.lines().filter(|name| is_leftover(name, &place(), begun)) {
        let ended =
            server.end_sessions(Sessions::Named(name)).context("ending the dump's sessions")?;
        if ended > 0 {
            say!("ended {ended} session(s) that a dump which was killed had left");
        }
    }
    Ok(())
}

fn is_leftover(name: &str, place: &str, begun: impl Fn(u32) -> Option<u64>) -> bool {
    let Some(rest) = name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(place)) else {
        return false;
    };
    let mut parts = rest.split('.');
    let (Some(""), Some(pid), Some(start), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    match (pid.parse(), start.parse()) {
        (Ok(pid), Ok(start)) => begun(pid) != Some(start),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_is_of_this_host_and_of_a_process_that_is_gone() {
        let begun = |pid| (pid == 7).then_some(100);
        let left = |name: &str| is_leftover(name, "abc", begun);
        assert!(left("pg-snap dump abc.8.100") && left("pg-snap dump abc.7.99"));
        for name in
            ["pg-snap dump abc.7.100", "pg-snap dump abd.8.100", "pg-snap dump abc.8", "psql"]
        {
            assert!(!left(name), "{name}");
        }
    }

    #[test]
    fn this_run_is_no_leftover_and_its_name_is_not_cut() {
        assert!(!is_leftover(&name(), &place(), begun));
        assert!(name().len() <= 63, "{}", name());
        assert!(begun(std::process::id()).is_some() && begun(u32::MAX).is_none());
    }
}
