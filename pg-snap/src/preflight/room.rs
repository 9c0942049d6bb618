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
pub struct Size {
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
pub enum Verdict {
    Enough,
    /// It cannot be told; a note.
    Untold(String),
    /// A problem, with its remedy.
    TooLittle(String),
}

/// How much a database grows from gzipped SQL, and from SQL: what dumps of documents and of logs
/// showed, rounded down, so that a guess seldom refuses what would fit.
const FROM_GZIP: u64 = 5;
const FROM_SQL: u64 = 1;

/// The size that the dump tells, else a guess from the file's.
pub fn needed(needs: &Needs, file: &Path) -> Option<Size> {
    if let Some(bytes) = needs.state.as_ref().and_then(|state| state.size_bytes) {
        return Some(Size { bytes, guessed: false });
    }
    let mut open = std::fs::File::open(file).ok()?;
    let bytes = open.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    let mut magic = [0; 2];
    let gzip = open.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let factor = if gzip { FROM_GZIP } else { FROM_SQL };
    Some(Size { bytes: bytes * factor, guessed: true })
}

/// Decides. A tenth is left, or what the server may write to its log of changes meanwhile.
pub fn verdict(needed: Option<Size>, room: &Room, facts: &Facts, drop_first: bool) -> Verdict {
    let Some(size) = needed else {
        return Verdict::Untold(
            "whether there is room for the database cannot be told: neither the dump nor a file tells a size"
                .into(),
        );
    };
    let free = match room {
        Room::Free(free) => *free,
        Room::Unknown(why) => {
            let about = size.in_words();
            return Verdict::Untold(format!(
                "whether there is room for the new database ({about}) cannot be told: {why}"
            ));
        }
    };
    let old = facts.database.as_ref().and_then(|d| d.size_bytes).unwrap_or(0);
    let want = size.bytes + (size.bytes / 10).max(size.bytes.min(facts.max_wal_size));
    let have = if drop_first { free + old } else { free };
    if want <= have {
        return Verdict::Enough;
    }
    let line = format!(
        "the new database takes {} and {} is wanted with the log of changes, but only {} is free on the server's disk",
        size.in_words(),
        text::size(want),
        text::size(free)
    );
    Verdict::TooLittle(match (drop_first, want <= free + old) {
        (true, _) => format!("{line}, and {} in the old database; make room", text::size(old)),
        (false, true) => format!(
            "{line}; --drop-first drops the old database ({}) before the new one is made",
            text::size(old)
        ),
        (false, false) => format!("{line}; --drop-first would free {}: make room", text::size(old)),
    })
}

impl Size {
    fn in_words(self) -> String {
        let about = if self.guessed { "about " } else { "" };
        format!("{about}{}", text::size(self.bytes))
    }
}

/// Looks at the server's disk: through the prefix of the clients, or here where the server is here.
pub fn look(clients: &Clients, facts: &Facts, needs: &Needs) -> Room {
    let Some(data) = &facts.data_directory else {
        return Room::Unknown(format!(
            "role {} may not know where the server keeps its data (GRANT pg_read_all_settings)",
            facts.me
        ));
    };
    if !clients.have_prefix() && !server_is_here() {
        return Room::Unknown("the server runs on another host".into());
    }
    let pid_file = read(clients, "cat", &[&format!("{data}/postmaster.pid")]);
    if !pid_file.is_some_and(|text| is_of_server(&text, facts)) {
        return Room::Unknown(format!("{data} cannot be looked at from here as that server's"));
    }
    let space = needs.state.as_ref().map(|s| &s.tablespace).and_then(|s| facts.tablespaces.get(s));
    let place = space.map(|space| &space.place).filter(|place| !place.is_empty()).unwrap_or(data);
    match read(clients, "df", &["-Pk", place]).as_deref().and_then(free_of) {
        Some(free) => Room::Free(free),
        None => Room::Unknown(format!("df -Pk {place} gave no answer")),
    }
}

fn read(clients: &Clients, program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = clients.beside(program);
    child::capture(command.args(arguments).stdin(Stdio::null()), program).ok()
}

/// By a socket, or a loopback address: what lies behind a forwarded port is told by its data
/// directory.
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

/// The bytes free that `df -Pk` tells: the fourth word of the last line, which may begin with a
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
        let size = |n| Some(Size { bytes: mib(n), guessed: false });
        let mut facts = facts(mib(50));
        facts.max_wal_size = mib(30);
        let enough =
            |free, drop_first| verdict(size(100), &Room::Free(mib(free)), &facts, drop_first);
        assert_eq!(enough(130, false), Verdict::Enough);
        assert_eq!(enough(80, true), Verdict::Enough);
        let Verdict::TooLittle(line) = enough(129, false) else { panic!() };
        assert!(line.contains("130.0 MiB is wanted"), "{line}");
        assert!(line.contains("--drop-first drops"), "{line}");
        let Verdict::TooLittle(line) = enough(70, true) else { panic!() };
        assert!(line.ends_with("50.0 MiB in the old database; make room"), "{line}");
        let Verdict::TooLittle(line) = enough(10, false) else { panic!() };
        assert!(line.ends_with("would free 50.0 MiB: make room"), "{line}");
        let unknown = Room::Unknown("why".into());
        assert!(matches!(verdict(size(1), &unknown, &facts, false), Verdict::Untold(_)));
        assert!(matches!(verdict(None, &Room::Free(0), &facts, false), Verdict::Untold(_)));
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
    fn reads_what_df_tells() {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        assert_eq!(free_of(&format!("{head}/dev/sda 100 60 40 60% /\n")), Some(40 << 10));
        assert_eq!(free_of(&format!("{head}//host/a share 9 5 4 56% /a b\n")), Some(4 << 10));
        assert_eq!(free_of(head), None);
        assert_eq!(free_of(""), None);
    }
}
