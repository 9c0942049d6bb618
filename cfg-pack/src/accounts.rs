//! Names and numbers of the users and groups of this host.

use crate::pax::digits;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a directory service may take to answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_NAME: usize = 256;

/// Both databases, read once.
pub struct Accounts {
    pub users: Database,
    pub groups: Database,
}

/// Users, or groups.
pub struct Database {
    /// What `getent` calls it; none for one that holds what it was given alone.
    service: Option<&'static str>,
    known: RefCell<Known>,
    /// A directory service that did not answer is not asked again.
    is_down: Cell<bool>,
}

#[derive(Default)]
struct Known {
    ids: BTreeMap<String, Option<u32>>,
    names: BTreeMap<u32, Option<String>>,
}

impl Accounts {
    /// This host's.
    pub fn here() -> Self {
        let read = |file: &str| std::fs::read(file).unwrap_or_default();
        Self {
            users: Database::new(Some("passwd"), &read("/etc/passwd")),
            groups: Database::new(Some("group"), &read("/etc/group")),
        }
    }

    /// Those of two files alone.
    #[cfg(any(test, fuzzing))]
    pub fn of_lines(users: &str, groups: &str) -> Self {
        Self {
            users: Database::new(None, users.as_bytes()),
            groups: Database::new(None, groups.as_bytes()),
        }
    }

    /// One of both.
    pub fn of(&self, is_group: bool) -> &Database {
        if is_group { &self.groups } else { &self.users }
    }
}

impl Database {
    fn new(service: Option<&'static str>, lines: &[u8]) -> Self {
        let mut known = Known::default();
        for (name, id) in lines.split(|b| *b == b'\n').filter_map(account) {
            // The first line counts, as it does for the system.
            known.ids.entry(name.clone()).or_insert(Some(id));
            known.names.entry(id).or_insert(Some(name));
        }
        Self { service, known: RefCell::new(known), is_down: Cell::new(false) }
    }

    /// The name of a number.
    pub fn name(&self, id: u32) -> Option<String> {
        if let Some(known) = self.known.borrow().names.get(&id) {
            return known.clone();
        }
        let name = self.getent(&id.to_string()).filter(|(_, of)| *of == id).map(|(name, _)| name);
        self.known.borrow_mut().names.insert(id, name.clone());
        name
    }

    /// The number of a name.
    pub fn id(&self, name: &str) -> Option<u32> {
        if !is_name(name) {
            return None;
        }
        if let Some(known) = self.known.borrow().ids.get(name) {
            return *known;
        }
        let id = self.getent(name).filter(|(of, _)| of == name).map(|(_, id)| id);
        self.known.borrow_mut().ids.insert(name.to_owned(), id);
        id
    }

    /// Who an archive's name and number are here: the one with that name; or with that number, if no
    /// one of another name has it here.
    pub fn resolve(&self, name: Option<&str>, id: Option<u32>) -> Option<u32> {
        let Some(name) = name else { return id };
        self.id(name).or_else(|| id.filter(|id| self.name(*id).is_none()))
    }

    /// Asks the system, which may know more than its files.
    fn getent(&self, key: &str) -> Option<(String, u32)> {
        if self.is_down.get() {
            return None;
        }
        let mut command = Command::new("getent");
        command.args([self.service?, key]).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
        let begun = Instant::now();
        loop {
            match child.try_wait() {
                Ok(None) if begun.elapsed() < LOOKUP_TIMEOUT => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(Some(status)) => {
                    let mut line = Vec::new();
                    child.stdout.take()?.take(1 << 20).read_to_end(&mut line).ok()?;
                    return if status.success() { account(&line) } else { None };
                }
                _ => {
                    self.is_down.set(true);
                    let _ = child.kill();
                    let _ = child.wait();
                    return None;
                }
            }
        }
    }
}

/// A line of either file: `NAME:PASSWORD:NUMBER:…`.
fn account(line: &[u8]) -> Option<(String, u32)> {
    let mut fields = line.split(|b| matches!(b, b':' | b'\n'));
    let name = std::str::from_utf8(fields.next()?).ok()?;
    let id = u32::try_from(digits(fields.nth(1)?)?).ok()?;
    is_name(name).then(|| (name.to_owned(), id))
}

/// Whether a name may be looked up, written into a list, and shown.
pub fn is_name(name: &str) -> bool {
    let bad =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | ',' | '#' | '=' | '/');
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with(['-', '+'])
        && digits(name.as_bytes()).is_none()
        && !name.contains(bad)
        && crate::rel_path::escape(name) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_anothers() {
        let accounts =
            Accounts::of_lines("root:x:0:0::/:\nalice:x:1001:1001::/:\nagain:x:0:0::/:\n", "");
        let users = &accounts.users;
        for (name, id, here) in [
            (Some("alice"), Some(5), Some(1001)),
            (Some("gone"), Some(1001), None),
            (Some("gone"), Some(77), Some(77)),
            (Some("gone"), None, None),
            (None, Some(1001), Some(1001)),
            (Some("0"), Some(0), None),
            (Some("-x"), Some(8), Some(8)),
        ] {
            assert_eq!(users.resolve(name, id), here, "{name:?} {id:?}");
        }
        assert_eq!(users.name(0).as_deref(), Some("root"));
        assert_eq!(users.name(9), None);
    }

    #[test]
    fn this_host_knows_root_and_what_it_does_not_know() {
        let here = Accounts::here();
        assert_eq!(here.users.id("root"), Some(0));
        assert_eq!(here.groups.name(0).as_deref(), Some("root"));
        assert_eq!(here.users.id("no-such-user-here"), None);
        assert_eq!(here.users.name(3_999_999_999), None);
    }

    #[test]
    fn only_names_are_names() {
        for name in ["root", "www-data", "svc$", "user@example.org", "dom\\user", "ünï"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "0", "12", "-x", "+x", "a:b", "a,b", "a b", "a\nb", "a\u{202e}b", "a=b"] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(!is_name(&"n".repeat(300)));
    }
}
