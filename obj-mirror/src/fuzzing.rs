//! What this crate's parsers of untrusted input promise for any bytes. Each function panics if a promise is
//! broken.

use crate::mirror::index;
use crate::object::key;
use std::path::{Component, Path};

/// No entry of an index leads outside the mirror or into its own files, and a parsed entry is written and
/// parsed again unchanged.
pub fn index(bytes: &[u8]) {
    for entry in bytes.split(|byte| *byte == b'\n').filter_map(|line| index::parse_bytes(line).ok())
    {
        assert!(is_inside(&entry.path), "{:?}", entry.path);
        assert!(!key::printable(&entry.key).contains(char::is_control), "{:?}", entry.key);
        let line = index::line(&entry).unwrap_or_default();
        let again = index::parse(&line).map(|entry| index::line(&entry).unwrap_or_default());
        assert_eq!(again.ok(), Some(line));
    }
}

/// A listed key prints on one line, whatever it consists of.
pub fn listed_key(bytes: &[u8]) {
    let Some(key) = crate::s3::encode::url_decode(&String::from_utf8_lossy(bytes)) else { return };
    assert!(!key::printable(&key).contains(char::is_control), "{key:?}");
}

fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let object = path.strip_prefix(".obj-mirror/objects/");
    let own = path.split('/').next() == Some(".obj-mirror");
    parts.all(|part| matches!(part, Component::Normal(_)))
        && !path.is_empty()
        && (!own || object.is_some_and(|name| name.len() == 64))
}
