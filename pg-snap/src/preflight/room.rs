//! Room on the server's disk for a second database.

use super::facts::Facts;
use crate::client::Clients;
use crate::head::Needs;
use pipe_kit::child;
use pipe_kit::text;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

/// How large a database is, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseSize {
    pub bytes: u64,
    /// Guessed from the dump's own size.
    pub guessed: bool,
}

/// Room where the new database will lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// Bytes free.
    Free(u64),
    /// Not known, and why.
    Unknown(String),
}

/// Whether there is room.
#[derive(Debug, PartialEq, Eq)]
pub enum RoomVerdict {
    Enough,
    /// Not known; a note.
    Unknown(String),
    /// A problem, with its remedy.
    TooLittle(String),
}

/// The growth of a database from gzipped SQL, and from SQL, as measured on dumps of documents and logs and
/// rounded down, so that a guess seldom refuses a dump that would fit.
const FROM_GZIP: u64 = 5;
const FROM_SQL: u64 = 1;

/// The size that the dump states, or a guess from the size of its file.
pub fn needed(needs: &Needs, file: &Path) -> Option<DatabaseSize> {
    if let Some(bytes) = needs.state.as_ref().and_then(|state| state.size_bytes) {
        return Some(DatabaseSize { bytes, guessed: false });
    }
    let mut open = std::fs::File::open(file).ok()?;
    let bytes = open.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    let mut magic = [0; 2];
    let gzip = open.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let factor = if gzip { FROM_GZIP } else { FROM_SQL };
    Some(DatabaseSize { bytes: bytes * factor, guessed: true })
}

/// Decides. A tenth is left, or what the server may write to its log of changes meanwhile.
pub fn verdict(
    needed: Option<DatabaseSize>,
    room: &Room,
    facts: &Facts,
    drop_first: bool,
) -> RoomVerdict {
    let Some(size) = needed else {
        return RoomVerdict::Unknown(
            "cannot determine whether there is room for the database: its size is unknown".into(),
        );
    };
    let free = match room {
        Room::Free(free) => *free,
        Room::Unknown(why) => {
            let about = size.describe();
            return RoomVerdict::Unknown(format!(
                "cannot determine whether there is room for the new database ({about}): {why}"
            ));
        }
    };
    let old = facts.database.as_ref().and_then(|d| d.size_bytes).unwrap_or(0);
    let want = size.bytes + (size.bytes / 10).max(size.bytes.min(facts.max_wal_size));
    let have = if drop_first { free + old } else { free };
    if want <= have {
        return RoomVerdict::Enough;
    }
    let line = format!(
        "the new database takes {}, or {} with the write-ahead log, but only {} is free on the server's disk",
        size.describe(),
        text::size(want),
        text::size(free)
    );
    RoomVerdict::TooLittle(match (drop_first, want <= free + old) {
        (true, _) => format!("{line}, plus {} in the old database; make room", text::size(old)),
        (false, true) => format!(
            "{line}; --drop-first drops the old database ({}) before the new one is made",
            text::size(old)
        ),
        (false, false) => format!("{line}; --drop-first would free {}: make room", text::size(old)),
    })
}

impl DatabaseSize {
    fn describe(self) -> String {
        let about = if self.guessed { "about " } else { "" };
        format!("{about}{}", text::size(self.bytes))
    }
}

/// Looks at the server's disk: through the prefix of the clients, or here where the server is here.
pub fn measure(clients: &Clients, facts: &Facts, needs: &Needs) -> Room {
    let Some(data) = &facts.data_directory else {
        return Room::Unknown(format!(
            "role {} may not read the server's data_directory (GRANT pg_read_all_settings)",
            facts.me
        ));
    };
    if !clients.have_prefix() && !server_is_here() {
        return Room::Unknown("the server runs on another host".into());
    }
    let pid_file = run_beside_clients(clients, "cat", &[&format!("{data}/postmaster.pid")]);
    if !pid_file.is_some_and(|text| is_of_server(&text, facts)) {
        return Room::Unknown(format!(
            "{data} on this host is not readable, or not of that server"
        ));
    }
    let space = needs.state.as_ref().map(|s| &s.tablespace).and_then(|s| facts.tablespaces.get(s));
    let place = space.map(|space| &space.place).filter(|place| !place.is_empty()).unwrap_or(data);
    match run_beside_clients(clients, "df", &["-Pk", place]).as_deref().and_then(free_of) {
        Some(free) => Room::Free(free),
        None => Room::Unknown(format!("df -Pk {place} printed no size")),
    }
}

