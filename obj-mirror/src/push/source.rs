//! The sources of a push.

use crate::external_sort::Sorter;
use crate::mirror::checked_index::CheckedIndex;
use crate::mirror::contents::Item;
use crate::mirror::files;
use crate::mirror::index::Entry;
use crate::mirror::placement::OWN;
use crate::mirror::tree::Tree;
use crate::object::Failure;
use crate::spool::TempFileFailed;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::path::Path;
use std::sync::Arc;

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

/// An object of the directory, or why it cannot be sent.
pub type Found = Result<Source, Failure>;

/// Objects as they are read, in byte order of their keys. An outer error ends the run.
pub type FoundSources = Box<dyn Iterator<Item = Result<Found>> + Send>;

/// All objects of a directory.
pub struct Sources {
    /// The number of objects, also of those that cannot be sent.
    pub count: u64,
    /// Files that should not be there.
    pub failures: Vec<Failure>,
    /// Whether the directory has an index.
    pub indexed: bool,
    pub objects: FoundSources,
}

/// Checks the index of a directory, if it has one, also against `SHA256SUMS`.
///
/// # Errors
/// [`Stop::damaged`] if it is damaged, or missing although the mirror's own directory exists;
/// [`Stop::refused`] if the mirror is incomplete.
pub fn open_index(dir: &Path) -> Result<Option<CheckedIndex>> {
    let shown = dir.display();
    if files::journal_path(dir).symlink_metadata().is_ok() {
        return Err(Stop::refused(format!(
            "the mirror in {shown} is incomplete: its last run was interrupted or is still running; \
             mirror the bucket into it again first"
        ))
        .into());
    }
    let index = CheckedIndex::open(dir).map_err(|error| match error.is::<TempFileFailed>() {
        true => error,
        false => Stop::damaged(format!("{error:#}")).into(),
    })?;
    let Some(index) = index else {
        if dir.join(OWN).symlink_metadata().is_ok() {
            return Err(Stop::damaged(format!(
                "{shown} has lost its index ({OWN}/index.jsonl); without it keys and properties are unknown"
            ))
            .into());
        }
        return Ok(None);
    };
    if index.sums_agree {
        return Ok(Some(index));
    }
    Err(Stop::damaged(format!("the index in {shown} and {OWN}/SHA256SUMS disagree")).into())
}

/// The objects that the index lists; without an index, every file.
pub fn gather(index: Option<CheckedIndex>, tree: &Arc<Tree>) -> Result<Sources> {
    match index {
        Some(index) => listed(index, tree),
        None => found(tree),
    }
}

/// Something that is never an object.
pub fn foreign(path: &Path) -> Failure {
    let key = path.to_string_lossy().into_owned();
    Failure { key, reason: "not a regular file, or its name is not UTF-8".to_owned() }
}

fn listed(mut index: CheckedIndex, tree: &Arc<Tree>) -> Result<Sources> {
    let (mut unlisted, mut others) = (Vec::new(), Vec::new());
    tree.walk(|item| {
        match item {
            Item::File(path) if !index.paths.contains(path) => {
                let reason = "not in the index; not sent".to_owned();
                unlisted.push(Failure { key: path.to_owned(), reason });
            }
            Item::Foreign(path) => others.push(foreign(path)),
            Item::File(_) | Item::Directory(_) => {}
        }
        Ok(())
    })?;
    for failures in [&mut unlisted, &mut others] {
        failures.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    }
    unlisted.append(&mut others);
    let tree = Arc::clone(tree);
    let objects = index.entries()?.map(move |entry| Ok(source_of(entry?, &tree)));
    let objects: FoundSources = Box::new(objects);
    Ok(Sources { count: index.len, failures: unlisted, indexed: true, objects })
}

fn source_of(entry: Entry, tree: &Tree) -> Found {
    let reason = match tree.stat(&entry.path) {
        None => format!("{} is missing on disk", entry.path),
        Some(file) if file.size != entry.size => {
            format!("{} bytes on disk, {} in the index", file.size, entry.size)
        }
        Some(file) => {
            return Ok(Source {
                key: entry.key.clone(),
                path: entry.path.clone(),
                size: file.size,
                sha256: vec![entry.sha256.clone()],
                entry: Some(entry),
            });
        }
    };
    Err(Failure { key: entry.key, reason })
}

