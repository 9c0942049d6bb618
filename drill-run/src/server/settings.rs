//! The settings of a server whose data is thrown away.

const MIB: u64 = 1 << 20;

/// As far as a load fills this: a part of the database's size, so that it stays within the room that was checked.
const WAL_PART: u64 = 20;

/// Its superuser. Every connection by the socket is trusted: only we and root can enter its directory.
pub const SUPERUSER: &str = "postgres";
/// It is not listened on, but is a part of the socket's name.
pub const PORT: u16 = 5432;

/// The arguments of `initdb`, besides the data directory. Each database gets its own locale from the dump.
pub const INITDB: [&str; 5] =
    ["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"];

/// How large the write-ahead log may become while a database of so many bytes is loaded.
pub fn wal_bytes(database: u64) -> u64 {
    (database / WAL_PART).clamp(64 * MIB, 1024 * MIB)
}

/// The arguments of `postgres`, besides the data directory. `memory` is what the host can spare, in bytes; `socket`
/// the directory of the socket; `mark` is that of [`super::record::mark`].
pub fn arguments(database: u64, memory: u64, socket: &str, mark: &str) -> Vec<String> {
    let part = |of: u64, most: u64| (memory / of).clamp(16 * MIB, most) / MIB;
    let sized = [
        format!("unix_socket_directories={socket}"),
        format!("port={PORT}"),
        format!("max_wal_size={}MB", wal_bytes(database) / MIB),
        format!("shared_buffers={}MB", part(16, 256 * MIB)),
        format!("maintenance_work_mem={}MB", part(32, 256 * MIB)),
        mark.to_owned(),
    ];
    let all = FIXED.iter().map(|it| (*it).to_owned()).chain(sized);
    all.flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

const FIXED: [&str; 25] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "ssl=off",
    "cluster_name=drill",
    // After a crash of the host the data is worthless, and a backup's time is not.
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "min_wal_size=32MB",
    "checkpoint_timeout=1h",
    "checkpoint_warning=0",
    // Where it is off, a load gathers complete statistics of all tables, which takes as long as their rows.
    "autovacuum=on",
    // A server that has crashed once must not seem to be well.
    "restart_after_crash=off",
    "jit=off",
    "huge_pages=off",
    // In the data directory, which is removed: /dev/shm would keep it if the server is killed.
    "dynamic_shared_memory_type=mmap",
    // 10,000 tables, each with its indexes and its sequence, in one transaction.
    "max_connections=100",
    "max_locks_per_transaction=1024",
    // Rows must not come into the log.
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "log_statement=none",
    "log_destination=stderr",
    "logging_collector=off",
    "log_line_prefix=%m [%p] %e ",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn value(arguments: &[String], name: &str) -> String {
        let prefix = format!("{name}=");
        let found: Vec<_> = arguments.iter().filter_map(|a| a.strip_prefix(&prefix)).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0].to_owned()
    }

    #[test]
    fn memory_and_the_log_of_changes_are_bounded_by_what_there_is() {
        for (database, memory, wal, buffers, maintenance) in [
            (0, 0, "64MB", "16MB", "16MB"),
            (1000 * MIB, 1024 * MIB, "64MB", "64MB", "32MB"),
            (4000 * MIB, 64 << 30, "200MB", "256MB", "256MB"),
            (1 << 40, 2 << 40, "1024MB", "256MB", "256MB"),
        ] {
            let all = arguments(database, memory, "/s", "a.b=c");
            assert_eq!(value(&all, "max_wal_size"), wal);
            assert_eq!(value(&all, "shared_buffers"), buffers);
            assert_eq!(value(&all, "maintenance_work_mem"), maintenance);
        }
    }

    #[test]
    fn no_address_is_listened_on_and_each_setting_has_its_option() {
        let all = arguments(1, 1, "/s", "piprio.drill=/d");
        assert_eq!(value(&all, "listen_addresses"), "");
        assert_eq!(value(&all, "unix_socket_directories"), "/s");
        assert_eq!(value(&all, "piprio.drill"), "/d");
        assert!(all.chunks(2).all(|pair| pair[0] == "-c" && pair[1].contains('=')), "{all:?}");
    }
}
