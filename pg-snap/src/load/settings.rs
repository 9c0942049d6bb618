//! Settings of the sessions that load.

use super::statistics;
use crate::psql::Server;

/// The settings that the dump has made so far: each name with the last statement that set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSettings(Vec<(String, Vec<u8>)>);

impl SessionSettings {
    /// Records a statement that sets something.
    pub fn set(&mut self, name: String, statement: Vec<u8>) {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, statement));
    }

    /// The last statement that set it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, statement)| statement.as_slice())
    }

    /// The settings under which the server is asked for definitions, and under which these run again.
    pub fn for_definitions() -> Self {
        let mut settings = Self::default();
        for (name, statement) in [
            (".client_encoding", "SET client_encoding = 'UTF8';\n"),
            (".search_path", "SET search_path = '';\n"),
            (".standard_conforming_strings", "SET standard_conforming_strings = on;\n"),
        ] {
            settings.set(name.into(), statement.into());
        }
        settings
    }

    /// The statements that bring a session to this point.
    pub fn to_sql(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(_, statement)| statement).copied().collect()
    }
}

/// Whether a setting of the dump is left out: the limit of waiting for locks is the load's own, and a newer
/// pg_dump sets what an older server does not know.
pub fn is_ignored(name: &str, server_major: u32) -> bool {
    name == ".lock_timeout" || name == ".transaction_timeout" && server_major < 17
}

/// Memory for building one index: within these, in megabytes.
const MEMORY: (u64, u64) = (64, 512);
/// How long a statement of a load may wait for a lock. Nothing else uses the incoming database, but roles
/// and tablespaces are shared with all databases.
const LOCK_TIMEOUT: &str = "10min";
/// All sessions together use the server's free memory divided by this.
const PART: u64 = 8;

/// The settings that every session of a load begins with.
///
/// Commits need not wait for the disk: nothing uses the incoming database before the swap, and the swap
/// waits.
pub fn for_incoming(server: &Server, jobs: usize) -> String {
    format!(
        "SET synchronous_commit = off;\nSET lock_timeout = '{LOCK_TIMEOUT}';\n{}",
        for_database_in_use(server, jobs)
    )
}

/// The same for a database in use, whose commits must last.
pub fn for_database_in_use(server: &Server, jobs: usize) -> String {
    let memory = maintenance_memory(server, jobs as u64);
    format!(
        "SET maintenance_work_mem = '{memory}MB';\nSET jit = off;\nSET array_nulls = on;\nSET exit_on_error = off;\nSET quote_all_identifiers = off;\n{}",
        statistics::SET_SAMPLE
    )
}

/// The memory for one session, in megabytes. If the role may not read the server's free memory, the
/// size of the server's cache is used.
fn maintenance_memory(server: &Server, jobs: u64) -> u64 {
    let number = |query: &str| {
        let answer = server.query(&server.maintenance, query).ok()?;
        answer.trim().parse::<u64>().ok()
    };
    let own = number(
        "SELECT setting::bigint / 1024 FROM pg_catalog.pg_settings WHERE name = 'maintenance_work_mem'",
    );
    let free = number(include_str!("settings/free_memory.sql"));
    let cache = || {
        number(
            "SELECT setting::bigint * 8 / 1024 FROM pg_catalog.pg_settings WHERE name = 'shared_buffers'",
        )
    };
    let each = free.or_else(cache).unwrap_or_default() / PART / jobs.max(1);
    choose(own.unwrap_or_default(), each)
}

/// Never less than the server's own setting.
fn choose(own: u64, each: u64) -> u64 {
    own.max(each.clamp(MEMORY.0, MEMORY.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_statement_of_a_name_counts() {
        let mut settings = SessionSettings::default();
        for (name, sql) in [("a", "1;"), ("b", "2;"), ("a", "3;")] {
            settings.set(name.into(), sql.into());
        }
        assert_eq!(settings.to_sql(), b"2;3;");
    }

    #[test]
    fn memory_is_by_what_there_is_and_never_less_than_the_servers_own() {
        for (own, each, memory) in [(64, 10, 64), (64, 300, 300), (64, 5000, 512), (2000, 10, 2000)]
        {
            assert_eq!(choose(own, each), memory, "{own} {each}");
        }
    }
}
