//! The sources of a damaged mirror: what its index, its journal and its `SHA256SUMS` list together, as far
//! as each can be read.

use crate::mirror::contents::Contents;
use crate::mirror::files;
use crate::mirror::index::{self, Entry};
use crate::mirror::placement::OWN;
use crate::mirror::sums;
use crate::mirror::tree::Tree;
use crate::object::Failure;
use crate::push::source::{self, Source, Sources, foreign, open_index};
use anyhow::Result;
use pipe_kit::warning;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What the lists of a damaged mirror have. It is held in memory.
#[derive(Default)]
struct Salvaged {
    objects: Vec<Source>,
    failures: Vec<Failure>,
    /// The number of objects, also of those that are missing.
    count: u64,
}

/// The sources of a mirror that may be damaged (`--skip-damaged`).
pub fn gather(dir: &Path, tree: &Arc<Tree>) -> Result<Sources> {
    match open_index(dir) {
        Ok(index) => {
            if index.is_none() {
                warning!("{} has no index: damaged objects cannot be detected", dir.display());
            }
            source::gather(index, tree)
        }
        Err(error) => {
            warning!("{error:#}; the entries that can still be read are used");
            let disk = tree.contents()?;
            let mut salvaged = from_damaged(dir, &disk);
            salvaged.failures.extend(disk.foreign.iter().map(|path| foreign(path)));
            salvaged.objects.sort_by(|a, b| a.key.cmp(&b.key));
            let Salvaged { objects, failures, count } = salvaged;
            let objects = Box::new(objects.into_iter().map(|source| Ok(Ok(source))));
            Ok(Sources { count, failures, indexed: true, objects })
        }
    }
}

fn from_damaged(dir: &Path, disk: &Contents) -> Salvaged {
    let entries = or_nothing(index::load_whole_lines(&files::index_path(dir)));
    let journal = or_nothing(index::load_whole_lines(&files::journal_path(dir)));
    let sums = or_nothing(sums::read_whole_lines(&files::sums_path(dir)));
    // Journal entries are newer.
    let by_key: BTreeMap<String, Entry> =
        entries.into_iter().chain(journal).map(|e| (e.key.clone(), e)).collect();
    from_lists(by_key.into_values(), &sums, disk)
}

fn or_nothing<T: Default>(list: Result<T>) -> T {
    list.unwrap_or_else(|error| {
        warning!("{error:#}");
        T::default()
    })
}

fn from_lists(
    entries: impl Iterator<Item = Entry>,
    sums: &BTreeMap<String, String>,
    disk: &Contents,
) -> Salvaged {
    let mut sources = Salvaged::default();
    let mut unlisted: BTreeSet<&String> = disk.files.keys().chain(sums.keys()).collect();
    for entry in entries {
        unlisted.remove(&entry.path);
        // Either list may be damaged; bytes that match one of them are the object's.
        let known = [Some(&entry.sha256), sums.get(&entry.path)];
        let known = known.into_iter().flatten().cloned().collect();
        sources.take(entry.key.clone(), &entry.path.clone(), Some(entry), known, disk);
    }
    let nothing_known = sums.is_empty() && sources.count == 0;
    if nothing_known && !unlisted.is_empty() {
        warning!("no checksum can be read: damaged objects cannot be detected");
    }
    for path in unlisted {
        let sum = sums.get(path);
        if path.starts_with(OWN) {
            sources.fail(path.clone(), "its key is unknown because its index entry is lost");
        } else if sum.is_none() && !nothing_known {
            sources.fail(path.clone(), "not in any list that can still be read");
        } else {
            let known = sum.into_iter().cloned().collect();
            sources.take(path.clone(), path, None, known, disk);
        }
    }
    sources
}

impl Salvaged {
    fn fail(&mut self, key: String, reason: impl Into<String>) {
        self.failures.push(Failure { key, reason: reason.into() });
    }

    fn take(
        &mut self,
        key: String,
        path: &str,
        entry: Option<Entry>,
        sha256: Vec<String>,
        disk: &Contents,
    ) {
        self.count += 1;
        match disk.files.get(path) {
            None => self.fail(key, format!("{path} is missing on disk")),
            Some(file) => self.objects.push(Source {
                key,
                path: path.to_owned(),
                size: file.size,
                sha256,
                entry,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::placement::stored_path;
    use crate::mirror::tree::Stat;

    fn disk(files: &[&str]) -> Contents {
        let mut disk = Contents::default();
        for file in files {
            disk.files.insert((*file).to_owned(), Stat { size: 1, modified: None });
        }
        disk
    }

    #[test]
    fn either_list_proves_an_object_and_what_none_lists_is_left_out() {
        let aside = stored_path("a");
        let disk = disk(&["indexed", "summed", "unlisted", &aside]);
        let sums = ["indexed", "summed", "gone"].map(|p| (p.to_owned(), "1".repeat(64)));
        let entries = [Entry::sample("indexed", "indexed"), Entry::sample("missing", "missing")];
        let sources = from_lists(entries.into_iter(), &BTreeMap::from(sums), &disk);
        let sent: Vec<_> =
            sources.objects.iter().map(|s| (s.key.as_str(), s.sha256.len())).collect();
        assert_eq!(sent, [("indexed", 2), ("summed", 1)]);
        let failed: Vec<_> = sources.failures.iter().map(|f| f.key.as_str()).collect();
        assert_eq!(failed, ["missing", aside.as_str(), "gone", "unlisted"]);
    }

    #[test]
    fn without_any_list_every_file_with_a_name_of_its_own_is_sent() {
        let aside = stored_path("a");
        let sources = from_lists([].into_iter(), &BTreeMap::new(), &disk(&["x", "y/z", &aside]));
        assert_eq!((sources.objects.len(), sources.failures.len()), (2, 1));
    }
}