fn run_beside_clients(clients: &Clients, program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = clients.beside(program);
    child::capture(command.args(arguments).stdin(Stdio::null()), program).ok()
}

/// By a socket, or a loopback address: what lies behind a forwarded port is recognised by its
/// data directory.
fn server_is_here() -> bool {
    let hosts = ["PGHOSTADDR", "PGHOST"].map(|name| std::env::var(name).unwrap_or_default());
    let host = hosts.into_iter().find(|host| !host.is_empty()).unwrap_or_default();
    host.is_empty()
        || host.starts_with(['/', '@'])
        || matches!(host.as_str(), "localhost" | "::1")
        || host.starts_with("127.")
}

/// Whether this `postmaster.pid` is of the server that answered: its third line is the time it was
/// started, its fourth the port.
fn is_of_server(pid_file: &str, facts: &Facts) -> bool {
    const SECONDS_TO_START: i64 = 60;
    let lines: Vec<&str> = pid_file.lines().map(str::trim).collect();
    let number = |at: usize| lines.get(at).and_then(|line| line.parse::<i64>().ok());
    number(2).is_some_and(|started| (facts.started - started).abs() <= SECONDS_TO_START)
        && number(3) == Some(facts.port.into())
}

/// The free bytes in the output of `df -Pk`: the fourth word of the last line, which may begin with a
/// device's name with spaces in it, counted from the percentage.
fn free_of(df: &str) -> Option<u64> {
    let words: Vec<&str> = df.lines().last()?.split_whitespace().collect();
    let percent = words.iter().position(|word| word.ends_with('%'))?;
    words.get(percent.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::super::facts::Existing;
    use super::*;

    fn facts(old: u64) -> Facts {
        let database = Existing { size_bytes: Some(old), ..Existing::default() };
        Facts {
            database: Some(database),
            max_wal_size: 30,
            port: 5432,
            started: 1_700_000_000,
            ..Facts::default()
        }
    }

    #[test]
    fn room_is_wanted_for_the_database_and_a_margin_and_the_old_one_counts_if_it_goes_first() {
        let mib = |n: u64| n << 20;
        let size = |n| Some(DatabaseSize { bytes: mib(n), guessed: false });
        let mut facts = facts(mib(50));
        facts.max_wal_size = mib(30);
        let enough =
            |free, drop_first| verdict(size(100), &Room::Free(mib(free)), &facts, drop_first);
        assert_eq!(enough(130, false), RoomVerdict::Enough);
        assert_eq!(enough(80, true), RoomVerdict::Enough);
        let RoomVerdict::TooLittle(line) = enough(129, false) else { panic!() };
        assert!(line.contains("or 130.0 MiB with"), "{line}");
        assert!(line.contains("--drop-first drops"), "{line}");
        let RoomVerdict::TooLittle(line) = enough(70, true) else { panic!() };
        assert!(line.ends_with("50.0 MiB in the old database; make room"), "{line}");
        let RoomVerdict::TooLittle(line) = enough(10, false) else { panic!() };
        assert!(line.ends_with("would free 50.0 MiB: make room"), "{line}");
        let unknown = Room::Unknown("why".into());
        assert!(matches!(verdict(size(1), &unknown, &facts, false), RoomVerdict::Unknown(_)));
        assert!(matches!(verdict(None, &Room::Free(0), &facts, false), RoomVerdict::Unknown(_)));
    }

    #[test]
    fn another_servers_directory_is_not_believed() {
        let file = "77\n/data\n1699999990\n5432\n/run\nlocalhost\n";
        assert!(is_of_server(file, &facts(0)));
        assert!(!is_of_server(&file.replace("5432", "5433"), &facts(0)));
        assert!(!is_of_server(&file.replace("1699999990", "1600000000"), &facts(0)));
        assert!(!is_of_server("", &facts(0)));
    }

    #[test]
    fn reads_the_output_of_df() {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        assert_eq!(free_of(&format!("{head}/dev/sda 100 60 40 60% /\n")), Some(40 << 10));
        assert_eq!(free_of(&format!("{head}//host/a share 9 5 4 56% /a b\n")), Some(4 << 10));
        assert_eq!(free_of(head), None);
        assert_eq!(free_of(""), None);
    }
}