fn found(tree: &Tree) -> Result<Sources> {
    let (mut sorter, mut failures) = (Sorter::default(), Vec::new());
    tree.walk(|item| {
        match item {
            Item::Directory(_) => {}
            Item::File(name) => {
                let stat = tree.stat(name).with_context(|| format!("reading {name}"))?;
                sorter.push(name.as_bytes(), &stat.size.to_le_bytes())?;
            }
            Item::Foreign(path) => failures.push(foreign(path)),
        }
        Ok(())
    })?;
    failures.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let count = sorter.len();
    let objects = sorter.finish()?.map(|record| {
        let record = record?;
        let key = String::from_utf8(record.key).context("reading a temporary file")?;
        let size = record.value.try_into().map_or(0, u64::from_le_bytes);
        Ok(Ok(Source { path: key.clone(), key, size, sha256: Vec::new(), entry: None }))
    });
    Ok(Sources { count, failures, indexed: false, objects: Box::new(objects) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::index;

    fn entry(key: &str, size: u64) -> Entry {
        Entry { size, ..Entry::sample(key, key) }
    }

    fn mirror(entries: &[Entry]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(OWN)).unwrap();
        let line = |entry: &Entry| Ok(index::line(entry).unwrap().trim_end().as_bytes().to_vec());
        index::save(dir.path(), || Box::new(entries.iter().map(line))).unwrap();
        dir
    }

    #[test]
    fn with_an_index_only_what_it_lists_is_sent_and_the_rest_is_reported() {
        let dir = mirror(&[entry("gone", 1), entry("grown", 2), entry("kept", 1)]);
        for file in ["kept", "grown", "unlisted"] {
            std::fs::write(dir.path().join(file), "x").unwrap();
        }
        let tree = Arc::new(Tree::open(dir.path()).unwrap());
        let sources = gather(open_index(dir.path()).unwrap(), &tree).unwrap();
        assert_eq!((sources.count, sources.indexed), (3, true));
        assert_eq!(sources.failures[0].key, "unlisted");
        let found: Vec<Found> = sources.objects.map(Result::unwrap).collect();
        let (sent, failed): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
        let sent: Vec<_> = sent.into_iter().map(|source| source.unwrap().key).collect();
        let failed: Vec<_> = failed.into_iter().map(|failure| failure.unwrap_err().key).collect();
        assert_eq!((sent, failed), (vec!["kept".to_owned()], vec!["gone".into(), "grown".into()]));
    }

    #[test]
    fn without_an_index_every_file_is_an_object_in_byte_order_of_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        for file in ["a!", "a/b", "a0", "A"] {
            std::fs::write(dir.path().join(file), "x").unwrap();
        }
        let sources = gather(None, &Arc::new(Tree::open(dir.path()).unwrap())).unwrap();
        assert_eq!((sources.count, sources.indexed), (4, false));
        let keys: Vec<_> = sources.objects.map(|found| found.unwrap().unwrap().key).collect();
        assert_eq!(keys, ["A", "a!", "a/b", "a0"]);
    }

    #[test]
    fn an_index_at_odds_with_its_sums_or_lost_or_unfinished_sends_nothing() {
        let dir = mirror(&[entry("a", 1)]);
        assert!(open_index(dir.path()).unwrap().is_some());
        std::fs::write(files::index_path(dir.path()), "").unwrap();
        assert!(open_index(dir.path()).is_err());
        std::fs::remove_file(files::index_path(dir.path())).unwrap();
        assert!(open_index(dir.path()).is_err());
        std::fs::write(files::journal_path(dir.path()), "").unwrap();
        let refused = open_index(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("is incomplete"));
        std::fs::remove_dir_all(dir.path().join(OWN)).unwrap();
        assert!(open_index(dir.path()).unwrap().is_none());
    }
}
