//! The sources of a push.

use crate::mirror::contents::Contents;
use crate::mirror::files;
use crate::mirror::index::{self, Entry};
use crate::mirror::placement::OWN;
use crate::object::Failure;
use anyhow::Result;
use pipe_kit::Stop;
use std::collections::HashSet;
use std::path::Path;

/// An object on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Without the prefix.
    pub key: String,
    /// Relative to the directory.
    pub path: String,
    /// On disk, bytes.
    pub size: u64,
    /// Hex SHA-256 sums, one of which the bytes must have; empty if none is known.
    pub sha256: Vec<String>,
    /// Its index entry, if there is one.
    pub entry: Option<Entry>,
}

/// All objects of a directory.
#[derive(Debug, Default)]
pub struct Sources {
    pub objects: Vec<Source>,
    /// Objects that cannot be sent, and files that should not be there.
    pub failures: Vec<Failure>,
    /// All keys of the directory, also of objects that cannot be sent.
    pub keys: HashSet<String>,
    /// Whether the directory has an index.
    pub indexed: bool,
}

/// Loads the index of a directory, if it has one, and checks it against `SHA256SUMS`.
///
/// # Errors
/// [`Stop::damaged`] if it is damaged, or missing although the mirror's own directory exists;
/// [`Stop::refused`] if the mirror is incomplete.
pub fn load_index(dir: &Path) -> Result<Option<Vec<Entry>>> {
    let shown = dir.display();
    if files::journal_path(dir).symlink_metadata().is_ok() {
        return Err(Stop::refused(format!(
            "the mirror in {shown} is incomplete: its last run was interrupted or is still running; \
             mirror the bucket into it again first"
        ))
        .into());
    }
    let entries = index::load(dir).map_err(|e| Stop::damaged(format!("{e:#}")))?;
    let Some(entries) = entries else {
        if dir.join(OWN).symlink_metadata().is_ok() {
            return Err(Stop::damaged(format!(
                "{shown} has lost its index ({OWN}/index.jsonl); without it keys and properties are unknown"
            ))
            .into());
        }
        return Ok(None);
    };
    if index::sums_agree(dir, &entries) {
        return Ok(Some(entries));
    }
    Err(Stop::damaged(format!("the index in {shown} and {OWN}/SHA256SUMS disagree")).into())
}

/// The objects that the index lists; without an index, every file.
pub fn gather(index: Option<Vec<Entry>>, disk: &Contents) -> Sources {
    let mut sources = Sources { indexed: index.is_some(), ..Sources::default() };
    match index {
        Some(entries) => sources.take_listed(entries, disk),
        None => sources.take_found(disk),
    }
    sources.note_foreign(disk);
    sources
}

impl Sources {
    pub fn fail(&mut self, key: String, reason: impl Into<String>) {
        self.failures.push(Failure { key, reason: reason.into() });
    }

    pub fn note_foreign(&mut self, disk: &Contents) {
        for path in &disk.foreign {
            let key = path.to_string_lossy().into_owned();
            self.fail(key, "not a regular file, or its name is not UTF-8");
        }
    }

    fn take_listed(&mut self, entries: Vec<Entry>, disk: &Contents) {
        let mut unlisted: HashSet<&str> = disk.files.keys().map(String::as_str).collect();
        for entry in entries {
            self.keys.insert(entry.key.clone());
            unlisted.remove(entry.path.as_str());
            match disk.files.get(&entry.path) {
                None => self.fail(entry.key, format!("{} is missing on disk", entry.path)),
                Some(file) if file.size != entry.size => self.fail(
                    entry.key,
                    format!("{} bytes on disk, {} in the index", file.size, entry.size),
                ),
                Some(file) => self.objects.push(Source {
                    key: entry.key.clone(),
                    path: entry.path.clone(),
                    size: file.size,
                    sha256: vec![entry.sha256.clone()],
                    entry: Some(entry),
                }),
            }
        }
        let mut unlisted: Vec<_> = unlisted.into_iter().collect();
        unlisted.sort_unstable();
        for path in unlisted {
            self.fail(path.to_owned(), "not in the index; not sent");
        }
    }

    fn take_found(&mut self, disk: &Contents) {
        for (path, file) in &disk.files {
            self.keys.insert(path.clone());
            self.objects.push(Source {
                key: path.clone(),
                path: path.clone(),
                size: file.size,
                sha256: Vec::new(),
                entry: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::tree::Stat;

    fn entry(key: &str, size: u64) -> Entry {
        Entry { size, ..Entry::sample(key, key) }
    }

    #[test]
    fn with_an_index_only_what_it_lists_is_sent_and_the_rest_is_reported() {
        let mut disk = Contents::default();
        for file in ["kept", "grown", "unlisted"] {
            disk.files.insert(file.into(), Stat { size: 1, modified: None });
        }
        let index = vec![entry("kept", 1), entry("grown", 2), entry("gone", 1)];
        let sources = gather(Some(index), &disk);
        let sent: Vec<_> = sources.objects.iter().map(|s| s.key.as_str()).collect();
        let failed: Vec<_> = sources.failures.iter().map(|f| f.key.as_str()).collect();
        assert_eq!((sent, failed), (vec!["kept"], vec!["grown", "gone", "unlisted"]));
        assert_eq!(sources.keys.len(), 3);
    }

    #[test]
    fn an_index_at_odds_with_its_sums_or_lost_or_unfinished_sends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load_index(dir.path()).unwrap().is_none());
        std::fs::create_dir(dir.path().join(OWN)).unwrap();
        assert!(load_index(dir.path()).is_err());
        let line = || Ok(index::line(&entry("a", 1)).unwrap().trim_end().as_bytes().to_vec());
        index::save(dir.path(), || Box::new(std::iter::once(line()))).unwrap();
        assert!(load_index(dir.path()).unwrap().is_some());
        std::fs::write(files::index_path(dir.path()), "").unwrap();
        assert!(load_index(dir.path()).is_err());
        std::fs::write(files::journal_path(dir.path()), "").unwrap();
        assert!(load_index(dir.path()).unwrap_err().to_string().contains("is incomplete"));
    }
}
