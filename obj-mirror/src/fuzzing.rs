//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where
//! one is broken.

use crate::index::{self, Entry};
use crate::key;
use std::path::{Component, Path};

/// No line of an index leads outside the mirror or into its own files, and what reads is written
/// and read again the same.
pub fn index(bytes: &[u8]) {
    let Some(entries) = read(bytes) else { return };
    for entry in &entries {
        assert!(is_inside(&entry.path), "{:?}", entry.path);
        assert!(!key::printable(&entry.key).contains(char::is_control), "{:?}", entry.key);
        let line = index::line(entry).unwrap_or_default();
        let again = index::parse(&line).map(|entry| index::line(&entry).unwrap_or_default());
        assert_eq!(again.ok(), Some(line));
    }
}

/// A key of a listing prints on one line, whatever it was made of.
pub fn listed_key(bytes: &[u8]) {
    let Some(key) = key::url_decode(&String::from_utf8_lossy(bytes)) else { return };
    assert!(!key::printable(&key).contains(char::is_control), "{key:?}");
}

fn read(bytes: &[u8]) -> Option<Vec<Entry>> {
    index::read(bytes, Path::new("index.jsonl")).ok()
}

fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let object = path.strip_prefix(".obj-mirror/objects/");
    let own = path.split('/').next() == Some(".obj-mirror");
    parts.all(|part| matches!(part, Component::Normal(_)))
        && !path.is_empty()
        && (!own || object.is_some_and(|name| name.len() == 64))
}
