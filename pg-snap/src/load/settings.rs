//! Settings of the sessions that load.

use super::statistics;
use crate::psql::Server;

/// The settings that the dump has made so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSettings {
    /// Each name with the last statement that set it.
    statements: Vec<(String, Vec<u8>)>,
    /// The search path, a list of SQL, that holds instead of the dump's.
    path: Option<String>,
}

const CLIENT_ENCODING: &str = ".client_encoding";
const SEARCH_PATH: &str = ".search_path";

impl SessionSettings {
    /// Records a statement that sets something.
    pub fn set(&mut self, name: String, statement: Vec<u8>) {
        self.statements.retain(|(other, _)| *other != name);
        self.statements.push((name, statement));
    }

    /// The statement that has set it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.statements.iter().find(|(other, _)| other == name);
        found.map(|(_, statement)| statement.as_slice())
    }

    /// The same under this search path, or under the dump's.
    pub fn under(&self, path: Option<String>) -> Self {
        Self { path, ..self.clone() }
    }

    /// The search path that is not the dump's.
    pub fn other_path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The statements that set a search path, a list of SQL, whatever the encoding of the dump.
    pub fn set_search_path(&self, path: &str) -> Vec<u8> {
        let set = format!("SET search_path = {path};\n");
        if path.is_ascii() {
            return set.into_bytes();
        }
        let encoding = self.get(CLIENT_ENCODING).unwrap_or(b"RESET client_encoding;\n");
        [b"SET client_encoding = 'UTF8';\n", set.as_bytes(), encoding].concat()
    }

    /// The settings under which the server is asked for definitions, and under which these run again.
    pub fn for_definitions() -> Self {
        let mut settings = Self::default();
        for (name, statement) in [
            (CLIENT_ENCODING, "SET client_encoding = 'UTF8';\n"),
            (SEARCH_PATH, "SET search_path = '';\n"),
            (".standard_conforming_strings", "SET standard_conforming_strings = on;\n"),
        ] {
            settings.set(name.into(), statement.into());
        }
        settings
    }

    /// The statements that bring a session to this point.
    pub fn to_sql(&self) -> Vec<u8> {
        self.changes_since(&Self::default())
    }

    /// The statements that bring a session from another point to this one. No setting is ever without a statement again.
    pub fn changes_since(&self, before: &Self) -> Vec<u8> {
        let is_new = |(name, statement): &&(String, Vec<u8>)| before.get(name) != Some(statement);
        let new = self.statements.iter().filter(is_new);
        let mut changes: Vec<u8> = new.flat_map(|(_, statement)| statement).copied().collect();
        match &self.path {
            Some(path) => changes.extend(self.set_search_path(path)),
            None if before.path.is_some() => {
                changes.extend(self.get(SEARCH_PATH).unwrap_or(b"RESET search_path;\n"));
            }
            None => {}
        }
        changes
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
    fn a_session_gets_only_what_it_has_not() {
        let mut settings = SessionSettings::default();
        settings.set(SEARCH_PATH.into(), b"p;".into());
        settings.set(CLIENT_ENCODING.into(), b"e;".into());
        let other = settings.under(Some("'a'".into()));
        assert_eq!(settings.changes_since(&settings), b"");
        assert_eq!(other.changes_since(&settings), b"SET search_path = 'a';\n");
        assert_eq!(settings.changes_since(&other), b"p;");
        assert_eq!(other.to_sql(), b"p;e;SET search_path = 'a';\n");
        assert_eq!(
            settings.set_search_path("'é'"),
            "SET client_encoding = 'UTF8';\nSET search_path = 'é';\ne;".as_bytes()
        );
    }

    #[test]
    fn memory_is_by_what_there_is_and_never_less_than_the_servers_own() {
        for (own, each, memory) in [(64, 10, 64), (64, 300, 300), (64, 5000, 512), (2000, 10, 2000)]
        {
            assert_eq!(choose(own, each), memory, "{own} {each}");
        }
    }
}
