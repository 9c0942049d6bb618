//! Settings of the sessions that load.

use super::statistics;
use crate::psql::Server;

/// What the dump has set so far: each name with the last statement that set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    /// Takes a statement that sets something.
    pub fn set(&mut self, name: String, statement: Vec<u8>) {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, statement));
    }

    /// Those under which the server is asked for definitions, and these are run again.
    pub fn of_ours() -> Self {
        let mut seen = Self::default();
        for (name, statement) in [
            (".client_encoding", "SET client_encoding = 'UTF8';\n"),
            (".search_path", "SET search_path = '';\n"),
            (".standard_conforming_strings", "SET standard_conforming_strings = on;\n"),
        ] {
            seen.set(name.into(), statement.into());
        }
        seen
    }

    /// The statements that bring a session to this point.
    pub fn to_sql(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(_, statement)| statement).copied().collect()
    }
}

/// Memory for building one index: within these, in megabytes.
const MEMORY: (u64, u64) = (64, 512);
/// How long a statement of a load may wait for a lock. Nobody else uses the database that is loaded, but
/// roles and tablespaces are everybody's.
const LOCK_TIMEOUT: &str = "10min";
/// Of the server's free memory, all sessions together take one part in so many.
const PART: u64 = 8;

/// What every session of a load begins with. It ends with the session.
///
/// Nothing is lost by not waiting for the disk at each commit: the database is nobody's before the
/// names are swapped, and that swap waits.
pub fn begin(server: &Server, jobs: usize) -> String {
    format!(
        "SET synchronous_commit = off;\nSET lock_timeout = '{LOCK_TIMEOUT}';\n{}",
        begin_in_place(server, jobs)
    )
}

/// The same where the database is in use, so that what is committed must last.
pub fn begin_in_place(server: &Server, jobs: usize) -> String {
    let memory = maintenance_memory(server, jobs as u64);
    format!(
        "SET maintenance_work_mem = '{memory}MB';\nSET jit = off;\nSET array_nulls = on;\nSET exit_on_error = off;\nSET quote_all_identifiers = off;\n{}",
        statistics::BEGIN
    )
}

/// In megabytes. Where the server's memory may not be looked at, what it gives its own cache tells
/// what it is used to.
fn maintenance_memory(server: &Server, jobs: u64) -> u64 {
    let number = |ask: &str| {
        let answer = server.query(&server.maintenance, ask).ok()?;
        answer.trim().parse::<u64>().ok()
    };
    let own = number(
        "SELECT setting::bigint / 1024 FROM pg_catalog.pg_settings WHERE name = 'maintenance_work_mem'",
    );
    let free = number(
        // Of a container's memory, only its own limits tell.
        "SELECT least(\
           substring(pg_catalog.pg_read_file('/proc/meminfo') from 'MemAvailable: +([0-9]+)')::numeric * 1024, \
           nullif(btrim(pg_catalog.pg_read_file('/sys/fs/cgroup/memory.max', 0, 32, true), E'\\n'), 'max')::numeric, \
           btrim(pg_catalog.pg_read_file('/sys/fs/cgroup/memory/memory.limit_in_bytes', 0, 32, true), E'\\n')::numeric\
         )::bigint / 1048576",
    );
    let cache = || {
        number(
            "SELECT setting::bigint * 8 / 1024 FROM pg_catalog.pg_settings WHERE name = 'shared_buffers'",
        )
    };
    let each = free.or_else(cache).unwrap_or_default() / PART / jobs.max(1);
    decide(own.unwrap_or_default(), each)
}

/// Never less than what the server gives anybody.
fn decide(own: u64, each: u64) -> u64 {
    own.max(each.clamp(MEMORY.0, MEMORY.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_statement_of_a_name_counts() {
        let mut seen = Seen::default();
        for (name, sql) in [("a", "1;"), ("b", "2;"), ("a", "3;")] {
            seen.set(name.into(), sql.into());
        }
        assert_eq!(seen.to_sql(), b"2;3;");
    }

    #[test]
    fn memory_is_by_what_there_is_and_never_less_than_the_servers_own() {
        for (own, each, memory) in [(64, 10, 64), (64, 300, 300), (64, 5000, 512), (2000, 10, 2000)]
        {
            assert_eq!(decide(own, each), memory, "{own} {each}");
        }
    }
}
